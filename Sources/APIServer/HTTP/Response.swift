import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema

/// An answer, whole, or (without a body) the head of one that is written in pieces.
struct Response: Sendable {
    var status: HTTPResponseStatus
    var headers: HTTPHeaders
    var body: ByteBuffer

    init(status: HTTPResponseStatus, headers: HTTPHeaders = [:], body: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.headers = headers
        self.body = body
    }
    init(status: HTTPResponseStatus = .ok, json bytes: [UInt8]) {
        self.init(status: status, headers: ["Content-Type": "application/json"], body: ByteBuffer(bytes: bytes))
    }
    init(status: HTTPResponseStatus = .ok, json: JSON) {
        self.init(status: status, json: json.encoded())
    }
    init(status: HTTPResponseStatus = .ok, protobuf bytes: [UInt8]) {
        self.init(status: status, headers: ["Content-Type": Protobuf.mediaType], body: ByteBuffer(bytes: bytes))
    }
    init(status: HTTPResponseStatus = .ok, text: String) {
        self.init(
            status: status,
            headers: ["Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"],
            body: ByteBuffer(string: text))
    }
    /// - Parameter request: whose client may prefer protobuf.
    init(error: StatusError, _ request: Request? = nil) {
        let status = HTTPResponseStatus(statusCode: error.code)
        if let request, (try? Representation(request))?.encoding == .protobuf,
            let document = Protobuf.document(error.json)
        {
            self.init(status: status, protobuf: document)
        } else {
            self.init(status: status, json: error.json)
        }
        if let seconds = error.retryAfterSeconds { headers.add(name: "Retry-After", value: String(seconds)) }
    }
}

extension HTTPResponseStatus {
    var mayHaveBody: Bool { code >= 200 && code != 204 && code != 304 }
}

/// Turns whatever was thrown into what the client is told.
func statusError(_ error: any Error) -> StatusError {
    switch error {
    case let error as StatusError: error
    case is CancellationError: .timeout("the request was stopped before it was done")
    default: .internalError("\(error)")
    }
}
