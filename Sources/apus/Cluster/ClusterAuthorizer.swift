import APIServer
import ClusterClient
import JSON
import Logging
import ObjectModel
import Security
import ServiceLifecycle

/// Role-based access control over the roles and bindings that the cluster holds now.
final class ClusterAuthorizer: Authorizer, Service {
    private static let resources = ["roles", "clusterroles", "rolebindings", "clusterrolebindings"].map {
        GroupVersionResource(group: "rbac.authorization.k8s.io", version: "v1", resource: $0)
    }
    private let roles = RBACAuthorizer()
    private let informers: [Informer<Object>]

    init(client: ClusterClient, logger: Logger) {
        informers = Self.resources.map { resource in
            Informer(resource, client: client, logger: logger) { $0 }
        }
    }

    func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision { decision(attributes) }

    func authorizeAtOnce(_ attributes: AuthorizationAttributes) -> AuthorizationDecision? { decision(attributes) }

    private func decision(_ attributes: AuthorizationAttributes) -> AuthorizationDecision {
        switch roles.authorize(attributes) {
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
        return result
    }

    /// Escalation checks of admission ask the same tables.
    var evaluator: RBACAuthorizer { roles }

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
