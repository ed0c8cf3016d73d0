public import JSON
public import ObjectModel

extension ClusterClient {
    public func get(_ resource: GroupVersionResource, _ key: ObjectKey) async throws -> Object {
        try await transport.get(resource, key)
    }
    /// The object, or nil when it does not exist.
    public func find(_ resource: GroupVersionResource, _ key: ObjectKey) async throws -> Object? {
        do {
            return try await transport.get(resource, key)
        } catch let error as StatusError where error.reason == .notFound {
            return nil
        }
    }
    public func list(
        _ resource: GroupVersionResource, namespace: String? = nil, options: ListOptions = ListOptions()
    ) async throws -> ObjectList {
        try await transport.list(resource, namespace: namespace, options: options)
    }
    public func watch(_ resource: GroupVersionResource, namespace: String? = nil, options: ListOptions) async throws
        -> AsyncThrowingStream<WatchEvent, any Error>
    {
        try await transport.watch(resource, namespace: namespace, options: options)
    }
    @discardableResult
    public func create(_ resource: GroupVersionResource, _ object: JSON) async throws -> Object {
        try await transport.create(resource, object, options: WriteOptions(fieldManager: component))
    }
    /// Replaces the object (guarded by its `metadata.resourceVersion` when that is set).
    @discardableResult
    public func update(_ resource: GroupVersionResource, _ object: JSON, subresource: String? = nil) async throws
        -> Object
    {
        try await transport.update(
            resource, object, options: WriteOptions(subresource: subresource, fieldManager: component))
    }
    @discardableResult
    public func patch(
        _ resource: GroupVersionResource, _ key: ObjectKey, _ type: PatchType = .merge, _ patch: JSON,
        subresource: String? = nil
    ) async throws -> Object {
        try await transport.patch(
            resource, key, type, patch, options: WriteOptions(subresource: subresource, fieldManager: component))
    }
    /// Deletes; an object that does not exist is success.
    public func delete(_ resource: GroupVersionResource, _ key: ObjectKey, options: DeleteOptions = DeleteOptions())
        async throws
    {
        do {
            try await transport.delete(resource, key, options: options)
        } catch let error as StatusError where error.reason == .notFound {
            return
        }
    }
    /// Reads, changes and writes until no other writer came between (at most 10 times).
    /// - Parameter change: edits the tree; return false to leave the object as it is.
    /// - Returns: the object as it is then; nil when it does not exist.
    @discardableResult
    public func modify(
        _ resource: GroupVersionResource, _ key: ObjectKey, subresource: String? = nil,
        _ change: @Sendable (inout JSON) throws -> Bool
    ) async throws -> Object? {
        var last: StatusError?
        for _ in 0..<10 {
            guard let current = try await find(resource, key) else { return nil }
            var tree = current.tree
            guard try change(&tree) else { return current }
            do {
                return try await update(resource, tree, subresource: subresource)
            } catch let error as StatusError where error.reason == .conflict {
                last = error
            }
        }
        throw last ?? StatusError.internalError("no attempt was made")
    }
}
