/// The half-open range of keys that a prefix (and a paging position) selects, in byte order.
struct KeyRange {
    /// First key that may match.
    let lower: [UInt8]
    /// First key that is beyond; nil when the prefix has no end (empty prefix).
    let upper: [UInt8]?

    /// - Parameter after: only keys greater than this one; nil from the start of the prefix.
    init(prefix: String, after: String? = nil) {
        let prefixBytes = Array(prefix.utf8)
        if let after {
            // The smallest key greater than K is K followed by a zero byte.
            let next = Array(after.utf8) + [0]
            lower = prefixBytes.lexicographicallyPrecedes(next) ? next : prefixBytes
        } else {
            lower = prefixBytes
        }
        // UTF-8 has no byte 0xFF, so adding one to the last byte never overflows.
        if let last = prefixBytes.last {
            upper = prefixBytes.dropLast() + [last + 1]
        } else {
            upper = nil
        }
    }

    /// True when the key is in the range.
    func contains(_ key: String) -> Bool {
        if key.utf8.lexicographicallyPrecedes(lower) { return false }
        guard let upper else { return true }
        return key.utf8.lexicographicallyPrecedes(upper)
    }
}

extension String {
    /// Order of keys in every backend: by UTF-8 bytes. (`<` on strings orders by Unicode normal form.)
    static func keyOrder(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }

    /// Prefix test on bytes, without Unicode normalisation.
    func hasKeyPrefix(_ prefix: String) -> Bool {
        utf8.starts(with: prefix.utf8)
    }
}
