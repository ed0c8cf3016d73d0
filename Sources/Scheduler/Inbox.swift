import ClusterClient
import MesosModel
import ObjectModel
import Synchronization

/// What changed since the last pass: per object only its newest version, so a slow pass loses nothing and grows nothing.
final class Inbox: Sendable {
    struct Content {
        var pods: [ObjectKey: PodView?] = [:]
        var nodes: [String: NodeView?] = [:]
        var namespaces: [String: NamespaceView?] = [:]
        var claims: [ObjectKey: ClaimView?] = [:]
        var volumes: [String: VolumeView?] = [:]
        var classes: [String: StorageClassView?] = [:]
        var budgets: [ObjectKey: BudgetView?] = [:]
        var roles: [String: RoleView?] = [:]
        /// Nodes where somebody else let go of a share.
        var released: Set<String> = []
        var failedBindings: [PodView] = []
    }
    private let content = Mutex(Content())
    private let wake: AsyncStream<Void>
    private let poke: AsyncStream<Void>.Continuation

    init() {
        (wake, poke) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func put<View, Key: Hashable>(
        _ event: InformerEvent<View>, _ part: WritableKeyPath<Content, [Key: View?]>, key: (View) -> Key
    ) {
        content.withLock { content in
            switch event {
            case .added(let view), .modified(_, let view):
                _ = content[keyPath: part].updateValue(view, forKey: key(view))
            case .deleted(let view): _ = content[keyPath: part].updateValue(nil, forKey: key(view))
            }
        }
        poke.yield()
    }

    func bindingFailed(_ pod: PodView) {
        content.withLock { $0.failedBindings.append(pod) }
        poke.yield()
    }

    func released(on nodes: [String]) {
        content.withLock { $0.released.formUnion(nodes) }
        poke.yield()
    }

    /// Tells the core everything that came in. Nodes first: pods are placed on them.
    func drain(into core: SchedulerCore, now: ContinuousClock.Instant) {
        let taken = content.withLock { content in
            defer { content = Content() }
            return content
        }
        for (name, view) in taken.namespaces {
            core.set(name, role: view?.role, now: now)
            core.set(name, namespaceLabels: view?.labels, now: now)
        }
        for (name, view) in taken.roles { core.set(name, quota: view) }
        for (name, view) in taken.nodes { core.set(name, node: view, now: now) }
        for (name, view) in taken.classes { core.set(name, storageClass: view, now: now) }
        for (name, view) in taken.volumes { core.set(name, volume: view, now: now) }
        for (key, view) in taken.claims { core.set(key, claim: view, now: now) }
        for (key, view) in taken.budgets { core.set(key, budget: view) }
        // Pods that came together are queued in the order of their creation.
        let pods = taken.pods.sorted { ($0.value?.created ?? 0, $0.key) < ($1.value?.created ?? 0, $1.key) }
        for (key, view) in pods { core.set(key, pod: view, now: now) }
        for node in taken.released { core.released(on: node, now: now) }
        for pod in taken.failedBindings { core.bindingFailed(pod, now: now) }
    }

    /// Returns when something came in, or at the time; now and then earlier.
    func wait(until deadline: ContinuousClock.Instant?) async {
        let timer = deadline.map { deadline in
            TimerQueue.shared.schedule(at: deadline) { [poke] in poke.yield() }
        }
        for await _ in wake { break }
        if let timer { TimerQueue.shared.cancel(timer) }
    }
}

/// The part of a namespace that affinity and quotas read.
struct NamespaceView: Sendable {
    var name: String
    var labels: [String: String]
    /// The Mesos role that its pods count for.
    var role: String

    init(_ object: Object) {
        name = object.name
        labels = object.metadata.labels
        role =
            object.tree["metadata"]["annotations"][MesosNames.roleAnnotation].string
            ?? MesosNames.role(ofNamespace: object.name)
    }
}

/// Decisions on their way to the API.
final class WriteQueue: Sendable {
    let stream: AsyncStream<SchedulerCore.Decision>
    private let continuation: AsyncStream<SchedulerCore.Decision>.Continuation
    private let pending = Mutex(0)

    init() {
        // Bounded by the scheduling loop, which stops when `count` is high.
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    /// Decisions that are not written yet.
    var count: Int { pending.withLock { $0 } }

    func add(_ decision: SchedulerCore.Decision) {
        pending.withLock { $0 += 1 }
        continuation.yield(decision)
    }

    func done() {
        pending.withLock { $0 -= 1 }
    }
}
