import ClusterClient
import JSON
import ObjectModel

/// Fills the rules of cluster roles with an aggregation rule from the roles it selects.
struct ClusterRoleAggregation: Controller {
    private let context: ControllerContext
    private let loop: ReconcileLoop

    init(_ context: ControllerContext) {
        self.context = context
        let roles = context.informers.clusterRoles
        let loop = ReconcileLoop(
            workers: 1, logger: context.logger(for: "clusterrole-aggregation-controller"),
            prepare: { await roles.waitUntilSynced() })
        self.loop = loop
        // Any role may be part of any aggregate; there are few roles and the queue merges what comes together.
        roles.subscribe { event in
            guard case .modified(let old, let new) = event, old.tree["rules"] == new.tree["rules"],
                old.metadata.labels == new.metadata.labels,
                old.tree["aggregationRule"] == new.tree["aggregationRule"]
            else { return loop.queue.add(ObjectKey(name: "")) }
        }
    }

    func run() async {
        await loop.run { _ in try await aggregate() }
    }

    private func aggregate() async throws {
        let roles = context.informers.clusterRoles.all.sorted { $0.name < $1.name }
        for role in roles {
            let tree = role.tree
            guard !tree["aggregationRule"].isNull, !role.metadata.isTerminating else { continue }
            let rules = try Self.rules(of: tree["aggregationRule"], name: role.name, among: roles)
            guard rules != tree["rules"].elements else { continue }
            var changed = tree
            changed["rules"] = .array(rules)
            try await context.client.update(.clusterRoles, changed)
        }
    }

    /// The rules of the selected roles in the order of their names, each once.
    static func rules(of aggregation: JSON, name: String, among roles: [Object]) throws -> [JSON] {
        let selectors = try aggregation["clusterRoleSelectors"].elements.compactMap {
            try LabelSelector(labelSelector: $0)
        }
        var rules: [JSON] = []
        for role in roles where role.name != name && selectors.contains(where: { $0.matches(role.metadata.labels) }) {
            for rule in role.tree["rules"].elements where !rules.contains(rule) { rules.append(rule) }
        }
        return rules
    }
}
