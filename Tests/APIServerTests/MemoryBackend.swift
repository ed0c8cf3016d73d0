import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Schema
import Synchronization

/// The verbs without rules: enough storage to exercise HTTP.
final class MemoryBackend: APIBackend {
    private struct State {
        var objects: [GroupVersionResource: [ObjectKey: Object]] = [:]
        var revision: Revision = 1
        var nextWatcher = 0
        var watchers: [Int: (GroupVersionResource, WatchChannel)] = [:]
    }
    private let state = Mutex(State())
    let catalog = Catalog.builtin
    /// Requests wait for this before a get is answered.
    let gate = Mutex<(@Sendable () async -> Void)?>(nil)

    var watcherCount: Int { state.withLock { $0.watchers.count } }

    func get(_ resource: ResourceDefinition, _ key: ObjectKey, resourceVersion: String) async throws -> Object {
        if let gate = gate.withLock({ $0 }) { await gate() }
        guard let object = state.withLock({ $0.objects[resource.resource]?[key] }) else {
            throw StatusError.notFound(resource.resource.groupResource, name: key.name)
        }
        return object
    }

    func list(_ resource: ResourceDefinition, namespace: String?, options: ListOptions) async throws -> ObjectList {
        let (all, revision) = state.withLock { (Array(($0.objects[resource.resource] ?? [:]).values), $0.revision) }
        let items = all.filter { object in
            (namespace == nil || object.namespace == namespace)
                && options.labelSelector.matches(object.metadata.labels)
                && options.fieldSelector.requirements.allSatisfy { requirement in
                    (catalog.selectableField(requirement.field, of: object, resource: resource.resource)
                        == requirement.value) == requirement.isEqual
                }
        }
        return ObjectList(items: items.sorted { $0.key < $1.key }, resourceVersion: revision)
    }

    func watch(_ resource: ResourceDefinition, namespace: String?, query: WatchQuery) async throws -> WatchSubscription
    {
        if query.resourceVersion == "1" { throw StatusError.expired("too old resource version: 1 (2)") }
        let channel = WatchChannel(capacity: 1000)
        let (id, existing) = state.withLock { state in
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = (resource.resource, channel)
            return (state.nextWatcher, Array((state.objects[resource.resource] ?? [:]).values))
        }
        for object in existing { _ = channel.append(WatchEvent(.added, object)) }
        return WatchSubscription(channel: channel, kind: resource.kind) { [weak self] in
            _ = self?.state.withLock { $0.watchers.removeValue(forKey: id) }
            channel.finish()
        }
    }

    private func store(_ resource: ResourceDefinition, _ body: JSON, _ kind: WatchEvent.Kind) -> Object {
        let (object, channels) = state.withLock { state in
            state.revision += 1
            var tree = body
            tree["metadata"]["resourceVersion"] = .string(String(state.revision))
            if tree["metadata"]["uid"].isNull { tree["metadata"]["uid"] = .string("uid-\(state.revision)") }
            let object = Object(tree)
            if kind == .deleted {
                state.objects[resource.resource]?[object.key] = nil
            } else {
                state.objects[resource.resource, default: [:]][object.key] = object
            }
            return (object, state.watchers.values.filter { $0.0 == resource.resource }.map(\.1))
        }
        for channel in channels { _ = channel.append(WatchEvent(kind, object)) }
        WatchChannel.wake(channels)
        return object
    }

    func create(
        _ resource: ResourceDefinition, namespace: String, name: String, subresource: String?, body: JSON,
        context: RequestContext
    ) async throws -> WriteResult {
        for path in context.duplicateFields { context.warn("duplicate field \"\(path)\"") }
        var body = body
        if resource.isNamespaced { body["metadata"]["namespace"] = .string(namespace) }
        let key = ObjectKey(namespace: namespace, name: body["metadata"]["name"].string ?? "")
        if state.withLock({ $0.objects[resource.resource]?[key] != nil }) {
            throw StatusError.alreadyExists(resource.resource.groupResource, name: key.name)
        }
        if context.isDryRun { return WriteResult(object: Object(body), isCreated: true) }
        return WriteResult(object: store(resource, body, .added), isCreated: true)
    }

    func update(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String?, body: JSON, context: RequestContext
    ) async throws -> WriteResult {
        var body = body
        if resource.isNamespaced { body["metadata"]["namespace"] = .string(key.namespace) }
        return WriteResult(object: store(resource, body, .modified), isCreated: false)
    }

    func patch(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String?, type: PatchType, patch: JSON,
        force: Bool, context: RequestContext
    ) async throws -> WriteResult {
        let old = try await get(resource, key, resourceVersion: "")
        let new = type == .json ? try old.tree.jsonPatched(with: patch) : old.tree.mergePatched(with: patch)
        return WriteResult(object: store(resource, new, .modified), isCreated: false)
    }

    func delete(_ resource: ResourceDefinition, _ key: ObjectKey, options: DeleteOptions, context: RequestContext)
        async throws -> DeleteResult
    {
        let old = try await get(resource, key, resourceVersion: "")
        return DeleteResult(object: store(resource, old.tree, .deleted), isGone: true)
    }

    func deleteCollection(
        _ resource: ResourceDefinition, namespace: String?, list: ListOptions, options: DeleteOptions,
        context: RequestContext
    ) async throws -> ObjectList {
        let found = try await self.list(resource, namespace: namespace, options: list)
        for object in found.items { _ = store(resource, object.tree, .deleted) }
        return found
    }

    func getSubresource(_ resource: ResourceDefinition, _ key: ObjectKey, subresource: String) async throws -> JSON {
        ["kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": ["name": .string(key.name)]]
    }

    /// Stores an object without a request.
    func put(_ resource: GroupVersionResource, _ json: JSON) {
        if let definition = catalog.resource(resource) { _ = store(definition, json, .added) }
    }
}
