import APIServer
import ClusterClient
import JSON
import Logging
import ObjectModel
import Security
import ServiceLifecycle

/// Who may do what: role-based access control over the roles and bindings that the cluster holds now, and for node
/// agents what the pods of their node need.
final class ClusterAuthorizer: Authorizer, Service {
    private static let resources = ["roles", "clusterroles", "rolebindings", "clusterrolebindings"].map {
        GroupVersionResource(group: "rbac.authorization.k8s.io", version: "v1", resource: $0)
    }
    private let roles: RBACAuthorizer
    private let nodes: NodeAuthorizer
    private let informers: [Informer<Object>]

    /// - Parameter roles: is fed with the cluster's roles and bindings while this runs.
    init(roles: RBACAuthorizer, client: ClusterClient, logger: Logger) {
        self.roles = roles
        nodes = NodeAuthorizer(graph: PodGraph(client: client))
        informers = Self.resources.map { resource in
            Informer(resource, client: client, logger: logger) { $0 }
        }
    }

    /// False until all roles and bindings were read.
    var isSynced: Bool { informers.allSatisfy(\.isSynced) }

    func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
        let verdict = roles.authorize(attributes)
        if verdict.isAllowed || NodeAuthorizer.node(of: attributes.user) == nil { return Self.decision(verdict) }
        let other = await nodes.authorize(attributes)
        if other.isAllowed { return Self.decision(other) }
        let reasons = [other.reason, verdict.reason].filter { !$0.isEmpty }
        return .denied(reason: reasons.joined(separator: ", "))
    }

    func authorizeAtOnce(_ attributes: AuthorizationAttributes) -> AuthorizationDecision? {
        let verdict = roles.authorize(attributes)
        // The pods of a node have to be looked up.
        if !verdict.isAllowed, NodeAuthorizer.node(of: attributes.user) != nil { return nil }
        return Self.decision(verdict)
    }

    private static func decision(_ verdict: AuthorizationVerdict) -> AuthorizationDecision {
        switch verdict {
        case .allowed(let reason): .allowed(reason: reason)
        case .noOpinion(let reason): .denied(reason: reason)
        }
    }

    func rules(for user: UserInfo, namespace: String) async -> AuthorizationRules {
        var result = AuthorizationRules()
        for rule in roles.rules(for: user, namespace: namespace) {
            if rule.nonResourceURLs.isEmpty {
                result.resourceRules.append(rule.json)
            } else {
                result.nonResourceRules.append(rule.json)
            }
        }
        if NodeAuthorizer.node(of: user) != nil {
            result.isIncomplete = true
            result.evaluationError = "node authorizer does not support user rule resolution"
        }
        return result
    }

    func run() async throws {
        for informer in informers {
            informer.subscribe { [roles] event in
                switch event {
                case .added(let object), .modified(_, let object): roles.upsert(object)
                case .deleted(let object): roles.remove(object)
                }
            }
        }
        try await withThrowingDiscardingTaskGroup { group in
            for informer in informers { group.addTask { try await informer.run() } }
        }
    }
}
