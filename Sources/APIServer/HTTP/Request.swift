import NIOCore
import NIOHTTP1

/// One whole request.
struct Request: Sendable {
    let method: HTTPMethod
    /// Still percent-encoded, without the query.
    let path: String
    let query: Query
    /// As the client wrote it, without the question mark.
    let rawQuery: String
    let headers: HTTPHeaders
    let body: ByteBuffer
    let connection: Connection

    init(head: HTTPRequestHead, body: ByteBuffer, connection: Connection) {
        method = head.method
        let uri = head.uri
        if let mark = uri.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = String(uri[..<mark])
            rawQuery = String(uri[uri.utf8.index(after: mark)...])
            query = Query(rawQuery[...])
        } else {
            rawQuery = ""
            path = uri
            query = Query("")
        }
        headers = head.headers
        self.body = body
        self.connection = connection
    }

    /// Takes long on the CPU: not for the event loop.
    var isHeavy: Bool { body.readableBytes > 64 * 1024 }

    var userAgent: String { headers.first(name: "user-agent") ?? "" }
    /// All values of a header whose lines and comma-separated parts mean the same.
    func tokens(_ name: String) -> [String] {
        headers[canonicalForm: name].map(String.init)
    }
}

/// Parameters of a query string, decoded, in order.
struct Query: Sendable {
    private let pairs: [(name: String, value: String)]

    init(_ text: Substring) {
        guard !text.isEmpty else {
            pairs = []
            return
        }
        pairs = text.split(separator: "&").prefix(1024).map { pair in
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (
                percentDecoded(sides[0], plusIsSpace: true),
                sides.count == 2 ? percentDecoded(sides[1], plusIsSpace: true) : ""
            )
        }
    }

    /// The first value; nil when the parameter is absent.
    subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }
    func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }
    var isEmpty: Bool { pairs.isEmpty }

    /// Go's reading of booleans in queries: an empty value of a parameter that is there, and anything that is not
    /// known, counts as true unless it is `0` or `false`.
    func flag(_ name: String) -> Bool {
        guard let value = self[name] else { return false }
        return value != "0" && value.lowercased() != "false"
    }
}

/// Decodes `%41`; a malformed escape stays as it is.
func percentDecoded(_ text: Substring, plusIsSpace: Bool = false) -> String {
    guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else { return String(text) }
    let input = Array(text.utf8)
    var out: [UInt8] = []
    out.reserveCapacity(input.count)
    var index = 0
    while index < input.count {
        let byte = input[index]
        if byte == UInt8(ascii: "%"), index + 2 < input.count, let high = hexValue(input[index + 1]),
            let low = hexValue(input[index + 2])
        {
            out.append(high << 4 | low)
            index += 3
        } else {
            out.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            index += 1
        }
    }
    return String(decoding: out, as: UTF8.self)
}

private func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
}
