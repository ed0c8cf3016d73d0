import CEL
import JSON
import ObjectModel
import Security

/// What expressions in admission may mention.
enum ExpressionScope {
    /// For the match conditions of webhooks.
    static let webhook = CELEnvironment(variables: base)

    /// For policies.
    /// - Parameters:
    ///   - object: the type of `object` and `oldObject`.
    ///   - variables: what the policy itself declares; nil: no `variables`.
    static func policy(
        object: CELType = .dyn, params: CELType? = .dyn, variables: CELObjectType? = nil,
        hasAuthorizer: Bool = true, libraries: CELLibraries = .kubernetes
    ) -> CELEnvironment {
        var all: [(String, CELType)] = [
            ("object", object), ("oldObject", object), ("request", .object(request)), ("namespaceObject", namespace),
        ]
        if let params { all.append(("params", params)) }
        if let variables { all.append(("variables", .object(variables))) }
        if hasAuthorizer { all += authorizers }
        return CELEnvironment(variables: all, libraries: libraries)
    }

    private static let authorizers: [(String, CELType)] = [
        ("authorizer", CELEnvironment.authorizer), ("authorizer.requestResource", CELEnvironment.resourceCheck),
    ]
    private static let base: [(String, CELType)] =
        [("object", .dyn), ("oldObject", .dyn), ("request", .object(request))] + authorizers

    private static func fields(_ types: [(String, CELType)]) -> [String: CELObjectType.Field] {
        Dictionary(uniqueKeysWithValues: types.map { ($0.0, CELObjectType.Field($0.1)) })
    }

    /// `AdmissionRequest` without the objects.
    static let request = CELObjectType(name: "kubernetes.AdmissionRequest") {
        fields([
            ("kind", .object(groupVersionKind)), ("resource", .object(groupVersionResource)),
            ("subResource", .string), ("requestKind", .object(groupVersionKind)),
            ("requestResource", .object(groupVersionResource)), ("requestSubResource", .string), ("name", .string),
            ("namespace", .string), ("operation", .string), ("userInfo", .object(userInfo)), ("dryRun", .bool),
            ("options", .dyn),
        ])
    }
    private static let groupVersionKind = CELObjectType(name: "kubernetes.GroupVersionKind") {
        fields([("group", .string), ("version", .string), ("kind", .string)])
    }
    private static let groupVersionResource = CELObjectType(name: "kubernetes.GroupVersionResource") {
        fields([("group", .string), ("version", .string), ("resource", .string)])
    }
    private static let userInfo = CELObjectType(name: "kubernetes.UserInfo") {
        fields([
            ("username", .string), ("uid", .string), ("groups", .list(.string)),
            ("extra", .map(.string, .list(.string))),
        ])
    }
    /// A namespace without its managed fields and owners.
    private static let namespace = CELType.object(
        CELObjectType(name: "kubernetes.Namespace") {
            fields([
                ("metadata", .object(namespaceMetadata)), ("spec", .object(namespaceSpec)),
                ("status", .object(namespaceStatus)),
            ])
        })
    private static let namespaceMetadata = CELObjectType(name: "kubernetes.NamespaceMetadata") {
        fields([
            ("name", .string), ("generateName", .string), ("namespace", .string), ("uid", .string),
            ("resourceVersion", .string), ("generation", .int), ("creationTimestamp", .timestamp),
            ("deletionTimestamp", .timestamp), ("deletionGracePeriodSeconds", .int),
            ("labels", .map(.string, .string)), ("annotations", .map(.string, .string)),
        ])
    }
    private static let namespaceSpec = CELObjectType(name: "kubernetes.NamespaceSpec") {
        fields([("finalizers", .list(.string))])
    }
    private static let namespaceStatus = CELObjectType(name: "kubernetes.NamespaceStatus") {
        fields([("phase", .string)])
    }

    // MARK: Values

    /// `object`, `oldObject`, `request` and `authorizer` of a request.
    static func values(
        _ request: HookedRequest, as matched: MatchedVersion, in machinery: Machinery
    ) -> [String: CELValue] {
        var values: [String: CELValue] = [
            "object": CELValue(json: request.tree(request.object, as: matched.kind), type: .dyn),
            "oldObject": CELValue(json: request.tree(request.oldObject, as: matched.kind), type: .dyn),
        ]
        var attributes = request.attributes(matched, uid: "")
        attributes.removeMember("uid")
        values["request"] = CELValue(json: attributes, type: .object(Self.request))
        let authorizer = PolicyAuthorizer(user: request.context.user, roles: machinery.configuration.roles)
        values["authorizer"] = .authorizer(authorizer)
        var question = CELAuthorizationQuestion()
        question.group = matched.resource.group
        question.version = matched.resource.version
        question.resource = matched.resource.resource
        question.subresource = request.subresource
        question.namespace = request.key.namespace
        question.name = request.key.name
        values["authorizer.requestResource"] = .resourceCheck(question, authorizer)
        return values
    }

    /// `namespaceObject`: null for objects of the whole cluster.
    static func namespaceValue(_ request: HookedRequest, in machinery: Machinery) -> CELValue {
        let isNamespace = request.place == GroupVersionResource.namespaces.groupResource
        guard !request.key.namespace.isEmpty, !isNamespace,
            let tree = machinery.cached(.namespaces, ObjectKey(name: request.key.namespace))?.tree
        else { return .null }
        var shown: JSON = [:]
        for name in namespaceMetadata.fields.keys.sorted() {
            shown["metadata"].setMember(name, tree["metadata"][name])
        }
        for (part, name) in [("spec", "finalizers"), ("status", "phase")] where !tree[part][name].isNull {
            shown[part][name] = tree[part][name]
        }
        return CELValue(json: shown, type: namespace)
    }
}

/// Answers the `authorizer` of expressions from the server's roles.
struct PolicyAuthorizer: CELAuthorizer {
    let user: UserInfo
    let roles: RBACAuthorizer?

    func decide(_ question: CELAuthorizationQuestion) -> CELAuthorizationDecision {
        guard let roles else {
            return CELAuthorizationDecision(allowed: false, error: "this server authorizes nothing")
        }
        var user = user
        if let account = question.serviceAccount {
            user = UserInfo(
                name: "system:serviceaccount:\(account.namespace):\(account.name)",
                groups: [
                    "system:serviceaccounts", "system:serviceaccounts:\(account.namespace)", "system:authenticated",
                ])
        }
        let attributes: AuthorizationAttributes
        if let path = question.path {
            attributes = AuthorizationAttributes(user: user, verb: question.verb, path: path)
        } else {
            attributes = AuthorizationAttributes(
                user: user, verb: question.verb,
                resource: .init(
                    group: question.group, version: question.version, resource: question.resource,
                    subresource: question.subresource, namespace: question.namespace, name: question.name))
        }
        switch roles.authorize(attributes) {
        case .allowed(let reason): return CELAuthorizationDecision(allowed: true, reason: reason)
        case .noOpinion(let reason): return CELAuthorizationDecision(allowed: false, reason: reason)
        }
    }
}
