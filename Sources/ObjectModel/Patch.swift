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
        var result = self
        result.merge(patch)
        return result
    }

    private mutating func merge(_ patch: JSON) {
        guard case .object(let changes) = patch else {
            self = patch
            return
        }
        if case .object = self {} else { self = [:] }
        for (key, change) in changes {
            if change.isNull { removeMember(key) } else { self[key].merge(change) }
        }
    }

    /// Applies a JSON patch (RFC 6902), at most 10,000 operations, bounded result size.
    /// - Throws: `PatchError`; the document is unchanged then, as a patch applies as a whole or not at all.
    public func jsonPatched(with operations: JSON) throws(PatchError) -> JSON {
        guard case .array(let list) = operations else {
            throw PatchError(.malformed, "a JSON patch must be an array of operations")
        }
        guard list.count <= JSONPatch.maximumOperations else {
            throw PatchError(
                .malformed,
                "The allowed maximum operations in a JSON patch is \(JSONPatch.maximumOperations), got \(list.count)")
        }
        var patch = JSONPatch(document: self)
        for operation in list { try patch.apply(operation) }
        return patch.document
    }
}

/// A JSON patch in progress.
private struct JSONPatch {
    static let maximumOperations = 10_000
    /// Most that `copy` may add, in bytes of JSON: doubling a member again and again must not fill the memory.
    static let maximumCopiedBytes = 3 * 1024 * 1024
    static let maximumPathLength = 512
    /// Deepest result: moves of deep values to deep paths must not build what overflows the stack of a later reader.
    static let maximumDepth = 1024

    var document: JSON
    private var copied = 0
    /// No less than the document's depth; measured again only when it seems too much. 512 is the reader's limit.
    private var depthBound = 512

    init(document: JSON) {
        self.document = document
    }

    mutating func apply(_ operation: JSON) throws(PatchError) {
        guard case .object(let members) = operation, let name = operation["op"].string else {
            throw PatchError(.malformed, "a JSON patch operation must be an object with a member \"op\"")
        }
        guard let pathText = operation["path"].string else {
            throw PatchError(.malformed, "JSON patch operation \"\(name)\" has no member \"path\"")
        }
        let path = try Self.tokens(of: pathText)
        switch name {
        case "add", "replace", "test":
            // A test without value compares with null, as the usual implementations do.
            guard let value = members["value"] ?? (name == "test" ? JSON.null : Optional<JSON>.none) else {
                throw PatchError(.malformed, "JSON patch operation \"\(name)\" has no member \"value\"")
            }
            switch name {
            case "add": try add(value, at: path, pathText, operation: name)
            case "replace": try replace(value, at: path, pathText)
            default: try test(value, at: path, pathText)
            }
        case "remove": _ = try remove(path, pathText, operation: name)
        case "move", "copy":
            guard let fromText = operation["from"].string else {
                throw PatchError(.malformed, "JSON patch operation \"\(name)\" has no member \"from\"")
            }
            let from = try Self.tokens(of: fromText)
            if name == "copy" {
                let value = try find(from, fromText, operation: "copy")
                copied += value.approximateSize(limit: Self.maximumCopiedBytes + 1)
                guard copied <= Self.maximumCopiedBytes else {
                    throw PatchError(
                        .unappliable,
                        "Unable to complete the copy, the accumulated size increase of copy is \(copied), "
                            + "exceeding the limit \(Self.maximumCopiedBytes)")
                }
                try add(value, at: path, pathText, operation: name)
            } else {
                if path.count > from.count, path.starts(with: from) {
                    throw PatchError(
                        .unappliable, "move operation does not apply: \(fromText) cannot be moved into its own child")
                }
                let value = try remove(from, fromText, operation: "move")
                try add(value, at: path, pathText, operation: name)
            }
        default: throw PatchError(.malformed, "Unexpected kind: \(name)")
        }
        switch name {
        case "add", "replace": depthBound = max(depthBound, path.count + 512)
        case "move", "copy": depthBound += path.count
        default: break
        }
        if depthBound > Self.maximumDepth {
            depthBound = document.depth
            guard depthBound <= Self.maximumDepth else {
                throw PatchError(.unappliable, "the patched document is nested deeper than \(Self.maximumDepth) levels")
            }
        }
    }

    // MARK: Pointers

    /// The unescaped tokens of a JSON pointer (RFC 6901).
    static func tokens(of pointer: String) throws(PatchError) -> [String] {
        if pointer.isEmpty { return [] }
        guard pointer.utf8.first == UInt8(ascii: "/") else {
            throw PatchError(.malformed, "JSON pointer \"\(pointer)\" must start with '/'")
        }
        let parts = pointer.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count <= maximumPathLength else {
            throw PatchError(.malformed, "JSON pointer has more than \(maximumPathLength) parts")
        }
        return parts.map { part in
            guard part.contains(UInt8(ascii: "~")) else { return String(Substring(part)) }
            var out: [UInt8] = []
            var iterator = part.makeIterator()
            while let byte = iterator.next() {
                guard byte == UInt8(ascii: "~") else {
                    out.append(byte)
                    continue
                }
                switch iterator.next() {
                case UInt8(ascii: "0"): out.append(UInt8(ascii: "~"))
                case UInt8(ascii: "1"): out.append(UInt8(ascii: "/"))
                case let other?: out += [byte, other]
                case nil: out.append(byte)
                }
            }
            return String(decoding: out, as: UTF8.self)
        }
    }

    private static func missing(_ operation: String, _ path: String) -> PatchError {
        PatchError(
            .unappliable, "\(operation) operation does not apply: doc is missing path: \"\(path)\": missing value")
    }

