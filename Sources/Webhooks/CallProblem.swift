import AsyncHTTPClient
import NIOCore
import NIOPosix
import NIOSSL

/// Why one attempt failed, in the words that operators search for.
struct CallProblem: Error, CustomStringConvertible {
    let description: String
    /// The request did not reach anybody.
    var mayTryNext = false

    init(_ description: String) {
        self.description = description
    }

    /// An answer with another status than 200.
    static func status(_ code: Int, _ body: [UInt8]) -> CallProblem {
        let text = String(decoding: body.prefix(1024), as: UTF8.self)
        switch code {
        case 404: return CallProblem("the server could not find the requested resource")
        case 500...:
            return CallProblem(
                "an error on the server (\"\(text)\") has prevented the request from succeeding")
        default: return CallProblem("the server answered with HTTP status \(code): \(text)")
        }
    }

    init(_ error: any Error, place: String, isLate: Bool) {
        if let problem = error as? CallProblem {
            self = problem
            return
        }
        if isLate || error is CancellationError {
            self.init(isLate ? "context deadline exceeded" : "context canceled")
            return
        }
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first {
                self.init("dial tcp \(place): \(Self.text(first.error))")
            } else {
                self.init("dial tcp: lookup \(error.host): no such host")
            }
            mayTryNext = true
        case let error as IOError:
            self.init("dial tcp \(place): \(Self.text(error))")
        case let error as HTTPClientError:
            switch error {
            case .connectTimeout:
                self.init("dial tcp \(place): i/o timeout")
                mayTryNext = true
            case .deadlineExceeded, .readTimeout: self.init("context deadline exceeded")
            case .tlsHandshakeTimeout: self.init("net/http: TLS handshake timeout")
            case .remoteConnectionClosed: self.init("EOF")
            default: self.init(error.shortDescription)
            }
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            let text = "\(error)"
            let isUntrusted = text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("failedToValidateHostname")
            self.init(isUntrusted ? "tls: failed to verify certificate: \(text)" : "tls: \(text)")
        case is NIOTooManyBytesError: self.init("the answer is larger than this server reads")
        default: self.init("\(error)")
        }
    }

    private static func text(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(error)" }
        switch error.errnoCode {
        case 111: return "connect: connection refused"
        case 113: return "connect: no route to host"
        case 101: return "connect: network is unreachable"
        case 110: return "i/o timeout"
        default: return "\(error)"
        }
    }
}
