import ClusterClient
import JSON
import Logging
import ObjectModel
import Synchronization

/// A config map, secret or claim that a pod on this node names.
struct ObjectReference: Sendable, Hashable {
    var resource: GroupVersionResource
    var key: ObjectKey
}

/// Keeps exactly those objects current that the pods of this node use: one watch per object, as long as a pod needs it.
final class ObjectCache: Sendable {
    private struct Entry {
        var informer: Informer<Object>
        var task: Task<Void, Never>
        var users: [String: @Sendable () -> Void]
    }
    private let client: ClusterClient
    private let logger: Logger
    private let entries = Mutex<[ObjectReference: Entry]>([:])

    init(client: ClusterClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    /// Sets which objects a user (a pod's uid) needs; `onChange` is called when one of them changes.
    func use(_ references: Set<ObjectReference>, by user: String, onChange: @escaping @Sendable () -> Void) {
        let ended: [Task<Void, Never>] = entries.withLock { entries in
            var ended: [Task<Void, Never>] = []
            for reference in Array(entries.keys) where !references.contains(reference) {
                entries[reference]?.users.removeValue(forKey: user)
                if entries[reference]?.users.isEmpty == true, let entry = entries.removeValue(forKey: reference) {
                    ended.append(entry.task)
                }
            }
            for reference in references {
                if entries[reference] == nil { entries[reference] = makeEntry(reference) }
                entries[reference]?.users[user] = onChange
            }
            return ended
        }
        for task in ended { task.cancel() }
    }
    func release(_ user: String) {
        use([], by: user) {}
    }

    /// The object as it is now; nil when it does not exist.
    func object(_ reference: ObjectReference) async throws -> Object? {
        let informer = entries.withLock { $0[reference]?.informer }
        if let informer, informer.isSynced { return informer[reference.key] }
        return try await client.find(reference.resource, reference.key)
    }

    private func makeEntry(_ reference: ObjectReference) -> Entry {
        let selector = FieldSelector([.init(field: "metadata.name", value: reference.key.name, isEqual: true)])
        let informer = Informer<Object>(
            reference.resource, client: client,
            namespace: reference.key.namespace.isEmpty ? nil : reference.key.namespace,
            options: ListOptions(fieldSelector: selector), logger: logger
        ) { $0 }
        informer.subscribe { [weak self] _ in self?.changed(reference) }
        let task = Task { _ = try? await informer.run() }
        return Entry(informer: informer, task: task, users: [:])
    }
    private func changed(_ reference: ObjectReference) {
        let handlers = entries.withLock { entries in entries[reference].map { Array($0.users.values) } ?? [] }
        for handler in handlers { handler() }
    }
}

extension Pod {
    /// All config maps, secrets and claims that the pod names.
    var references: Set<ObjectReference> {
        var result: Set<ObjectReference> = []
        func add(_ resource: GroupVersionResource, _ name: JSON) {
            guard let name = name.string, !name.isEmpty else { return }
            result.insert(ObjectReference(resource: resource, key: ObjectKey(namespace: namespace, name: name)))
        }
        for name in spec.imagePullSecrets { add(.secrets, .string(name)) }
        for container in allContainers {
            for entry in container.environment {
                add(.configMaps, entry["valueFrom"]["configMapKeyRef"]["name"])
                add(.secrets, entry["valueFrom"]["secretKeyRef"]["name"])
            }
            for source in container.environmentFrom {
                add(.configMaps, source["configMapRef"]["name"])
                add(.secrets, source["secretRef"]["name"])
            }
        }
        for volume in spec.volumes {
            add(.configMaps, volume["configMap"]["name"])
            add(.secrets, volume["secret"]["secretName"])
            for source in volume["projected"]["sources"].elements {
                add(.configMaps, source["configMap"]["name"])
                add(.secrets, source["secret"]["name"])
            }
        }
        return result
    }
}
