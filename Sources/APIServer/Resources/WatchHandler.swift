import APIMachinery
import ClusterClient
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema

extension Dispatcher {
    /// A stream of `{"type":…,"object":…}` lines until the client leaves, its time is over, or it is too slow.
    func watch(_ call: Call, _ definition: ResourceDefinition) async throws -> Answer {
        let query = try Options.watch(call, definition, backend.catalog)
        let form = try Representation(call.request, protobuf: Protobuf.has(definition.kind))
        guard form.encoding != .yaml else {
            throw Representation.notAcceptable([
                "application/json", "application/json;stream=watch", Protobuf.mediaType + ";stream=watch",
            ])
        }
        let include = try includeObject(call)
        let seconds = try watchSeconds(call)
        let namespace = call.info.namespace.isEmpty || !definition.isNamespaced ? nil : call.info.namespace
        let catalog = backend.catalog
        let type = form.encoding == .protobuf ? Protobuf.mediaType + ";stream=watch" : "application/json"
        let head = Response(status: .ok, headers: ["Content-Type": type])
        let new = WatchFrames(form: form, catalog: catalog, resource: definition.resource, includeObject: include)
        let subscription: WatchSubscription
        do {
            subscription = try await backend.watch(definition, namespace: namespace, query: query)
        } catch let error as StatusError where error.reason == .expired {
            // A past that is gone is told in the stream, as everything is after the parameters were found good.
            return .streamed(head) { exchange in
                var frames = new
                frames.append(error)
                try await exchange.write(frames.take())
            }
        }
        let sent = metrics.watchEvents(of: definition.kind)
        return .streamed(head) { exchange in
            defer { subscription.cancel() }
            exchange.setTimeout(.seconds(seconds), isError: false)
            var frames = new
            do {
                for try await batch in subscription.events {
                    sent.count.add(batch.count, ordering: .relaxed)
                    for event in batch {
                        frames.append(event)
                        if frames.isLarge { try await exchange.write(frames.take()) }
                    }
                    if !frames.isEmpty { try await exchange.write(frames.take()) }
                }
            } catch let error as StatusError {
                // The head is long gone: an error is an event.
                frames.append(error)
                try await exchange.write(frames.take())
            } catch is CancellationError {
                // Time is over or the server stops: the stream ends in good order.
            }
        }
    }

    private func watchSeconds(_ call: Call) throws -> Int {
        if let text = call.request.query["timeoutSeconds"], !text.isEmpty {
            guard let seconds = Int(text), seconds >= 0 else {
                throw StatusError.badRequest(
                    "invalid timeoutSeconds \"\(text)\": must be a number that is not negative")
            }
            if seconds > 0 { return min(seconds, 24 * 3600) }
        }
        let shortest = max(1, configuration.limits.minimumWatchSeconds)
        return Int.random(in: shortest...(2 * shortest))
    }
}

/// Frames of a watch, gathered into one buffer per batch.
struct WatchFrames {
    private let shape: Representation.Shape
    private let isProtobuf: Bool
    private let catalog: Catalog
    private let resource: GroupVersionResource
    private let includeObject: String
    private var areColumnsSent = false
    private var buffer = ByteBuffer()

    init(form: Representation, catalog: Catalog, resource: GroupVersionResource, includeObject: String) {
        shape = form.shape
        isProtobuf = form.encoding == .protobuf
        self.catalog = catalog
        self.resource = resource
        self.includeObject = includeObject
    }

    var isEmpty: Bool { buffer.readableBytes == 0 }
    var isLarge: Bool { buffer.readableBytes >= 64 * 1024 }

    mutating func take() -> ByteBuffer {
        defer { buffer = ByteBuffer() }
        return buffer
    }

    mutating func append(_ event: WatchEvent) {
        if isProtobuf {
            buffer.writeBytes(ProtobufFrames.frame(event, shape))
            return
        }
        switch event.kind {
        case .added: buffer.writeStaticString("{\"type\":\"ADDED\",\"object\":")
        case .modified: buffer.writeStaticString("{\"type\":\"MODIFIED\",\"object\":")
        case .deleted: buffer.writeStaticString("{\"type\":\"DELETED\",\"object\":")
        case .bookmark: buffer.writeStaticString("{\"type\":\"BOOKMARK\",\"object\":")
        }
        switch shape {
        case .whole: buffer.writeBytes(event.object.bytes)
        case .metadata: buffer.writeBytes(partial(event.object).encoded())
        case .table: buffer.writeBytes(table(event).encoded())
        }
        buffer.writeStaticString("}\n")
    }

    mutating func append(_ error: StatusError) {
        if isProtobuf {
            buffer.writeBytes(ProtobufFrames.frame(error))
            return
        }
        buffer.writeStaticString("{\"type\":\"ERROR\",\"object\":")
        buffer.writeBytes(error.json.encoded())
        buffer.writeStaticString("}\n")
    }

    private func partial(_ object: Object) -> JSON {
        ["kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.tree["metadata"]]
    }

    private mutating func table(_ event: WatchEvent) -> JSON {
        let version: JSON = ["resourceVersion": .string(String(event.object.metadata.resourceVersion))]
        if event.kind == .bookmark {
            return [
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": version, "columnDefinitions": [],
                "rows": [],
            ]
        }
        // Columns stand in the first event only.
        defer { areColumnsSent = true }
        return catalog.table(
            of: [event.object], resource: resource, includeObject: includeObject, includeColumns: !areColumnsSent,
            metadata: version, now: .now)
    }
}