    private static func missingKey(_ operation: String, _ path: String) -> PatchError {
        PatchError(.unappliable, "\(operation) operation does not apply: doc is missing key: \(path): missing value")
    }

    /// An existing index; nil for text that is no index or beyond `count`.
    private static func index(_ token: String, count: Int) -> Int? {
        guard token.utf8.count <= 10, token.utf8.allSatisfy({ (48...57).contains($0) }), let index = Int(token),
            token == "0" || token.utf8.first != 48, index < count
        else { return nil }
        return index
    }

    /// The value at a path, nil when it does not exist.
    private func lookUp(_ path: [String]) -> JSON? {
        var node = document
        for token in path {
            switch node {
            case .object(let members):
                guard let member = members[token] else { return Optional<JSON>.none }
                node = member
            case .array(let elements):
                guard let index = Self.index(token, count: elements.count) else { return Optional<JSON>.none }
                node = elements[index]
            default: return Optional<JSON>.none
            }
        }
        return node
    }

    private func find(_ path: [String], _ text: String, operation: String) throws(PatchError) -> JSON {
        switch lookUp(path) {
        case .some(let value): return value
        case .none: throw Self.missingKey(operation, text)
        }
    }

    /// Runs `body` on the container that holds the last token, in place.
    private mutating func withContainer<Result>(
        _ path: [String], _ text: String, operation: String,
        _ body: (inout JSON, String) throws(PatchError) -> Result
    ) throws(PatchError) -> Result {
        func descend(_ node: inout JSON, _ rest: ArraySlice<String>) throws(PatchError) -> Result {
            guard let token = rest.first else { throw Self.missing(operation, text) }
            if rest.count == 1 { return try body(&node, token) }
            switch node {
            case .object(let members):
                guard members.index(forKey: token) != nil else { throw Self.missing(operation, text) }
            case .array(let elements):
                guard let index = Self.index(token, count: elements.count) else {
                    throw Self.missing(operation, text)
                }
                return try descend(&node[index], rest.dropFirst())
            default: throw Self.missing(operation, text)
            }
            return try descend(&node[token], rest.dropFirst())
        }
        return try descend(&document, path[...])
    }

    // MARK: Operations

    private mutating func add(
        _ value: JSON, at path: [String], _ text: String, operation: String
    ) throws(PatchError) {
        if path.isEmpty {
            document = value
            return
        }
        try withContainer(path, text, operation: operation) { (container, token) throws(PatchError) in
            switch container {
            case .object: container[token] = value
            case .array(var elements):
                let index = token == "-" ? elements.count : Self.index(token, count: elements.count + 1)
                guard let index else {
                    throw PatchError(
                        .unappliable,
                        "\(operation) operation does not apply: Unable to access invalid index: \(token): invalid index referenced"
                    )
                }
                container = .null
                elements.insert(value, at: index)
                container = .array(elements)
            default: throw Self.missing(operation, text)
            }
        }
    }

    private mutating func replace(_ value: JSON, at path: [String], _ text: String) throws(PatchError) {
        if path.isEmpty {
            document = value
            return
        }
        try withContainer(path, text, operation: "replace") { (container, token) throws(PatchError) in
            switch container {
            case .object(let members):
                guard members.index(forKey: token) != nil else { throw Self.missingKey("replace", text) }
            case .array(let elements):
                guard let index = Self.index(token, count: elements.count) else {
                    throw Self.missingKey("replace", text)
                }
                container[index] = value
                return
            default: throw Self.missing("replace", text)
            }
            container[token] = value
        }
    }

    private mutating func remove(
        _ path: [String], _ text: String, operation: String
    ) throws(PatchError) -> JSON {
        if path.isEmpty {
            defer { document = .null }
            return document
        }
        return try withContainer(path, text, operation: operation) { (container, token) throws(PatchError) in
            switch container {
            case .object:
                switch container.removeMember(token) {
                case .some(let removed): return removed
                case .none: throw Self.missingKey(operation, text)
                }
            case .array(var elements):
                guard let index = Self.index(token, count: elements.count) else {
                    throw PatchError(
                        .unappliable,
                        "\(operation) operation does not apply: Unable to access invalid index: \(token): invalid index referenced"
                    )
                }
                container = .null
                let removed = elements.remove(at: index)
                container = .array(elements)
                return removed
            default: throw Self.missing(operation, text)
            }
        }
    }

    private func test(_ value: JSON, at path: [String], _ text: String) throws(PatchError) {
        let found = lookUp(path) ?? JSON.null
        if found != value { throw PatchError(.unappliable, "testing value \(text) failed: test failed") }
    }
}

extension JSON {
    /// Levels of arrays and objects; 0 for a scalar.
    var depth: Int {
        switch self {
        case .array(let elements): 1 + (elements.lazy.map(\.depth).max() ?? 0)
        case .object(let members): 1 + (members.values.lazy.map(\.depth).max() ?? 0)
        default: 0
        }
    }

    /// About as many bytes as the printed form has; stops counting once `limit` is reached.
    func approximateSize(limit: Int) -> Int {
        var size = 0
        func add(_ value: JSON) {
            guard size < limit else { return }
            switch value {
            case .null, .bool: size += 5
            case .integer: size += 8
            case .number(let number): size += number.text.utf8.count
            case .string(let text): size += text.utf8.count + 2
            case .array(let elements):
                size += 2 + elements.count
                for element in elements { add(element) }
            case .object(let members):
                size += 2
                for (key, element) in members {
                    size += key.utf8.count + 4
                    add(element)
                }
            }
        }
        add(self)
        return size
    }
}
