enum ImagePullPolicy: String, Sendable {
    case always = "Always"
    case ifNotPresent = "IfNotPresent"
    case never = "Never"

    /// `Always` for the tag `latest` or none, else `IfNotPresent`.
    static func standard(for image: String) -> ImagePullPolicy {
        guard let name = ImageName(image) else { return .ifNotPresent }
        return name.digest == nil && name.tag == "latest" ? .always : .ifNotPresent
    }
}

/// An image reference in its parts (the grammar of the distribution project): `registry/path:tag@digest`.
struct ImageName: Sendable, Hashable {
    /// `docker.io`, `127.0.0.1:5000`…
    let registry: String
    /// `library/nginx`
    let path: String
    /// `latest` when neither tag nor digest is written.
    let tag: String?
    let digest: String?

    /// The whole name with the default registry and tag put in.
    var canonical: String {
        "\(registry)/\(path)" + (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "")
    }

    /// Nil when the text is no valid reference.
    init?(_ text: String) {
        var rest = Substring(text)
        var digest: String?
        if let at = rest.firstIndex(of: "@") {
            let value = rest[rest.index(after: at)...]
            guard Self.isDigest(value) else { return nil }
            digest = String(value)
            rest = rest[..<at]
        }
        var tag: String?
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("/") {
            let value = rest[rest.index(after: colon)...]
            guard Self.isTag(value) else { return nil }
            tag = String(value)
            rest = rest[..<colon]
        }
        guard !rest.isEmpty, rest.utf8.count <= 255 else { return nil }
        var parts = rest.split(separator: "/", omittingEmptySubsequences: false)
        var registry = "docker.io"
        if parts.count > 1, let first = parts.first,
            first.contains(".") || first.contains(":") || first == "localhost" || first.contains(where: \.isUppercase)
        {
            guard Self.isRegistry(first) else { return nil }
            registry = String(parts.removeFirst())
        } else if parts.count == 1 {
            parts.insert("library", at: 0)
        }
        guard parts.allSatisfy(Self.isPathComponent) else { return nil }
        self.registry = registry == "index.docker.io" ? "docker.io" : registry
        path = parts.joined(separator: "/")
        self.tag = tag ?? (digest == nil ? "latest" : nil)
        self.digest = digest
    }

    private static func isTag(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 128 else { return false }
        return isWord(first)
            && text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }
    private static func isDigest(_ text: Substring) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let algorithm = parts.first, let hex = parts.last else { return false }
        return !algorithm.isEmpty && algorithm.utf8.allSatisfy { isLetterOrDigit($0) || "+._-".utf8.contains($0) }
            && hex.utf8.count >= 32
            && hex.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) || (65...70).contains($0) }
    }
    private static func isRegistry(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { isLetterOrDigit($0) || ".:-[]".utf8.contains($0) } && text.first != "-"
    }
    private static func isPathComponent(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last else { return false }
        let lower: (UInt8) -> Bool = { (48...57).contains($0) || (97...122).contains($0) }
        return lower(first) && lower(last) && text.utf8.allSatisfy { lower($0) || "._-".utf8.contains($0) }
    }
    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }
    private static func isWord(_ byte: UInt8) -> Bool { isLetterOrDigit(byte) || byte == UInt8(ascii: "_") }
}
