import HTTPWindow
import JSON
import MesosModel

/// Messages of requests, with the status codes of their problems.
enum Messages {
    static func decode(_ bytes: [UInt8], as name: String, format: MesosFormat) throws -> JSON {
        do {
            return try MesosCodec.decode(bytes, as: name, format: format)
        } catch {
            if error.code == .tooLarge { throw WindowError(413, error.message) }
            throw WindowError(400, "Failed to parse body into \(name): \(error.message)")
        }
    }

    /// An answer that is one message.
    static func response(_ tree: JSON, as name: String, format: MesosFormat) throws -> WindowResponse {
        do {
            return WindowResponse(
                200, headers: [("Content-Type", format.contentType)],
                bytes: try MesosCodec.encode(tree, as: name, format: format))
        } catch {
            throw WindowError(500, "the answer cannot be written: \(error)")
        }
    }
}

/// Content types of requests and answers.
enum ContentTypes {
    static let recordIO = "application/recordio"

    /// True for a body that is a stream of records.
    static func isRecordIO(_ request: WindowRequest) -> Bool {
        (request.header("content-type") ?? "").prefix { $0 != ";" }.lowercased() == recordIO
    }

    /// The format of the body.
    /// - Throws: 400 without a `Content-Type`, 415 for one that is neither JSON nor protobuf.
    static func ofBody(_ request: WindowRequest) throws -> MesosFormat {
        guard let type = request.header("content-type") else {
            throw WindowError(400, "Expecting 'Content-Type' to be present")
        }
        guard let format = MesosFormat(contentType: type) else {
            throw WindowError(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
        }
        return format
    }

    /// The format that the client takes; JSON when it takes both.
    /// - Throws: 406 when it takes neither.
    static func accepted(_ request: WindowRequest, header: String = "accept") throws -> MesosFormat {
        guard let accept = request.header(header), !accept.allSatisfy(\.isWhitespace) else { return .json }
        if accepts(accept, MesosFormat.json.contentType) { return .json }
        if accepts(accept, MesosFormat.protobuf.contentType) { return .protobuf }
        throw WindowError(406, "Expecting 'Accept' to allow application/json or application/x-protobuf")
    }

    /// True when an `Accept` header allows a type.
    static func accepts(_ header: String, _ type: String) -> Bool {
        let group = type.prefix { $0 != "/" }
        return header.lowercased().split(separator: ",").contains { entry in
            let parts = entry.split(separator: ";").map { $0.filter { !$0.isWhitespace } }
            guard let range = parts.first else { return false }
            if parts.dropFirst().contains(where: { $0.hasPrefix("q=") && Double($0.dropFirst(2)) == 0 }) {
                return false
            }
            return range == "*/*" || range == "\(group)/*" || range == type
        }
    }
}
