import ObjectModel

extension FunctionTable {
    private static let authorizer = CELEnvironment.authorizer
    private static let path = CELType.opaque("kubernetes.authorization.PathCheck")
    private static let group = CELType.opaque("kubernetes.authorization.GroupCheck")
    private static let resource = CELEnvironment.resourceCheck
    private static let decision = CELType.opaque("kubernetes.authorization.Decision")
    /// An expression may ask twice.
    private static let checkCost = CostRule.fixed(350_000)

    mutating func addAuthorizer() {
        step("path", Self.authorizer, Self.path) { value, text throws(CELFailure) in
            guard !text.isEmpty else { throw CELFailure("path must not be empty") }
            value.stage = .path
            value.question.path = text
        }
        step("group", Self.authorizer, Self.group) { value, text in
            value.stage = .group
            value.question.group = text
        }
        step("resource", Self.group, Self.resource) { value, text throws(CELFailure) in
            guard !text.isEmpty else { throw CELFailure("resource must not be empty") }
            value.stage = .resource
            value.question.resource = text
        }
        step("subresource", Self.resource, Self.resource) { $0.question.subresource = $1 }
        step("namespace", Self.resource, Self.resource) { $0.question.namespace = $1 }
        step("name", Self.resource, Self.resource) { $0.question.name = $1 }
        step("fieldSelector", Self.resource, Self.resource, cost: .selector) { $0.question.fieldSelector = $1 }
        step("labelSelector", Self.resource, Self.resource, cost: .selector) { $0.question.labelSelector = $1 }
        for type in [Self.path, Self.resource] {
            step("check", type, Self.decision, cost: Self.checkCost) { value, verb throws(CELFailure) in
                var question = value.question
                question.verb = verb
                value.stage = .decision(value.authorizer.decide(question))
            }
        }
        member("serviceAccount", [Self.authorizer, .string, .string], Self.authorizer) { arguments throws(CELFailure) in
            var value = try Self.authorizerValue(arguments[0])
            let (namespace, name) = (arguments[1].asString, arguments[2].asString)
            if let problem = Names.dns1123SubdomainProblems(name).first {
                throw CELFailure("Invalid service account name: \(problem)")
            }
            if let problem = Names.dns1123LabelProblems(namespace).first {
                throw CELFailure("Invalid service account namespace: \(problem)")
            }
            value.question.serviceAccount = (namespace, name)
            return .opaque(value)
        }
        outcome("allowed", .bool) { .bool($0.allowed) }
        outcome("reason", .string) { .string($0.reason) }
        outcome("errored", .bool) { .bool($0.error != nil) }
        outcome("error", .string) { .string($0.error ?? "") }
    }

    private static func authorizerValue(_ value: CELValue) throws(CELFailure) -> AuthorizerValue {
        guard case .opaque(let value) = value, let question = value as? AuthorizerValue else {
            throw Arithmetic.noOverload
        }
        return question
    }

    private mutating func step(
        _ name: String, _ from: CELType, _ to: CELType, cost: CostRule = .one,
        _ change: @escaping @Sendable (inout AuthorizerValue, String) throws(CELFailure) -> Void
    ) {
        member(name, [from, .string], to, cost: cost) { arguments throws(CELFailure) in
            var value = try Self.authorizerValue(arguments[0])
            try change(&value, arguments[1].asString)
            return .opaque(value)
        }
    }

    private mutating func outcome(
        _ name: String, _ result: CELType, _ body: @escaping @Sendable (CELAuthorizationDecision) -> CELValue
    ) {
        member(name, [Self.decision], result) { arguments throws(CELFailure) in
            guard case .decision(let decision) = try Self.authorizerValue(arguments[0]).stage else {
                throw Arithmetic.noOverload
            }
            return body(decision)
        }
    }
}
