/// What a JSON reader accepts and reports.
public struct JSONReadOptions: Sendable {
    /// Deepest nesting of arrays and objects; deeper input is an error, never a stack overflow.
    public var maximumDepth = 512
    /// Report repeated object members in `JSONDocument.duplicates` (the last value wins either way).
    public var collectsDuplicates = false

    /// The defaults: 512 levels, duplicates not reported.
    public init() {}
}

/// A parsed document and what was noticed on the way.
public struct JSONDocument: Sendable {
    /// The document.
    public var value: JSON
    /// Paths such as `spec.containers[0].image` of members that stood twice, in document order.
    public var duplicates: [String]
}

/// Why bytes are not JSON.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What was wrong, without the position.
    public let problem: String
    /// Byte offset where it was found.
    public let offset: Int

    /// An error at a byte offset.
    public init(_ problem: String, at offset: Int) {
        self.problem = problem
        self.offset = offset
    }

    /// The problem and its position.
    public var description: String { "\(problem) at byte \(offset)" }
}

extension JSON {
    /// Parses one JSON document (RFC 8259, UTF-8; invalid UTF-8 inside strings becomes U+FFFD).
    /// - Throws: `JSONError` naming the problem and its byte offset.
    public static func parse(_ bytes: some Sequence<UInt8>, options: JSONReadOptions = JSONReadOptions())
        throws(JSONError) -> JSON
    {
        if let result = bytes.withContiguousStorageIfAvailable({ JSONReader.read($0, options: options) }) {
            return try result.get().value
        }
        return try parseDocument(Array(bytes), options: options).value
    }

    /// Parses text; see `parse(_:options:)`.
    public static func parse(_ text: String) throws(JSONError) -> JSON {
        var text = text
        return try text.withUTF8 { JSONReader.read($0, options: JSONReadOptions()) }.get().value
    }

    /// Parses one JSON document and reports repeated members.
    public static func parseDocument(_ bytes: [UInt8], options: JSONReadOptions = JSONReadOptions())
        throws(JSONError) -> JSONDocument
    {
        try bytes.withUnsafeBufferPointer { JSONReader.read($0, options: options) }.get()
    }
}
