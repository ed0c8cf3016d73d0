public import JSON

/// Why a patch could not be applied.
public struct PatchError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: Sendable {
        /// The patch document itself is malformed (HTTP 400).
        case malformed
        /// It does not fit the object: a failed test, a missing path (HTTP 422).
        case unappliable
    }
    public let code: Code
    public let description: String
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}

extension JSON {
    /// Applies a JSON merge patch (RFC 7386).
    public func mergePatched(with patch: JSON) -> JSON {
        fatalError("being written")
    }

    /// Applies a JSON patch (RFC 6902), at most 10,000 operations, bounded result size.
    public func jsonPatched(with operations: JSON) throws(PatchError) -> JSON {
        fatalError("being written")
    }
}
