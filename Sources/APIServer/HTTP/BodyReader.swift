import ClusterClient
import JSON
import NIOCore
import ObjectModel
import Schema

/// A decoded request body.
struct DecodedBody: Sendable {
    var value: JSON
    /// Paths of members that stood twice.
    var duplicates: [String] = []
}

/// Reads request bodies.
enum BodyReader {
    /// - Throws: `StatusError` 415 for other types than JSON, YAML and protobuf, 400 for malformed bytes.
    static func read(_ request: Request, as kind: GroupVersionKind, _ catalog: Catalog) throws -> DecodedBody {
        let type = bareMediaType(request.headers.first(name: "content-type") ?? "application/json")
        switch type {
        case "", "application/json", "text/json": return try json(request.body, as: kind)
        case "application/yaml", "application/x-yaml": return try yaml(request.body, as: kind)
        case Protobuf.mediaType where catalog.custom(kind) == nil:
            do {
                return DecodedBody(
                    value: try Protobuf.decode(Array(request.body.readableBytesView), expecting: kind))
            } catch {
                throw malformed(kind, "protobuf parse error: \(error)")
            }
        default:
            let isCustom = catalog.custom(kind) != nil
            throw unsupported(accepted: isCustom ? Array(Representation.accepted.dropLast()) : Representation.accepted)
        }
    }

    /// - Throws: `StatusError` 415 for a type that is no patch, 400 for malformed text.
    static func readPatch(_ request: Request, as kind: GroupVersionKind) throws -> (PatchType, DecodedBody) {
        let text = bareMediaType(request.headers.first(name: "content-type") ?? "")
        guard let type = PatchType(rawValue: text) else {
            throw unsupported(accepted: [
                PatchType.json.rawValue, PatchType.merge.rawValue, PatchType.strategicMerge.rawValue,
                PatchType.apply.rawValue,
            ])
        }
        return (type, type == .apply ? try yaml(request.body, as: kind) : try json(request.body, as: kind))
    }

    static func json(_ body: ByteBuffer, as kind: GroupVersionKind) throws -> DecodedBody {
        var options = JSONReadOptions()
        options.collectsDuplicates = true
        do {
            let document = try JSON.parseDocument(Array(body.readableBytesView), options: options)
            return DecodedBody(value: document.value, duplicates: document.duplicates)
        } catch {
            throw malformed(kind, "json parse error: \(error)")
        }
    }

    static func yaml(_ body: ByteBuffer, as kind: GroupVersionKind) throws -> DecodedBody {
        // YAML contains JSON, and clients mostly send just that.
        let first = body.readableBytesView.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        if first == UInt8(ascii: "{") { return try json(body, as: kind) }
        do {
            return DecodedBody(value: try YAML.parse(body))
        } catch {
            throw malformed(kind, "yaml parse error: \(error)")
        }
    }

    private static func malformed(_ kind: GroupVersionKind, _ problem: String) -> StatusError {
        .badRequest(
            "the object provided is unrecognized (must be of type \(kind.kind)): couldn't get version/kind; \(problem)")
    }

    private static func unsupported(accepted: [String]) -> StatusError {
        StatusError(
            code: 415, reason: .unsupportedMediaType,
            message: "the body of the request was in an unknown format - accepted media types include: "
                + accepted.joined(separator: ", "))
    }
}
