import ClusterClient
import JSON
import ObjectModel

/// Empties terminating namespaces, then takes the `kubernetes` finalizer off.
///
/// Pods go first and everything else only when no pod is left (KEP-5080): a policy or a secret must not vanish under a
/// running program. A pod that leaves wakes the pass, so that the time taken is the pods' own.
struct NamespaceController: Controller {
    static let finalizer = "kubernetes"

    private let context: ControllerContext
    private let loop: ReconcileLoop

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 4, logger: context.logger(for: "namespace-controller"),
            prepare: {
                await informers.namespaces.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { informers.namespaces.all.filter(\.metadata.isTerminating).map(\.key) })
        self.loop = loop
        informers.namespaces.subscribe { event in
            if let new = event.versions.new, new.metadata.isTerminating { loop.queue.add(new.key) }
        }
        informers.pods.subscribe { event in
            guard case .deleted(let pod) = event else { return }
            let key = ObjectKey(name: pod.namespace)
            if informers.namespaces[key]?.metadata.isTerminating == true { loop.queue.add(key) }
        }
    }

    func run() async {
        await loop.run(resyncEvery: .seconds(60)) { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let cached = context.informers.namespaces[key], cached.metadata.isTerminating,
            let namespace = try await context.client.find(.namespaces, key), namespace.uid == cached.uid,
            namespace.metadata.isTerminating
        else { return }
        let finalizers = namespace.tree["spec"]["finalizers"].elements
        guard finalizers.contains(where: { $0.string == Self.finalizer }) else { return }

        var report = NamespaceReport()
        do {
            let all = try await context.client.transport.resources()
            let resources = Self.deletable(all)
            try await empty(key.name, resources.filter { $0.resource == .pods }, &report)
            if report.remaining.isEmpty && report.failures.isEmpty {
                try await empty(key.name, resources.filter { $0.resource != .pods }, &report)
            }
        } catch let error as StatusError {
            report.discoveryFailure = error.message
        }
        let current = try await writeConditions(namespace, report)
        guard report.isEmpty else {
            // Deleted pods wake the pass themselves; anything else is looked for soon.
            loop.queue.add(key, after: .milliseconds(report.waitsForPodsOnly ? 2000 : 200))
            return
        }
        var tree = current.tree
        tree["spec"]["finalizers"] = .array(finalizers.filter { $0.string != Self.finalizer })
        do {
            try await context.client.update(.namespaces, tree, subresource: "finalize")
        } catch let error as StatusError where error.reason == .notFound {
            return
        }
    }

    /// What can be listed and deleted in a namespace; each once, whatever versions it is served in.
    static func deletable(_ all: [ServedResource]) -> [ServedResource] {
        var seen: Set<GroupResource> = []
        return all.filter { served in
            served.isNamespaced && served.verbs.contains("list") && served.verbs.contains("delete")
                && seen.insert(served.resource.groupResource).inserted
        }
    }

    private func empty(_ namespace: String, _ resources: [ServedResource], _ report: inout NamespaceReport)
        async throws
    {
        for served in resources {
            do {
                let before = try await context.client.list(served.resource, namespace: namespace)
                if before.items.isEmpty { continue }
                let client = context.client
                try await forEachConcurrently(before.items.filter { !$0.metadata.isTerminating }, width: 32) { object in
                    try await client.deleteExactly(
                        served.resource, object.key, uid: object.uid, propagation: .background)
                }
                let after = try await context.client.list(served.resource, namespace: namespace)
                report.note(served.resource, after.items)
            } catch let error as StatusError where error.reason == .notFound || error.reason == .methodNotAllowed {
                // The kind went away (its definition was deleted), or cannot be listed after all.
                continue
            } catch let error as StatusError {
                report.failures.append("\(served.resource.groupResource): \(error.message)")
            }
        }
    }

    private func writeConditions(_ namespace: Object, _ report: NamespaceReport) async throws -> Object {
        var status = namespace.tree["status"]
        var conditions = Conditions(status["conditions"])
        report.write(to: &conditions, now: .now)
        status["phase"] = "Terminating"
        status.setMember("conditions", conditions.json)
        return try await context.client.writeStatus(.namespaces, namespace, status)
    }
}

/// What one pass over a terminating namespace found, and the conditions that say it.
struct NamespaceReport: Sendable {
    var discoveryFailure: String?
    var failures: [String] = []
    var remaining: [GroupVersionResource: Int] = [:]
    var finalizers: [String: Int] = [:]

    var isEmpty: Bool { discoveryFailure == nil && failures.isEmpty && remaining.isEmpty }
    var waitsForPodsOnly: Bool {
        discoveryFailure == nil && failures.isEmpty && remaining.keys.allSatisfy { $0 == .pods }
    }

    mutating func note(_ resource: GroupVersionResource, _ objects: [Object]) {
        guard !objects.isEmpty else { return }
        remaining[resource] = objects.count
        for object in objects { for finalizer in object.metadata.finalizers { finalizers[finalizer, default: 0] += 1 } }
    }

    func write(to conditions: inout Conditions, now: Timestamp) {
        func set(_ type: String, _ problem: String?, _ bad: String, _ good: String, _ message: String) {
            conditions.set(
                type, problem == nil ? "False" : "True", reason: problem == nil ? good : bad,
                message: problem ?? message, now: now)
        }
        set(
            "NamespaceDeletionDiscoveryFailure", discoveryFailure.map { "Discovery failed: \($0)" }, "DiscoveryFailed",
            "ResourcesDiscovered", "All resources successfully discovered")
        set(
            "NamespaceDeletionGroupVersionParsingFailure", nil, "GroupVersionParsingFailed", "ParsedGroupVersions",
            "All legacy kube types successfully parsed")
        let failure =
            failures.isEmpty
            ? nil
            : "Failed to delete all resource types, \(failures.count) remaining: "
                + failures.sorted().joined(separator: ", ")
        set(
            "NamespaceDeletionContentFailure", failure, "ContentDeletionFailed", "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization")
        let rest = remaining.map { "\($0.key.resource).\($0.key.group) has \($0.value) resource instances" }.sorted()
        set(
            "NamespaceContentRemaining",
            rest.isEmpty ? nil : "Some resources are remaining: " + rest.joined(separator: ", "),
            "SomeResourcesRemain", "ContentRemoved", "All content successfully removed")
        let waiting = finalizers.map { "\($0.key) in \($0.value) resource instances" }.sorted()
        set(
            "NamespaceFinalizersRemaining",
            waiting.isEmpty
                ? nil : "Some content in the namespace has finalizers remaining: " + waiting.joined(separator: ", "),
            "SomeFinalizersRemain", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
    }
}
