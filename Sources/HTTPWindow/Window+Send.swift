import Compression
import HTTPTypes
import HummingbirdCore
import NIOCore
import ServiceLifecycle

/// Why a connection is given up after its answer.
private struct TooMuchLeft: Error {}

extension Window {
    /// Bytes from which an answer is worth compressing.
    private static let worthwhile = 1024

    func send(
        _ response: WindowResponse, to request: Request, _ reader: BodyReader, _ writer: consuming ResponseWriter,
        _ channel: any Channel
    ) async throws {
        // A body that nobody read: a short one is on its way and read now, so that the connection stays usable.
        if !reader.isAtEnd, let length = reader.declaredLength, length <= 64 << 10,
            length == 0 || request.headers[.expect] == nil
        {
            _ = await reader.drain(limit: 64 << 10)
        }
        var head = HTTPResponse(status: .init(code: response.status), headerFields: Self.fields(response.headers))
        let isLast = !reader.isAtEnd
        if isLast { head.headerFields[.connection] = "close" }
        switch response.body {
        case .bytes(let bytes):
            try await send(bytes, head, to: request, writer)
        case .stream(let stream, let isEndless):
            try await send(stream, isEndless: isEndless, head, to: request, writer, channel)
        }
        guard isLast else { return }
        // Closing with bytes unread would reset the connection, and the client would lose the answer.
        channel.close(mode: .output, promise: nil)
        guard await reader.drain(limit: Self.patience) else { throw TooMuchLeft() }
    }

    /// Bytes that a client may go on sending after an answer that came early.
    private static var patience: Int { 64 << 20 }

    private static func fields(_ headers: [(name: String, value: String)]) -> HTTPFields {
        var fields = HTTPFields()
        for (name, value) in headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        return fields
    }

    private func send(
        _ bytes: [UInt8], _ head: HTTPResponse, to request: Request, _ writer: consuming ResponseWriter
    ) async throws {
        var head = head
        if request.method == .head || bytes.isEmpty {
            // These have no body, and say nothing of its length (RFC 9110 §8.6).
            if head.status.code != 204 && head.status.code != 304 {
                head.headerFields[.contentLength] = String(bytes.count)
            }
            return try await writer.writeResponse(head)
        }
        var body: ByteBuffer?
        if bytes.count > Self.worthwhile, let gzip = Self.gzip(for: request, &head.headerFields) {
            body = gzip.compress(bytes, isLast: true)
        }
        let content = body ?? ByteBuffer(bytes: bytes)
        head.headerFields[.contentLength] = String(content.readableBytes)
        try await writer.write(response: head, body: ResponseBody(byteBuffer: content))
    }

    private func send(
        _ stream: @escaping @Sendable (WindowWriter) async throws -> Void, isEndless: Bool, _ head: HTTPResponse,
        to request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel
    ) async throws {
        var head = head
        let gzip = isEndless ? nil : Self.gzip(for: request, &head.headerFields)
        if request.method == .head { return try await writer.writeResponse(head) }
        let box = WriterBox(try await writer.writeHead(head), gzip)
        let output = WindowWriter { try await box.write($0) }
        if isEndless {
            do {
                try await channel.pipeline.handler(type: CloseWatcher.self).get().cancelWhenClosed {
                    try await cancelWhenGracefulShutdown { try await stream(output) }
                }
            } catch is CancellationError {
                // The end of the stream is said properly also when the server ends it.
            }
        } else {
            try await stream(output)
        }
        try await box.finish()
    }

    /// A compressor when the client takes gzip and the answer is text; the headers then say so.
    private static func gzip(for request: Request, _ fields: inout HTTPFields) -> Gzip? {
        guard fields[.contentEncoding] == nil, let type = fields[.contentType],
            !type.hasPrefix("image/"), !type.hasPrefix("application/octet-stream"),
            !type.hasPrefix("application/recordio")
        else { return nil }
        fields.append(HTTPField(name: .vary, value: "Accept-Encoding"))
        guard let accepted = request.headers[.acceptEncoding], Gzip.isAccepted(accepted.split(separator: ",")),
            let gzip = Gzip()
        else { return nil }
        fields[.contentEncoding] = "gzip"
        return gzip
    }

    /// What a stream writes goes through here one after another; the library's writer is a value that must not be copied
    /// about, and the compressor has state.
    private final class WriterBox: @unchecked Sendable {
        private var writer: any ResponseBodyWriter
        private let gzip: Gzip?

        init(_ writer: any ResponseBodyWriter, _ gzip: Gzip?) {
            self.writer = writer
            self.gzip = gzip
        }

        func write(_ buffer: ByteBuffer) async throws {
            guard let gzip else { return try await writer.write(buffer) }
            let packed = gzip.compress(Array(buffer.readableBytesView), isLast: false)
            if packed.readableBytes > 0 { try await writer.write(packed) }
        }

        func finish() async throws {
            if let gzip { try await writer.write(gzip.compress([], isLast: true)) }
            try await writer.finish(nil)
        }
    }
}
