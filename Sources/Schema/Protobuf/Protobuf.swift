public import JSON
public import ObjectModel

/// Why bytes are not a Kubernetes protobuf document.
public struct ProtobufError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) {
        self.description = description
    }
}

/// The protobuf form of the API (kubernetes-api.md §3): a document is `k8s\0` and a `runtime.Unknown` message around the
/// object's own message; a list holds the messages of its items, a watch frame a whole document. Only built-in kinds have
/// it, and of every kind the metadata alone.
///
/// Everything follows from the field numbers of the schema tables: `ProtobufPlan` prepares them, `ProtobufEncoder` and
/// `ProtobufDecoder` walk them.
public enum Protobuf {
    /// The media type of documents.
    public static let mediaType = "application/vnd.kubernetes.protobuf"
    /// `meta.k8s.io/v1 PartialObjectMetadata`
    public static let partialMetadata = GroupVersionKind(
        group: "meta.k8s.io", version: "v1", kind: "PartialObjectMetadata")

    // MARK: Reading

    /// Decodes a document. The members get the names and shapes they have in JSON.
    ///
    /// Protobuf does not tell a member that is zero from one that was never set when Go holds it by value; such members
    /// are left out, as Go's JSON does. Which zeros mean something is in `Presence`.
    /// - Parameter kind: what the document is when it does not say so itself.
    /// - Throws: `ProtobufError` for malformed bytes and kinds that are not known.
    public static func decode(_ bytes: [UInt8], expecting kind: GroupVersionKind) throws(ProtobufError) -> JSON {
        try ProtobufDecoder(.builtin).document(bytes[...], expecting: kind)
    }

    // MARK: Messages

    /// Whether a kind has a protobuf form.
    public static func has(_ kind: GroupVersionKind) -> Bool {
        kind == partialMetadata || ProtobufPlan.builtin.schema.place(of: kind) != nil
    }

    /// The message of an object without its envelope; nil when its kind has none.
    public static func message(_ tree: JSON, kind: GroupVersionKind) -> [UInt8]? {
        if kind == partialMetadata { return metadataMessage(tree["metadata"]) }
        guard let place = ProtobufPlan.builtin.schema.place(of: kind) else { return nil }
        return ProtobufEncoder(.builtin).message(tree, place)
    }

    /// The message of `PartialObjectMetadata` with these metadata.
    public static func metadataMessage(_ metadata: JSON) -> [UInt8] {
        let encoded = ProtobufEncoder(.builtin).message(metadata, ProtobufPlan.builtin.metadata)
        var writer = ProtobufWriter(capacity: encoded.count + 8)
        writer.bytes(1, encoded)
        return writer.bytes
    }

    /// The same, cut out of the message of a whole object; nil when that has no metadata.
    public static func metadataMessage(ofWhole message: [UInt8]) -> [UInt8]? {
        var wire = ProtobufWire(message[...])
        while let field = try? wire.next() {
            guard field.number == 1 else { continue }
            guard case .bytes(let bytes) = field.value else { return nil }
            var writer = ProtobufWriter(capacity: bytes.count + 8)
            writer.bytes(1, Array(bytes))
            return writer.bytes
        }
        return nil
    }

    // MARK: Documents

    /// A whole document; nil when the kind of the tree has no protobuf form.
    public static func document(_ tree: JSON) -> [UInt8]? {
        let kind = GroupVersionKind(apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")
        return message(tree, kind: kind).map { document($0, kind: kind) }
    }

    /// The envelope around the message of an object.
    public static func document(_ message: [UInt8], kind: GroupVersionKind) -> [UInt8] {
        var writer = ProtobufWriter(capacity: message.count + 128)
        writer.raw(trailer)
        writer.raw(message)
        open(kind, messageBytes: message.count, &writer)
        return writer.bytes
    }

    /// The beginning of a list document, up to its items. Follow it by every item's message behind `itemHeader`, then by
    /// `trailer`.
    ///
    /// - Parameters:
    ///   - metadata: `ListMeta`.
    ///   - itemsBytes: all items' messages with their headers.
    public static func listOpening(_ kind: GroupVersionKind, metadata: JSON, itemsBytes: Int) -> [UInt8] {
        let list = ProtobufEncoder(.builtin).message(metadata, ProtobufPlan.builtin.listMetadata)
        var writer = ProtobufWriter(capacity: list.count + 128)
        writer.bytes(1, list)
        open(kind, messageBytes: writer.count + itemsBytes, &writer)
        return writer.bytes
    }

    /// What stands in front of an item's message in a list.
    public static func itemHeader(messageBytes: Int) -> [UInt8] {
        var writer = ProtobufWriter(capacity: 16)
        writer.varint(UInt64(messageBytes))
        writer.tag(2, 2)
        return writer.bytes
    }

    /// The end of every document: no content encoding, no content type.
    public static let trailer: [UInt8] = [0x1A, 0x00, 0x22, 0x00]

    /// A frame of a watch: four bytes of length, then a `WatchEvent` around a document.
    public static func watchFrame(_ type: String, _ message: [UInt8], kind: GroupVersionKind) -> [UInt8] {
        var writer = ProtobufWriter(capacity: message.count + 256)
        writer.raw(trailer)
        writer.raw(message)
        open(kind, messageBytes: message.count, &writer)
        writer.close(1, since: 0)
        writer.close(2, since: 0)
        writer.text(1, type)
        let length = UInt32(writer.count)
        writer.raw((0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) })
        return writer.bytes
    }

    /// Magic, type and the header of the message, in front of it.
    private static func open(_ kind: GroupVersionKind, messageBytes: Int, _ writer: inout ProtobufWriter) {
        writer.varint(UInt64(messageBytes))
        writer.tag(2, 2)
        let mark = writer.count
        writer.text(2, kind.kind)
        writer.text(1, kind.apiVersion)
        writer.close(1, since: mark)
        writer.raw([0x6B, 0x38, 0x73, 0x00])
    }
}
