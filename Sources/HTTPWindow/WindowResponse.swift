public import JSON
import NIOCore

/// The answer of a window.
public struct WindowResponse: Sendable {
    enum Body: Sendable {
        case bytes([UInt8])
        /// Written while the client reads.
        case stream(@Sendable (WindowWriter) async throws -> Void, isEndless: Bool)
    }
    public var status: Int
    public var headers: [(name: String, value: String)]
    let body: Body

    /// An answer with a body of known length.
    public init(_ status: Int, headers: [(name: String, value: String)] = [], bytes: [UInt8] = []) {
        self.status = status
        self.headers = headers
        body = .bytes(bytes)
    }

    /// JSON.
    public init(_ status: Int = 200, headers: [(name: String, value: String)] = [], json: JSON) {
        self.init(
            status, headers: [("Content-Type", "application/json")] + headers, bytes: json.encoded())
    }

    /// Plain text.
    public init(_ status: Int, headers: [(name: String, value: String)] = [], text: String) {
        self.init(
            status, headers: [("Content-Type", "text/plain; charset=utf-8")] + headers, bytes: Array(text.utf8))
    }

    /// A stream of events: written while the client reads, chunked. `write` runs in a task that is cancelled when the
    /// client closes its side of the connection or the server stops; when it returns, the answer ends. The request's body
    /// must have been read before.
    public init(
        _ status: Int = 200, headers: [(name: String, value: String)],
        stream: @escaping @Sendable (WindowWriter) async throws -> Void
    ) {
        self.status = status
        self.headers = headers
        body = .stream(stream, isEndless: true)
    }

    /// A long body that is made piece by piece while the client reads, so that the whole is never in memory. The
    /// connection stays usable after it.
    public static func inPieces(
        _ status: Int = 200, headers: [(name: String, value: String)],
        _ write: @escaping @Sendable (WindowWriter) async throws -> Void
    ) -> WindowResponse {
        WindowResponse(status, headers, .stream(write, isEndless: false))
    }

    private init(_ status: Int, _ headers: [(name: String, value: String)], _ body: Body) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Where a streamed body goes.
public struct WindowWriter: Sendable {
    let send: @Sendable (ByteBuffer) async throws -> Void

    /// Sends bytes; returns when the connection takes more (back-pressure).
    /// - Throws: when the client is gone.
    public func write(_ bytes: [UInt8]) async throws {
        try await send(ByteBuffer(bytes: bytes))
    }

    /// Sends text.
    public func write(_ text: String) async throws {
        try await send(ByteBuffer(string: text))
    }
}
