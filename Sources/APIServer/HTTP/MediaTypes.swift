import JSON
import ObjectModel
import Schema

/// One item of an `Accept` header.
struct MediaRange: Sendable, Hashable {
    /// Lower case, for example `application/json` or `*/*`.
    var type: String
    /// Without `q`; names in lower case.
    var parameters: [String: String]
    /// Thousandths.
    var quality: Int

    /// Parses a whole header; malformed items are left out. At most 64 are read.
    static func parse(_ header: String) -> [MediaRange] {
        header.split(separator: ",").prefix(64).compactMap { item in
            let parts = item.split(separator: ";").map { trimmed($0) }
            guard let type = parts.first, type.contains("/") else { return nil }
            var range = MediaRange(type: type.lowercased(), parameters: [:], quality: 1000)
            for part in parts.dropFirst() {
                let sides = part.split(separator: "=", maxSplits: 1)
                guard sides.count == 2 else { continue }
                let (name, value) = (trimmed(sides[0]).lowercased(), trimmed(sides[1]))
                if name == "q" {
                    range.quality = min(1000, max(0, Int(bounded: (Double(value) ?? 1) * 1000)))
                } else {
                    range.parameters[name] = value
                }
            }
            return range
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
    }
}

/// What form of an object the client gets.
struct Representation: Sendable, Hashable {
    enum Encoding: Sendable { case json, yaml, protobuf }
    enum Shape: Sendable, Hashable {
        case whole
        /// `meta.k8s.io/v1 Table`
        case table
        /// `PartialObjectMetadata` or its list.
        case metadata
    }
    var encoding = Encoding.json
    var shape = Shape.whole
    var isPretty = false

    static let accepted = ["application/json", "application/yaml", Protobuf.mediaType]

    /// A whole object as compact JSON.
    init() {}

    /// Picks the best of what the client accepts and the kind has.
    /// - Parameters:
    ///   - protobuf: whether whole objects have a protobuf form. Metadata always have one, tables never.
    ///   - shapes: whether it can be shown as a table and as metadata; questions that are answered and forgotten cannot.
    /// - Throws: `StatusError` 406.
    init(_ request: Request, protobuf: Bool = true, shapes: Bool = true) throws {
        isPretty = Representation.wantsPretty(request)
        guard let accept = request.headers.first(name: "accept"), accept != "application/json", accept != "*/*" else {
            return
        }
        if protobuf, accept == Self.clientGo || accept == Protobuf.mediaType {
            encoding = .protobuf
            return
        }
        let ranges = MediaRange.parse(accept)
        // Best quality first, the client's order among equals.
        for (_, range) in ranges.enumerated().filter({ $0.element.quality > 0 }).sorted(by: {
            ($1.element.quality, $0.offset) < ($0.element.quality, $1.offset)
        }) {
            guard let encoding = Representation.encoding(range.type), let shape = Representation.shape(range.parameters)
            else { continue }
            if shape != .whole && !shapes { continue }
            if encoding == .protobuf, shape == .table || (shape == .whole && !protobuf) { continue }
            self.encoding = encoding
            self.shape = shape
            return
        }
        if ranges.isEmpty { return }
        throw Self.notAcceptable(protobuf ? Self.accepted : Self.accepted.dropLast())
    }

    /// What Go's built-in clients say.
    private static let clientGo = Protobuf.mediaType + ",application/json"

    static func notAcceptable(_ types: some Sequence<String>) -> StatusError {
        StatusError(
            code: 406, reason: .notAcceptable,
            message: "only the following media types are accepted: " + types.joined(separator: ", "))
    }

    private static func encoding(_ type: String) -> Encoding? {
        switch type {
        case "application/json", "*/*", "application/*": .json
        case "application/yaml": .yaml
        case Protobuf.mediaType: .protobuf
        default: nil
        }
    }

    private static func shape(_ parameters: [String: String]) -> Shape? {
        guard let kind = parameters["as"] else { return .whole }
        guard parameters["g"] ?? "meta.k8s.io" == "meta.k8s.io", parameters["v"] ?? "v1" == "v1" else { return nil }
        switch kind {
        case "Table": return .table
        case "PartialObjectMetadata", "PartialObjectMetadataList": return .metadata
        default: return nil
        }
    }

    /// People at a terminal get indented JSON.
    static func wantsPretty(_ request: Request) -> Bool {
        if let value = request.query["pretty"] { return value == "true" || value == "1" }
        let agent = request.userAgent
        return agent.hasPrefix("curl") || agent.hasPrefix("Wget") || agent.hasPrefix("Mozilla/5.0")
    }
}

/// Media type of a header value such as `application/json; charset=utf-8`.
func bareMediaType(_ value: String) -> String {
    String(value.prefix { $0 != ";" }).split(separator: " ").first.map { $0.lowercased() } ?? ""
}
