import ClusterClient
import JSON
import NIOCore
import ObjectModel
import Schema

/// Turns the events of a watch into bytes.
struct WatchFrames {
    private let form: Representation
    private let catalog: Catalog
    private let resource: GroupVersionResource
    private let includeObject: String
    private var areColumnsSent = false
    /// A buffer that reached this is sent before more is put into it.
    static let largeBytes = 64 * 1024

    init(form: Representation, catalog: Catalog, resource: GroupVersionResource, includeObject: String) {
        self.form = form
        self.catalog = catalog
        self.resource = resource
        self.includeObject = includeObject
    }

    /// Whether other watches with the same form are sent the same bytes for the same events. In tables the columns stand
    /// in the first event only.
    var areShared: Bool { form.shape != .table }

    /// Whether the bytes are protobuf, each event after its length (four bytes), instead of lines of JSON.
    var isBinary: Bool { form.encoding == .protobuf }

    /// The form that the bytes have, for those that share them.
    var sharing: Representation { form }

    /// Takes events off the front and encodes them, until the buffer is large.
    /// - Parameter inChunk: puts the frame of an HTTP/1.1 chunk around them.
    mutating func frame(_ events: inout ArraySlice<WatchEvent>, inChunk: Bool) -> ByteBuffer {
        var buffer = ByteBuffer()
        let head = inChunk ? Self.chunkHeadBytes : 0
        var expected = head + 2
        for event in events {
            expected += event.object.bytes.count + 48
            if expected >= Self.largeBytes { break }
        }
        buffer.reserveCapacity(expected)
        buffer.moveWriterIndex(to: head)
        while buffer.readableBytes < Self.largeBytes, let event = events.popFirst() { append(event, to: &buffer) }
        if inChunk { Self.close(&buffer) }
        return buffer
    }

    /// Room for the length of a chunk and the end of its line.
    private static let chunkHeadBytes = 10

    /// Makes a chunk of what stands behind the room for its head.
    private static func close(_ buffer: inout ByteBuffer) {
        let length = String(buffer.readableBytes - chunkHeadBytes, radix: 16) + "\r\n"
        let start = chunkHeadBytes - length.utf8.count
        buffer.setString(length, at: start)
        buffer.moveReaderIndex(to: start)
        buffer.writeStaticString("\r\n")
    }

    private mutating func append(_ event: WatchEvent, to buffer: inout ByteBuffer) {
        if form.encoding == .protobuf {
            buffer.writeBytes(ProtobufFrames.frame(event, form.shape))
            return
        }
        switch event.kind {
        case .added: buffer.writeStaticString("{\"type\":\"ADDED\",\"object\":")
        case .modified: buffer.writeStaticString("{\"type\":\"MODIFIED\",\"object\":")
        case .deleted: buffer.writeStaticString("{\"type\":\"DELETED\",\"object\":")
        case .bookmark: buffer.writeStaticString("{\"type\":\"BOOKMARK\",\"object\":")
        }
        switch form.shape {
        case .whole: buffer.writeBytes(event.object.bytes)
        case .metadata: buffer.writeBytes(partial(event.object).encoded())
        case .table: buffer.writeBytes(table(event).encoded())
        }
        buffer.writeStaticString("}\n")
    }

    /// An error as an event.
    func frame(_ error: StatusError) -> ByteBuffer {
        var buffer = ByteBuffer()
        if form.encoding == .protobuf {
            buffer.writeBytes(ProtobufFrames.frame(error))
        } else {
            buffer.writeStaticString("{\"type\":\"ERROR\",\"object\":")
            buffer.writeBytes(error.json.encoded())
            buffer.writeStaticString("}\n")
        }
        return buffer
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

/// What was encoded last on an event loop. Most watches of a resource are told the same, one right after the other, so
/// that it is encoded once for all of them.
final class FrameMemo {
    private struct Key: Equatable {
        var form: Representation
        var kind: GroupVersionKind
        var inChunk: Bool
    }
    private var key: Key?
    private var events: [WatchEvent] = []
    private var buffer = ByteBuffer()

    /// The bytes of the same events for a watch of the same form; nil when something else was encoded last.
    func find(_ asked: ArraySlice<WatchEvent>, _ form: Representation, _ kind: GroupVersionKind, inChunk: Bool)
        -> ByteBuffer?
    {
        guard asked.count == events.count, let key, key.inChunk == inChunk, key.form == form, key.kind == kind,
            zip(asked, events).allSatisfy({ $0.object === $1.object && $0.kind == $1.kind })
        else { return nil }
        return buffer
    }

    func keep(
        _ buffer: ByteBuffer, of events: ArraySlice<WatchEvent>, _ form: Representation, _ kind: GroupVersionKind,
        inChunk: Bool
    ) {
        key = Key(form: form, kind: kind, inChunk: inChunk)
        self.events = Array(events)
        self.buffer = buffer
    }

    func clear() {
        key = nil
        events = []
        buffer = ByteBuffer()
    }
}
