import HTTPTypes
import HummingbirdCore
import NIOCore

/// One HTTP request to a window.
public struct WindowRequest: Sendable {
    /// Upper case: `GET`.
    public let method: String
    /// Percent-decoded, without the query, for example `/v2/apps`.
    public let path: String
    /// The path as it was sent, for paths whose segments may hold an encoded `/`.
    public let rawPath: String
    /// Decoded parameters of the query, in order.
    public let query: [(name: String, value: String)]
    /// The client's address, `ADDRESS:PORT`.
    public let remoteAddress: String
    /// Who the client proved to be; nil when the window is open to everybody.
    public let principal: String?
    /// The host as the client names it, with the port when it says one: `localhost:8080`, `[::1]`; empty when it says none.
    public let authority: String
    let fields: HTTPFields
    let reader: BodyReader

    /// The same request for another path: what a window that passes requests on to a second one hands over.
    /// - Parameter rawPath: the new path, percent-coded, without a query.
    public func moved(to rawPath: String) -> WindowRequest {
        WindowRequest(
            method: method, path: PercentCoding.decode(rawPath[...]), rawPath: rawPath, query: query,
            remoteAddress: remoteAddress, principal: principal,
            authority: authority, fields: fields, reader: reader)
    }

    /// The value of a header, whatever its case; several are joined by `, `.
    public func header(_ name: String) -> String? {
        HTTPField.Name(name).flatMap { fields[$0] }
    }

    /// The first value of a parameter of the query.
    public func parameter(_ name: String) -> String? {
        query.first { $0.name == name }?.value
    }

    /// The whole body.
    /// - Throws: `WindowError` 413 when it is longer than `limit` bytes, 400 when the client broke off.
    public func body(limit: Int = 8 << 20) async throws -> [UInt8] {
        if let length = reader.declaredLength, length > limit {
            throw WindowError(413, "the body has \(length) bytes: at most \(limit) are taken")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(reader.declaredLength ?? 0, limit))
        do {
            while let part = try await reader.next() {
                guard bytes.count + part.readableBytes <= limit else {
                    throw WindowError(413, "the body is longer than the \(limit) bytes that are taken")
                }
                bytes.append(contentsOf: part.readableBytesView)
            }
        } catch let error as WindowError {
            throw error
        } catch {
            throw WindowError(400, "the body broke off: \(error)")
        }
        return bytes
    }

    /// The body piece by piece, for requests that stream; read it or `body()`, and before the answer starts.
    public func pieces() -> AsyncThrowingStream<[UInt8], any Error> {
        AsyncThrowingStream { [reader] in try await reader.next().map { Array($0.readableBytesView) } }
    }

    /// Parameters of an `application/x-www-form-urlencoded` body.
    public func form(limit: Int = 8 << 20) async throws -> [(name: String, value: String)] {
        PercentCoding.parameters(String(decoding: try await body(limit: limit), as: UTF8.self))
    }
}

/// An answer that is no success, thrown by handlers.
public struct WindowError: Error, Sendable, CustomStringConvertible {
    public let status: Int
    public let message: String
    public init(_ status: Int, _ message: String) {
        self.status = status
        self.message = message
    }
    public var description: String { message }
}

/// Percent coding of paths and queries (RFC 3986, with `+` as a space in queries).
public enum PercentCoding {
    /// Decodes `%XX`; what is no valid code stays as it is.
    public static func decode(_ text: Substring, plusIsSpace: Bool = false) -> String {
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == 0x25, index + 2 < bytes.count, let high = digit(bytes[index + 1]),
                let low = digit(bytes[index + 2])
            {
                out.append(high << 4 | low)
                index += 3
            } else {
                out.append(plusIsSpace && bytes[index] == 0x2B ? 0x20 : bytes[index])
                index += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Parameters of a query or a form.
    public static func parameters(_ text: some StringProtocol) -> [(name: String, value: String)] {
        text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (
                decode(Substring(parts[0]), plusIsSpace: true),
                parts.count > 1 ? decode(Substring(parts[1]), plusIsSpace: true) : ""
            )
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
