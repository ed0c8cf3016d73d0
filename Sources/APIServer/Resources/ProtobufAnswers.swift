import APIMachinery
import ClusterClient
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema

extension Object {
    /// The message of this version in protobuf, made once and shared by all who ask; nil when the kind has none.
    var protobufMessage: [UInt8]? { protobuf { Protobuf.message($0, kind: kind) } }
    /// The message in its envelope.
    var protobufDocument: [UInt8]? { protobufMessage.map { Protobuf.document($0, kind: kind) } }

    /// The message of its `PartialObjectMetadata`.
    var protobufMetadata: [UInt8] {
        if let whole = protobufMessage, let cut = Protobuf.metadataMessage(ofWhole: whole) { return cut }
        return Protobuf.metadataMessage(tree["metadata"])
    }
}

extension Dispatcher {
    /// A list in protobuf. Lengths stand in front of what they measure, so all messages are made before the first byte
    /// is sent; they stay with their objects.
    func protobuf(
        _ list: ObjectList, _ metadata: JSON, _ call: Call, _ definition: ResourceDefinition,
        _ shape: Representation.Shape
    ) -> Answer {
        let isWhole = shape == .whole
        let kind =
            isWhole
            ? GroupVersionKind(
                group: definition.kind.group, version: definition.kind.version, kind: definition.kind.kind + "List")
            : GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "PartialObjectMetadataList")
        let messages = list.items.map { isWhole ? $0.protobufMessage ?? [] : $0.protobufMetadata }
        let bytes = messages.reduce(0) { $0 + Protobuf.itemHeader(messageBytes: $1.count).count + $1.count }
        let opening = Protobuf.listOpening(kind, metadata: metadata, itemsBytes: bytes)
        if bytes < 1 << 16 {
            var out = opening
            out.reserveCapacity(opening.count + bytes + 4)
            for message in messages {
                out += Protobuf.itemHeader(messageBytes: message.count)
                out += message
            }
            return .response(Response(protobuf: out + Protobuf.trailer))
        }
        return streamed(call, type: Protobuf.mediaType) { writer in
            try await writer.append(opening)
            for message in messages {
                try await writer.append(Protobuf.itemHeader(messageBytes: message.count))
                try await writer.append(message)
            }
            try await writer.append(Protobuf.trailer)
            try await writer.finish()
        }
    }
}

/// Frames of a watch in protobuf.
enum ProtobufFrames {
    static func frame(_ event: WatchEvent, _ shape: Representation.Shape) -> [UInt8] {
        let object = event.object
        guard shape == .whole else {
            return Protobuf.watchFrame(event.kind.rawValue, object.protobufMetadata, kind: Protobuf.partialMetadata)
        }
        return Protobuf.watchFrame(event.kind.rawValue, object.protobufMessage ?? [], kind: object.kind)
    }

    static func frame(_ error: StatusError) -> [UInt8] {
        let kind = GroupVersionKind(group: "", version: "v1", kind: "Status")
        return Protobuf.watchFrame("ERROR", Protobuf.message(error.json, kind: kind) ?? [], kind: kind)
    }
}
