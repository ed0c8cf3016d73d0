public import ClusterClient
public import JSON
public import ObjectModel
import Schema
public import Security

/// The way to the cluster for components inside the server's process: function calls, and the same `Object` references
/// that the watch cache holds. Every failure is a `StatusError`.
public struct LocalTransport: ClusterTransport {
    private let machinery: Machinery
    private let user: UserInfo

    /// - Parameter user: in whose name the component writes (admission sees it; nothing else is checked).
    public init(machinery: Machinery, user: UserInfo = .system) {
        self.machinery = machinery
        self.user = user
    }

    private func definition(_ resource: GroupVersionResource) throws -> ResourceDefinition {
        guard let definition = machinery.catalog.resource(resource) else {
            throw StatusError(
                code: 404, reason: .notFound, message: "the server could not find the requested resource (\(resource))")
        }
        return definition
    }

    private func context(_ options: WriteOptions = WriteOptions(), isUntracked: Bool = false) -> RequestContext {
        RequestContext(
            user: user, fieldManager: options.fieldManager, fieldValidation: .ignore, isDryRun: options.isDryRun,
            isUntracked: isUntracked)
    }

    public func get(_ resource: GroupVersionResource, _ key: ObjectKey) async throws -> Object {
        try await machinery.get(try definition(resource), key, resourceVersion: "")
    }

    public func list(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws
        -> ObjectList
    {
        try await machinery.list(try definition(resource), namespace: namespace, options: options)
    }

    public func watch(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws
        -> AsyncThrowingStream<WatchEvent, any Error>
    {
        var query = WatchQuery()
        query.labelSelector = options.labelSelector
        query.fieldSelector = options.fieldSelector
        query.resourceVersion = options.resourceVersion
        query.allowBookmarks = options.allowBookmarks
        let subscription = try await machinery.watch(try definition(resource), namespace: namespace, query: query)
        let single = SingleEvents(subscription)
        return AsyncThrowingStream { try await single.next() }
    }

    public func create(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object {
        let definition = try definition(resource)
        var object = object
        let metadata = object["metadata"]
        // One empty entry says, as in an update, that nobody owns the fields.
        let isUntracked = metadata["managedFields"] == [[:]]
        if isUntracked { object["metadata"].removeMember("managedFields") }
        return try await machinery.create(
            definition, namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "",
            subresource: options.subresource, body: object, context: context(options, isUntracked: isUntracked)
        ).object
    }

    public func update(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object {
        let metadata = object["metadata"]
        let key = ObjectKey(namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "")
        return try await machinery.update(
            try definition(resource), key, subresource: options.subresource, body: object, context: context(options)
        ).object
    }

    public func patch(
        _ resource: GroupVersionResource, _ key: ObjectKey, _ type: PatchType, _ patch: JSON, options: WriteOptions
    ) async throws -> Object {
        try await machinery.patch(
            try definition(resource), key, subresource: options.subresource, type: type, patch: patch, force: false,
            context: context(options)
        ).object
    }

    @discardableResult
    public func delete(_ resource: GroupVersionResource, _ key: ObjectKey, options: DeleteOptions) async throws
        -> Object
    {
        try await machinery.delete(try definition(resource), key, options: options, context: context()).object
    }

    @discardableResult
    public func post(_ resource: GroupVersionResource, _ key: ObjectKey, subresource: String, _ body: JSON) async throws
        -> JSON
    {
        try await machinery.create(
            try definition(resource), namespace: key.namespace, name: key.name, subresource: subresource, body: body,
            context: context()
        ).object.tree
    }

    public func resources() async throws -> [ServedResource] {
        machinery.catalog.resources.map {
            ServedResource(resource: $0.resource, kind: $0.kind.kind, isNamespaced: $0.isNamespaced, verbs: $0.verbs)
        }
    }
}

/// Takes the batches of a subscription apart. Read by one task at a time, as streams are; the lock only proves it.
private actor SingleEvents {
    private var iterator: AsyncThrowingStream<[WatchEvent], any Error>.Iterator
    private var batch: ArraySlice<WatchEvent> = []

    init(_ subscription: WatchSubscription) {
        iterator = subscription.events.makeAsyncIterator()
    }

    func next() async throws -> WatchEvent? {
        while true {
            if let event = batch.popFirst() { return event }
            var reader = iterator
            guard let more = try await reader.next(isolation: #isolation) else { return nil }
            iterator = reader
            batch = more[...]
        }
    }
}
