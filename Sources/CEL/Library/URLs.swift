import ObjectModel

/// A URL: absolute, or an absolute path (RFC 3986, read as Go's `net/url` reads a request's).
struct URLValue: CELOpaque, Hashable {
    var scheme = ""
    /// With its port.
    var host = ""
    var path = ""
    var query = ""
    let text: String

    var typeName: String { "kubernetes.URL" }
    func isEqual(to other: any CELOpaque) -> Bool { (other as? URLValue) == self }

    /// Nil when the text is neither an absolute URL nor an absolute path.
    init?(_ text: String) {
        self.text = text
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else { return nil }
        guard Self.hasValidEscapes(text) else { return nil }
        var rest = Substring(text)
        if let colon = rest.firstIndex(of: ":"), let first = rest.first, first.isASCII, first.isLetter,
            rest[..<colon].utf8.allSatisfy({ Self.isSchemeByte($0) })
        {
            scheme = rest[..<colon].lowercased()
            rest = rest[rest.index(after: colon)...]
        } else if !rest.hasPrefix("/") {
            return nil
        }
        if let mark = rest.firstIndex(of: "?") {
            query = String(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        if !rest.hasPrefix("/") {
            // `mailto:x`: opaque, which is no request URI unless it has a scheme.
            if scheme.isEmpty { return nil }
            return
        }
        if rest.hasPrefix("//"), !scheme.isEmpty || !rest.hasPrefix("///") {
            rest = rest.dropFirst(2)
            let end = rest.firstIndex(of: "/") ?? rest.endIndex
            var authority = rest[..<end]
            if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }
            guard Self.isValidHost(authority) else { return nil }
            host = String(authority)
            rest = rest[end...]
        }
        path = String(rest)
    }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= 97 && byte | 0x20 <= 122) || (byte >= 48 && byte <= 57) || byte == 43 || byte == 45
            || byte == 46
    }

    private static func hasValidEscapes(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        let end = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.count
        var index = 0
        while index < end {
            if bytes[index] == UInt8(ascii: "%") {
                guard index + 2 < end, hex(bytes[index + 1]) != nil, hex(bytes[index + 2]) != nil else { return false }
                index += 2
            }
            index += 1
        }
        return true
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }

    private static func isValidHost(_ host: Substring) -> Bool {
        if host.hasPrefix("[") {
            guard let close = host.firstIndex(of: "]") else { return false }
            let tail = host[host.index(after: close)...]
            return tail.isEmpty || tail.hasPrefix(":") && tail.dropFirst().utf8.allSatisfy { $0 >= 48 && $0 <= 57 }
        }
        let parts = host.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { return false }
        if parts.count == 2, !parts[1].utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) { return false }
        return !host.utf8.contains { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: ">") || $0 == UInt8(ascii: "\"") }
    }

    var hostname: String {
        if host.hasPrefix("["), let close = host.firstIndex(of: "]") {
            return String(host[host.index(after: host.startIndex)..<close])
        }
        return host.lastIndex(of: ":").map { String(host[..<$0]) } ?? host
    }
    var port: String {
        let tail = host.hasPrefix("[") ? host[(host.firstIndex(of: "]") ?? host.startIndex)...] : Substring(host)
        return tail.lastIndex(of: ":").map { String(tail[tail.index(after: $0)...]) } ?? ""
    }
    /// The path with what needs it percent-encoded.
    var escapedPath: String {
        var out: [UInt8] = []
        let allowed = Set("-_.~$&+,/:;=@!'()*%[]".utf8)
        for byte in path.utf8 {
            if (byte | 0x20 >= 97 && byte | 0x20 <= 122) || (byte >= 48 && byte <= 57) || allowed.contains(byte) {
                out.append(byte)
            } else {
                out.append(contentsOf: "%\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))".utf8)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
    /// The query's parameters with all their values.
    var parameters: CELEntries {
        var values: [(String, [CELValue])] = []
        for pair in query.split(separator: "&") where !pair.contains(";") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = Self.unescape(parts[0]), let value = Self.unescape(parts.count > 1 ? parts[1] : "") else {
                continue
            }
            if let index = values.firstIndex(where: { $0.0 == key }) {
                values[index].1.append(.string(value))
            } else {
                values.append((key, [.string(value)]))
            }
        }
        var entries = CELEntries()
        for (key, list) in values { _ = entries.insert(.string(key), .list(.values(list))) }
        return entries
    }

    private static func unescape(_ text: Substring) -> String? {
        var out: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: "+") {
                out.append(0x20)
            } else if byte == UInt8(ascii: "%") {
                guard let high = bytes.popFirst().flatMap(hex), let low = bytes.popFirst().flatMap(hex) else {
                    return nil
                }
                out.append(high << 4 | low)
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

extension FunctionTable {
    mutating func addURLs() {
        let type = CELType.opaque("kubernetes.URL")
        let walk = CostRule.walk(argument: 0, factor: 0.1)
        function("url", [.string], type, cost: walk) { arguments throws(CELFailure) in
            let text = arguments[0].asString
            guard let url = URLValue(text) else {
                throw CELFailure(
                    "URL parse error during conversion from string: parse \(StringFormat.quote(text)): invalid URI for request"
                )
            }
            return .opaque(url)
        }
        function("isURL", [.string], .bool) { .bool(URLValue($0[0].asString) != nil) }
        let parts: [(String, @Sendable (URLValue) -> String)] = [
            ("getScheme", { $0.scheme }), ("getHost", { $0.host }), ("getHostname", { $0.hostname }),
            ("getPort", { $0.port }), ("getEscapedPath", { $0.escapedPath }),
        ]
        for (name, part) in parts {
            member(name, [type], .string) { arguments throws(CELFailure) in
                .string(part(try Self.url(arguments[0])))
            }
        }
        member("getQuery", [type], .map(.string, .list(.string))) { arguments throws(CELFailure) in
            .map(.entries(try Self.url(arguments[0]).parameters))
        }
    }

    private static func url(_ value: CELValue) throws(CELFailure) -> URLValue {
        guard case .opaque(let value) = value, let url = value as? URLValue else { throw Arithmetic.noOverload }
        return url
    }
}
