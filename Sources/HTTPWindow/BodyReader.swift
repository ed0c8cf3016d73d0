import HummingbirdCore
import NIOCore

/// Reads the body of one request, whoever asks: the handler, or the window for what the handler left.
///
/// A handler reads from one task at a time, and the window after it; so nothing here is locked.
final class BodyReader: @unchecked Sendable {
    /// What the client said in `Content-Length`; nil for chunked bodies and for none.
    let declaredLength: Int?
    private let body: RequestBody
    private var iterator: RequestBody.AsyncIterator?
    private(set) var isAtEnd = false

    init(_ body: RequestBody, declaredLength: Int?) {
        self.body = body
        self.declaredLength = declaredLength
    }

    /// The next piece; nil at the end.
    func next() async throws -> ByteBuffer? {
        if isAtEnd { return nil }
        var iterator = self.iterator ?? body.makeAsyncIterator()
        do {
            let part = try await iterator.next()
            self.iterator = iterator
            if part == nil { isAtEnd = true }
            return part
        } catch {
            isAtEnd = true
            throw error
        }
    }

    /// Reads on and throws the bytes away.
    /// - Returns: false when more than `limit` bytes are left.
    func drain(limit: Int) async -> Bool {
        var count = 0
        while let part = try? await next() {
            count += part.readableBytes
            if count > limit { return false }
        }
        return true
    }
}
