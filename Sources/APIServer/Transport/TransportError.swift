import NIOHTTP1
import ObjectModel

/// Errors that stand for a request that could not even be read.
enum TransportError {
    static func status(for status: HTTPResponseStatus) -> StatusError {
        switch status {
        case .payloadTooLarge:
            StatusError(
                code: 413, reason: .requestEntityTooLarge,
                message: "Request entity is too large: limit is \(3 << 20)")
        default:
            .tooManyRequests("too many request bodies are being read, please try again later")
        }
    }
}

/// Why the API server could not start.
public struct APIServerError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// Somebody else listens there.
        case portInUse
        /// The address is not one of this machine, or not allowed.
        case cannotBind
        /// Certificate, key or authority cannot be used.
        case badCertificate
    }
    public let code: Code
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
