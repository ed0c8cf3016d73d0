import ClusterClient
import JSON
import Logging
import ObjectModel
import Scheduler
import Synchronization
import Testing

/// An API in memory with just what the scheduler uses: lists, watches, status patches, bindings.
private final class MemoryTransport: ClusterTransport {
    private struct State {
        var objects: [GroupVersionResource: [ObjectKey: Object]] = [:]
        var revision: Revision = 0
        var watchers: [(GroupVersionResource, AsyncThrowingStream<WatchEvent, any Error>.Continuation)] = []
        var failures = 0
    }
    private let state = Mutex(State())

    /// How many of the next bindings fail.
    func failBindings(_ count: Int) { state.withLock { $0.failures = count } }

    @discardableResult
    func put(_ resource: GroupVersionResource, _ tree: JSON) -> Object {
        state.withLock { Self.put(&$0, resource, tree) }
    }
    private static func put(_ state: inout State, _ resource: GroupVersionResource, _ tree: JSON) -> Object {
        state.revision += 1
        var tree = tree
        tree["metadata"]["resourceVersion"] = .string(String(state.revision))
        let object = Object(tree)
        let old = state.objects[resource, default: [:]].updateValue(object, forKey: object.key)
        for (watched, continuation) in state.watchers where watched == resource {
            continuation.yield(WatchEvent(old == nil ? .added : .modified, object))
        }
        return object
    }

    func objects(_ resource: GroupVersionResource) -> [Object] {
        state.withLock { Array($0.objects[resource, default: [:]].values) }
    }
    func get(_ resource: GroupVersionResource, _ key: ObjectKey) async throws -> Object {
        guard let found = state.withLock({ $0.objects[resource]?[key] }) else {
            throw StatusError.notFound(resource.groupResource, name: key.name)
        }
        return found
    }
    func list(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws -> ObjectList {
        state.withLock {
            ObjectList(items: Array($0.objects[resource, default: [:]].values), resourceVersion: $0.revision)
        }
    }
    func watch(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws
        -> AsyncThrowingStream<WatchEvent, any Error>
    {
        let (stream, continuation) = AsyncThrowingStream<WatchEvent, any Error>.makeStream()
        state.withLock { state in
            let after = Revision(options.resourceVersion) ?? 0
            for object in state.objects[resource, default: [:]].values where object.metadata.resourceVersion > after {
                continuation.yield(WatchEvent(.modified, object))
            }
            state.watchers.append((resource, continuation))
        }
        return stream
    }
    func create(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object {
        put(resource, object)
    }
    func update(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object {
        put(resource, object)
    }
    func patch(
        _ resource: GroupVersionResource, _ key: ObjectKey, _ type: PatchType, _ patch: JSON, options: WriteOptions
    ) async throws -> Object {
        try state.withLock { state in
            guard let old = state.objects[resource]?[key] else {
                throw StatusError.notFound(resource.groupResource, name: key.name)
            }
            return Self.put(&state, resource, old.tree.mergePatched(with: patch))
        }
    }
    func delete(_ resource: GroupVersionResource, _ key: ObjectKey, options: DeleteOptions) async throws -> Object {
        try state.withLock { state in
            guard let old = state.objects[resource]?.removeValue(forKey: key) else {
                throw StatusError.notFound(resource.groupResource, name: key.name)
            }
            state.revision += 1
            for (watched, continuation) in state.watchers where watched == resource {
                continuation.yield(WatchEvent(.deleted, old))
            }
            return old
        }
    }
    func post(_ resource: GroupVersionResource, _ key: ObjectKey, subresource: String, _ body: JSON) async throws
        -> JSON
    {
        try state.withLock { state in
            guard var tree = state.objects[resource]?[key]?.tree else {
                throw StatusError.notFound(resource.groupResource, name: key.name)
            }
            if state.failures > 0 {
                state.failures -= 1
                throw StatusError.serviceUnavailable("try again")
            }
            tree["spec"]["nodeName"] = body["target"]["name"]
            _ = Self.put(&state, resource, tree)
            return ["kind": "Status", "status": "Success"]
        }
    }
    func resources() async throws -> [ServedResource] { [] }
}

@Suite("Scheduler service")
struct ServiceTests {
    private func podTree(_ name: String, cpu: String) -> JSON {
        [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": ["namespace": "default", "name": .string(name), "uid": .string("uid-\(name)")],
            "spec": ["containers": [["name": "c", "image": "x", "resources": ["requests": ["cpu": .string(cpu)]]]]],
        ]
    }

    @Test("Pods are bound, failures are repeated, and what does not fit is told so")
    func run() async throws {
        let transport = MemoryTransport()
        let service = SchedulerService(
            client: ClusterClient(transport: transport, component: "default-scheduler"), logger: Logger(label: "test"))
        transport.failBindings(2)
        for index in 0..<20 { transport.put(.pods, podTree("p\(index)", cpu: "100m")) }
        let task = Task { try await service.run() }
        defer { task.cancel() }
        for name in ["a", "b"] {
            transport.put(
                .nodes,
                [
                    "apiVersion": "v1", "kind": "Node", "metadata": ["name": .string(name)],
                    "status": ["allocatable": ["cpu": "2", "memory": "4Gi", "pods": "110"]],
                ])
        }
        transport.put(.pods, podTree("huge", cpu: "64"))
        try await eventually("all pods but one are bound") {
            transport.objects(.pods).count { $0.tree["spec"]["nodeName"].string != nil } == 20
        }
        try await eventually("the huge pod's condition and event say why") {
            let condition =
                transport.objects(.pods).first { $0.name == "huge" }?.tree["status"]["conditions"][0] ?? JSON.null
            let events = transport.objects(.events).map(\.tree)
            return condition["reason"].string == "Unschedulable"
                && condition["message"].string?.hasPrefix("0/2 nodes are available: 2 Insufficient cpu.") == true
                && events.contains {
                    $0["reason"].string == "FailedScheduling" && $0["involvedObject"]["name"].string == "huge"
                }
                && events.contains {
                    $0["reason"].string == "Scheduled"
                        && $0["message"].string?.hasPrefix("Successfully assigned default/p") == true
                }
        }
    }

    /// Waits for a state, generously bounded.
    private func eventually(_ what: Comment, _ condition: () -> Bool) async throws {
        for _ in 0..<6000 {
            if condition() { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record(what)
    }
}
