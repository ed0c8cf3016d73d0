import ClusterClient
import JSON
import ObjectModel

/// Tells of changes of one resource later than they happen: what a copy of it shows is behind, and behind the copies of
/// other resources.
struct LateTransport: ClusterTransport {
    let base: any ClusterTransport
    let late: GroupVersionResource
    let by: Duration

    func watch(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws
        -> AsyncThrowingStream<WatchEvent, any Error>
    {
        let events = try await base.watch(resource, namespace: namespace, options: options)
        guard resource == late else { return events }
        let (dated, dater) = AsyncThrowingStream.makeStream(of: (WatchEvent, ContinuousClock.Instant).self)
        let (told, teller) = AsyncThrowingStream.makeStream(of: WatchEvent.self)
        let reading = Task {
            do {
                for try await event in events { dater.yield((event, .now + by)) }
                dater.finish()
            } catch {
                dater.finish(throwing: error)
            }
        }
        let telling = Task {
            do {
                for try await (event, due) in dated {
                    try await Task.sleep(until: due)
                    teller.yield(event)
                }
                teller.finish()
            } catch {
                teller.finish(throwing: error)
            }
        }
        teller.onTermination = { _ in
            reading.cancel()
            telling.cancel()
        }
        return told
    }

    // MARK: As it is

    func get(_ resource: GroupVersionResource, _ key: ObjectKey) async throws -> Object {
        try await base.get(resource, key)
    }
    func list(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws -> ObjectList {
        try await base.list(resource, namespace: namespace, options: options)
    }
    func create(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object {
        try await base.create(resource, object, options: options)
    }
    func update(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object {
        try await base.update(resource, object, options: options)
    }
    func patch(
        _ resource: GroupVersionResource, _ key: ObjectKey, _ type: PatchType, _ patch: JSON, options: WriteOptions
    ) async throws -> Object {
        try await base.patch(resource, key, type, patch, options: options)
    }
    func delete(_ resource: GroupVersionResource, _ key: ObjectKey, options: DeleteOptions) async throws -> Object {
        try await base.delete(resource, key, options: options)
    }
    func post(_ resource: GroupVersionResource, _ key: ObjectKey, subresource: String, _ body: JSON) async throws
        -> JSON
    {
        try await base.post(resource, key, subresource: subresource, body)
    }
    func resources() async throws -> [ServedResource] { try await base.resources() }
}
