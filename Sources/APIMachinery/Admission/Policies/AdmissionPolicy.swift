import CEL
import JSON
import ObjectModel
import Synchronization

/// What validating and mutating policies have in common.
struct PolicyFrame: Sendable {
    let name: String
    let criteria: MatchCriteria
    /// The kind of its parameters; nil when it takes none.
    let paramKind: GroupVersionKind?
    let conditions: MatchConditions
    let ignoresFailures: Bool

    init(_ policy: Object) {
        let spec = policy.tree["spec"]
        name = policy.name
        criteria = MatchCriteria(spec["matchConstraints"], rules: "resourceRules")
        let kind = spec["paramKind"]
        paramKind =
            kind.object == nil
            ? nil : GroupVersionKind(apiVersion: kind["apiVersion"].string ?? "", kind: kind["kind"].string ?? "")
        conditions = MatchConditions(
            spec["matchConditions"], environment: ExpressionScope.policy(params: paramKind == nil ? nil : .dyn))
        ignoresFailures = spec["failurePolicy"].string == "Ignore"
    }
}

/// A `ValidatingAdmissionPolicy`, compiled at its first use.
final class ValidatingPolicy: Sendable {
    struct Validation: Sendable {
        let expression: PolicyExpression
        let message: String
        let messageExpression: PolicyExpression?
        let reason: String
    }
    struct Compiled: Sendable {
        let variables: CompiledVariables
        let validations: [Validation]
        let auditAnnotations: [(key: String, value: PolicyExpression)]
    }
    let frame: PolicyFrame
    private let spec: JSON
    private let box = Mutex<Compiled?>(nil)

    init(_ policy: Object) {
        frame = PolicyFrame(policy)
        spec = policy.tree["spec"]
    }

    var compiled: Compiled {
        if let ready = box.withLock({ $0 }) { return ready }
        let made = Self.compile(spec, object: .dyn, params: frame.paramKind == nil ? nil : .dyn)
        box.withLock { $0 = made }
        return made
    }

    /// - Parameters:
    ///   - object: the type of `object` and `oldObject`.
    ///   - params: the type of `params`; nil when there are none.
    static func compile(_ spec: JSON, object: CELType, params: CELType?) -> Compiled {
        let variables = CompiledVariables(spec["variables"]) {
            ExpressionScope.policy(object: object, params: params, variables: $0)
        }
        let environment = ExpressionScope.policy(object: object, params: params, variables: variables.type)
        // A message says what is wrong, not who may do it.
        let plain = ExpressionScope.policy(
            object: object, params: params, variables: variables.type, hasAuthorizer: false)
        let validations = spec["validations"].elements.map { json in
            let message = json["messageExpression"].string ?? ""
            return Validation(
                expression: PolicyExpression(json["expression"].string ?? "", environment, .bool),
                message: json["message"].string ?? "",
                messageExpression: message.isEmpty ? nil : PolicyExpression(message, plain, .string),
                reason: json["reason"].string ?? "")
        }
        let annotations = spec["auditAnnotations"].elements.map { json in
            (
                key: json["key"].string ?? "",
                value: PolicyExpression(json["valueExpression"].string ?? "", environment, nil)
            )
        }
        return Compiled(variables: variables, validations: validations, auditAnnotations: annotations)
    }
}

/// A binding of a policy: where it counts, with which parameters, and what a failure does.
struct PolicyBinding: Sendable {
    let name: String
    let policy: String
    let criteria: MatchCriteria?
    let paramRef: JSON
    let actions: Set<String>

    init(_ binding: Object) {
        let spec = binding.tree["spec"]
        name = binding.name
        policy = spec["policyName"].string ?? ""
        let resources = spec["matchResources"]
        criteria =
            resources.isNull ? nil : MatchCriteria(resources, rules: "resourceRules", isOptional: true)
        paramRef = spec["paramRef"]
        actions = Set(spec["validationActions"].elements.compactMap(\.string))
    }
}
