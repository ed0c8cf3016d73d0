extension JSON {
    /// Compact JSON text as UTF-8 bytes.
    public func encoded() -> [UInt8] {
        var out: [UInt8] = []
        encode(into: &out)
        return out
    }

    /// Appends compact JSON text.
    public func encode(into out: inout [UInt8]) {
        fatalError("being written")
    }

    /// JSON text indented by two spaces, as `kubectl get --raw` users and `?pretty=true` see it.
    public func prettyEncoded() -> [UInt8] {
        fatalError("being written")
    }
}

extension JSON: CustomStringConvertible {
    public var description: String { String(decoding: encoded(), as: UTF8.self) }
}
