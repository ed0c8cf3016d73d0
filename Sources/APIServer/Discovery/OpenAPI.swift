import Compression
import Crypto
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema
import Synchronization

/// OpenAPI documents, made when first asked for. Only the compressed bytes are kept: nearly every client takes them.
final class OpenAPICache: Sendable {
    struct Document: Sendable {
        var compressed: ByteBuffer
        /// Upper-case hexadecimal of the SHA-512 of the plain bytes.
        var hash: String
    }
    /// Documents by key, with the stamp of what they were made from: custom kinds come and go.
    private let state = Mutex<[String: (stamp: [UInt64], document: Document)]>([:])

    /// - Parameter stamp: the same for two calls when what the document is made from is the same.
    func document(_ key: String, stamp: [UInt64], make: () -> [UInt8]?) -> Document? {
        if let known = state.withLock({ $0[key] }), known.stamp == stamp { return known.document }
        guard let bytes = make(), let compressed = Gzip.compress(bytes, level: 6) else { return nil }
        let document = Document(compressed: compressed, hash: hex(SHA512.hash(data: bytes)).uppercased())
        state.withLock { state in
            // Paths are those of the catalog; those of kinds that are gone go with the rest now and then.
            if state.count > 1000 { state.removeAll() }
            state[key] = (stamp, document)
        }
        return document
    }
}

extension Dispatcher {
    /// `/openapi/v2`, `/openapi/v3` and the documents below it.
    func openAPIDocument(_ call: Call) async throws -> Answer {
        let segments = call.info.segments
        guard segments.count >= 2 else { return .pageNotFound }
        return try await inCommonPool {
            switch (segments[1], segments.count) {
            case ("v2", 2): return try self.openAPIv2(call)
            case ("v3", 2): return try self.openAPIv3Index(call)
            case ("v3", _): return try self.openAPIv3(call, segments.dropFirst(2).joined(separator: "/"))
            default: return .pageNotFound
            }
        }
    }

    /// - Throws: `StatusError` 406 unless JSON is accepted.
    private func requireJSON(_ request: Request) throws {
        guard let accept = request.headers.first(name: "accept") else { return }
        let ranges = MediaRange.parse(accept).filter { $0.quality > 0 }
        guard
            ranges.isEmpty
                || ranges.contains(where: { ["application/json", "application/*", "*/*"].contains($0.type) })
        else {
            throw StatusError(
                code: 406, reason: .notAcceptable,
                message: "only the following media types are accepted: application/json")
        }
    }

    /// What Go clients before OpenAPI v3 ask for, and some of today still.
    private static let protobufV2 = "application/com.github.proto-openapi.spec.v2"

    /// The protobuf form is wanted, by one of its two names, and JSON is not wanted more.
    private func wantsProtobufV2(_ request: Request) -> Bool {
        guard let accept = request.headers.first(name: "accept") else { return false }
        let ranges = MediaRange.parse(accept).filter { $0.quality > 0 }
        let names = ["\(Self.protobufV2)@v1.0+protobuf", "\(Self.protobufV2).v1.0+protobuf"]
        guard let best = ranges.max(by: { $0.quality < $1.quality }) else { return false }
        return ranges.first { $0.quality == best.quality }.map { names.contains($0.type) } ?? false
    }

    private func openAPIv2(_ call: Call) throws -> Answer {
        let catalog = backend.catalog
        if wantsProtobufV2(call.request) {
            let make: () -> [UInt8]? = { OpenAPIProtobuf.encode(catalog.openAPIv2()) }
            guard let document = openAPI.document("v2.pb", stamp: catalog.openAPIStamp(), make: make) else {
                return .pageNotFound
            }
            return answer(call, document, type: "\(Self.protobufV2).v1.0+protobuf", make: make)
        }
        try requireJSON(call.request)
        let make: () -> [UInt8]? = { catalog.openAPIv2().encoded() }
        guard let document = openAPI.document("v2", stamp: catalog.openAPIStamp(), make: make) else {
            return .pageNotFound
        }
        return answer(call, document, make: make)
    }

    private func openAPIv3Index(_ call: Call) throws -> Answer {
        let catalog = backend.catalog
        let document = discovery.document("openapi/v3", catalog: catalog) {
            var paths: JSON = [:]
            for path in catalog.openAPIv3Paths.sorted() {
                guard let document = openAPIv3Document(path, catalog) else { continue }
                paths[path] = ["serverRelativeURL": .string("/openapi/v3/\(path)?hash=\(document.hash)")]
            }
            return ["paths": paths]
        }
        return tagged(call, document, type: "application/json", vary: "Accept")
    }

    private func openAPIv3Document(_ path: String, _ catalog: Catalog) -> OpenAPICache.Document? {
        openAPI.document("v3/\(path)", stamp: catalog.openAPIStamp(path)) { catalog.openAPIv3(path)?.encoded() }
    }

    private func openAPIv3(_ call: Call, _ path: String) throws -> Answer {
        try requireJSON(call.request)
        let catalog = backend.catalog
        guard let document = openAPIv3Document(path, catalog) else { return .pageNotFound }
        if let hash = call.request.query["hash"], !hash.isEmpty, hash != document.hash {
            return .response(
                Response(
                    status: .movedPermanently, headers: ["Location": "/openapi/v3/\(path)?hash=\(document.hash)"]))
        }
        return answer(call, document) { catalog.openAPIv3(path)?.encoded() }
    }

    private func answer(
        _ call: Call, _ document: OpenAPICache.Document, type: String = "application/json", make: () -> [UInt8]?
    ) -> Answer {
        let tag = "\"\(document.hash)\""
        var headers: HTTPHeaders = ["Content-Type": type, "ETag": tag, "Vary": "Accept, Accept-Encoding"]
        if call.request.query["hash"] != nil {
            headers.add(name: "Cache-Control", value: "public, immutable")
            headers.add(name: "Expires", value: HTTPDate.yearAhead)
        }
        if call.request.headers.first(name: "if-none-match") == tag {
            return .response(Response(status: .notModified, headers: headers))
        }
        if call.request.acceptsGzip {
            headers.add(name: "Content-Encoding", value: "gzip")
            return .response(Response(status: .ok, headers: headers, body: document.compressed))
        }
        return .response(Response(status: .ok, headers: headers, body: ByteBuffer(bytes: make() ?? [])))
    }
}
