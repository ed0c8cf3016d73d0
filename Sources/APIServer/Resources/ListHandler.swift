import APIMachinery
import ClusterClient
import Compression
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema

extension Dispatcher {
    func list(_ call: Call, _ definition: ResourceDefinition) async throws -> Answer {
        let options = try Options.list(call, definition, backend.catalog)
        let namespace = call.info.namespace.isEmpty || !definition.isNamespaced ? nil : call.info.namespace
        let list = try await backend.list(definition, namespace: namespace, options: options)
        return try many(list, call, definition)
    }

    /// A list in the form the client asked for. Whole lists are never one buffer: the items' bytes are streamed.
    func many(_ list: ObjectList, _ call: Call, _ definition: ResourceDefinition) throws -> Answer {
        let form = try Representation(call.request, protobuf: Protobuf.has(definition.kind))
        let metadata = listMetadata(list)
        if form.encoding == .protobuf { return protobuf(list, metadata, call, definition, form.shape) }
        switch form.shape {
        case .table:
            return try table(list, metadata, call, definition, form)
        case .metadata:
            let head: JSON = [
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            ]
            if form.encoding == .json, !form.isPretty {
                return stream(head: head, member: "items", list.items, call) { self.partialMetadata($0).encoded() }
            }
            return .response(encoded(with(head, "items", list.items.map(partialMetadata)), form))
        case .whole:
            let head: JSON = [
                "kind": .string(backend.catalog.listKind(definition)),
                "apiVersion": .string(definition.kind.apiVersion),
                "metadata": metadata,
            ]
            if form.encoding == .json, !form.isPretty {
                return stream(head: head, member: "items", list.items, call) { $0.bytes }
            }
            return .response(encoded(with(head, "items", list.items.map(\.tree)), form))
        }
    }

    private func with(_ head: JSON, _ member: String, _ elements: [JSON]) -> JSON {
        var json = head
        json[member] = .array(elements)
        return json
    }

    private func listMetadata(_ list: ObjectList) -> JSON {
        var metadata: JSON = ["resourceVersion": .string(String(list.resourceVersion))]
        if let token = list.continueToken, !token.isEmpty { metadata["continue"] = .string(token) }
        if let left = list.remainingItemCount { metadata["remainingItemCount"] = .integer(Int64(left)) }
        return metadata
    }

    private func table(
        _ list: ObjectList, _ metadata: JSON, _ call: Call, _ definition: ResourceDefinition, _ form: Representation
    ) throws -> Answer {
        let include = try includeObject(call)
        let catalog = backend.catalog
        let now = Timestamp.now
        let first = Array(list.items.prefix(Self.tableChunk))
        let table = catalog.table(
            of: first, resource: definition.resource, includeObject: include, includeColumns: true, metadata: metadata,
            now: now)
        guard list.items.count > first.count else { return .response(encoded(table, form)) }
        // Rows are made a few hundred at a time, so that the memory of a big table is bounded.
        var remainder = table
        remainder.removeMember("rows")
        let head = remainder
        let rest = list.items.dropFirst(Self.tableChunk)
        let firstRows = table["rows"].elements
        let resource = definition.resource
        return streamed(call) { writer in
            try await writer.openArray(head, member: "rows")
            for row in firstRows { try await writer.element(row.encoded()) }
            var remaining = rest
            while !remaining.isEmpty {
                let chunk = Array(remaining.prefix(Self.tableChunk))
                remaining = remaining.dropFirst(Self.tableChunk)
                let rows = catalog.table(
                    of: chunk, resource: resource, includeObject: include, includeColumns: false, metadata: [:],
                    now: now)
                for row in rows["rows"].elements { try await writer.element(row.encoded()) }
            }
            try await writer.closeArray()
        }
    }

    private static let tableChunk = 500

    /// `head` with one more member, an array of the items' bytes.
    private func stream(
        head: JSON, member: String, _ items: [Object], _ call: Call, _ bytes: @escaping @Sendable (Object) -> [UInt8]
    ) -> Answer {
        // Up to a few hundred items are cheaper in one piece.
        if items.count <= 256 {
            var out = PieceWriter.opening(head, member: member)
            var isFirst = true
            for item in items {
                if !isFirst { out.append(UInt8(ascii: ",")) }
                isFirst = false
                out += bytes(item)
                if out.count > 1 << 20 { break }
            }
            if out.count <= 1 << 20 {
                out += PieceWriter.closing
                return .response(Response(json: out))
            }
        }
        return streamed(call) { writer in
            try await writer.openArray(head, member: member)
            for item in items { try await writer.element(bytes(item)) }
            try await writer.closeArray()
        }
    }

    /// An answer written through a `PieceWriter`, compressed when the client takes that.
    func streamed(
        _ call: Call, type: String = "application/json",
        _ write: @escaping @Sendable (PieceWriter) async throws -> Void
    ) -> Answer {
        let isGzip = call.request.acceptsGzip
        var response = Response(status: .ok, headers: ["Content-Type": type])
        if isGzip {
            response.headers.add(name: "Content-Encoding", value: "gzip")
            response.headers.add(name: "Vary", value: "Accept-Encoding")
        }
        return .streamed(response) { exchange in
            try await inCommonPool {
                try await write(PieceWriter(exchange, gzip: isGzip ? Gzip() : nil))
            }
        }
    }
}

/// Writes a long answer in pieces of about 64 KiB.
final class PieceWriter {
    private let exchange: Exchange
    private let gzip: Gzip?
    private var pending: [UInt8] = []
    private var isFirst = true
    private static let pieceBytes = 64 * 1024

    init(_ exchange: Exchange, gzip: Gzip?) {
        self.exchange = exchange
        self.gzip = gzip
        pending.reserveCapacity(Self.pieceBytes * 2)
    }

    /// Any bytes.
    func append(_ bytes: [UInt8]) async throws {
        pending += bytes
        if pending.count >= Self.pieceBytes { try await flush(isLast: false) }
    }

    /// The end of an answer made of any bytes.
    func finish() async throws {
        try await flush(isLast: true)
    }

    // MARK: A JSON object whose last member is a long array

    /// `{…,"items":[`
    static func opening(_ head: JSON, member: String) -> [UInt8] {
        var out = head.encoded()
        out.removeLast()
        out += Array("\(out.count > 1 ? "," : "")\"\(member)\":[".utf8)
        return out
    }
    static let closing = Array("]}\n".utf8)

    func openArray(_ head: JSON, member: String) async throws {
        pending += Self.opening(head, member: member)
    }

    func element(_ bytes: [UInt8]) async throws {
        if !isFirst { pending.append(UInt8(ascii: ",")) }
        isFirst = false
        try await append(bytes)
    }

    func closeArray() async throws {
        pending += Self.closing
        try await flush(isLast: true)
    }

    private func flush(isLast: Bool) async throws {
        let buffer = gzip.map { $0.compress(pending, isLast: isLast) } ?? ByteBuffer(bytes: pending)
        pending.removeAll(keepingCapacity: true)
        if buffer.readableBytes > 0 { try await exchange.write(buffer) }
    }
}
