import OrderedCollections

/// The byte-level reader: one pass over a buffer, one descent per nesting level, bounded by `maximumDepth`.
///
/// Problems are worded like those of Go's decoder, because clients of the Kubernetes API know those texts.
struct JSONReader {
    private let base: UnsafePointer<UInt8>
    private let count: Int
    private var position = 0
    private var depth = 0
    private let maximumDepth: Int
    private let collectsDuplicates: Bool
    private var duplicates: [String] = []
    /// The way to the value that is read now; kept only while duplicates are collected.
    private var path: [PathElement] = []
    private var scratch: [UInt8] = []
    /// Members and elements of the containers that are being read, innermost last: finished containers are made in
    /// their exact size, with one allocation instead of one per doubling.
    private var stack = ValueStack()

    private enum PathElement {
        case member(String)
        case index(Int)
    }

    private init(_ buffer: UnsafeBufferPointer<UInt8>, base: UnsafePointer<UInt8>, options: JSONReadOptions) {
        self.base = base
        count = buffer.count
        maximumDepth = options.maximumDepth
        collectsDuplicates = options.collectsDuplicates
    }

    /// Reads one document that fills the whole buffer.
    static func read(
        _ buffer: UnsafeBufferPointer<UInt8>, options: JSONReadOptions
    ) -> Result<JSONDocument, JSONError> {
        guard let base = buffer.baseAddress, !buffer.isEmpty else {
            return .failure(JSONError("unexpected end of JSON input", at: 0))
        }
        var reader = JSONReader(buffer, base: base, options: options)
        defer { reader.stack.free() }
        do throws(JSONError) {
            let value = try reader.value()
            reader.skipSpace()
            if reader.position < reader.count { throw reader.unexpected("after top-level value") }
            return .success(JSONDocument(value: value, duplicates: reader.duplicates))
        } catch {
            return .failure(error)
        }
    }

    // MARK: Values

    private mutating func value() throws(JSONError) -> JSON {
        skipSpace()
        guard position < count else { throw truncated() }
        switch base[position] {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""):
            position += 1
            return .string(try string())
        case UInt8(ascii: "t"):
            try literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try literal("null")
            return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw unexpected("looking for beginning of value")
        }
    }

    private mutating func object() throws(JSONError) -> JSON {
        try descend()
        position += 1
        skipSpace()
        if position < count, base[position] == UInt8(ascii: "}") {
            position += 1
            depth -= 1
            return .object([:])
        }
        let start = stack.count
        var areKeysPlain = true
        var isRepeated = false
        /// The keys of a big object, while repeated ones are to be reported.
        var seen: Set<String> = []
        while true {
            skipSpace()
            guard position < count else { throw truncated() }
            guard base[position] == UInt8(ascii: "\"") else {
                throw unexpected("looking for beginning of object key string")
            }
            position += 1
            let keyStart = position
            let key = try key()
            let fingerprint = fingerprint(keyStart, position - 1, areKeysPlain: &areKeysPlain)
            if !isRepeated, areKeysPlain, stack.count - start <= Self.comparedKeys {
                isRepeated = stack.contains(key, fingerprint, from: start)
            }
            skipSpace()
            guard position < count else { throw truncated() }
            guard base[position] == UInt8(ascii: ":") else { throw unexpected("after object key") }
            position += 1
            if collectsDuplicates {
                path.append(.member(key))
                let value = try value()
                if stack.count - start > Self.comparedKeys {
                    if seen.isEmpty { seen = stack.keys(from: start) }
                    if !seen.insert(key).inserted { duplicates.append(pathText()) }
                } else if isRepeated || !areKeysPlain, stack.contains(key, nil, from: start) {
                    duplicates.append(pathText())
                }
                stack.push(key, fingerprint, value)
                path.removeLast()
            } else {
                stack.push(key, fingerprint, try value())
            }
            skipSpace()
            guard position < count else { throw truncated() }
            let next = base[position]
            if next == UInt8(ascii: ",") {
                position += 1
            } else if next == UInt8(ascii: "}") {
                position += 1
                depth -= 1
                let isChecked = areKeysPlain && !isRepeated && stack.count - start <= Self.comparedKeys + 1
                return .object(stack.popObject(from: start, areKeysUnique: isChecked))
            } else {
                throw unexpected("after object key:value pair")
            }
        }
    }

    private mutating func array() throws(JSONError) -> JSON {
        try descend()
        position += 1
        skipSpace()
        if position < count, base[position] == UInt8(ascii: "]") {
            position += 1
            depth -= 1
            return .array([])
        }
        let start = stack.count
        while true {
            if collectsDuplicates {
                path.append(.index(stack.count - start))
                stack.push("", 0, try value())
                path.removeLast()
            } else {
                stack.push("", 0, try value())
            }
            skipSpace()
            guard position < count else { throw truncated() }
            let next = base[position]
            if next == UInt8(ascii: ",") {
                position += 1
            } else if next == UInt8(ascii: "]") {
                position += 1
                depth -= 1
                return .array(stack.popArray(from: start))
            } else {
                throw unexpected("after array element")
            }
        }
    }

    /// Objects with more members are built through the hash table: comparing each with each would take too long.
    private static let comparedKeys = 32

    /// Length and first bytes of a key: what differs here needs no comparison. Escapes and letters beyond ASCII make
    /// keys that may be equal although their bytes differ.
    private func fingerprint(_ start: Int, _ end: Int, areKeysPlain: inout Bool) -> UInt64 {
        var fingerprint = UInt64(truncatingIfNeeded: end - start)
        var all: UInt8 = 0
        for index in start..<end {
            let byte = base[index]
            if byte == 0x5c { all = 0x80 }
            all |= byte
            fingerprint = (fingerprint ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
        if all >= 0x80 { areKeysPlain = false }
        return fingerprint
    }

    private mutating func descend() throws(JSONError) {
        depth += 1
        if depth > maximumDepth { throw JSONError("exceeded max depth", at: position) }
    }

    private mutating func literal(_ text: StaticString) throws(JSONError) {
        for index in 0..<text.utf8CodeUnitCount {
            guard position < count else { throw truncated() }
            let expected = text.utf8Start[index]
            guard base[position] == expected else {
                throw unexpected("in literal \(text) (expecting '\(Character(Unicode.Scalar(expected)))')")
            }
            position += 1
        }
    }

    // MARK: Numbers

    private mutating func number() throws(JSONError) -> JSON {
        let start = position
        let isNegative = base[position] == UInt8(ascii: "-")
        if isNegative { position += 1 }
        var magnitude: UInt64 = 0
        var fits = true
        guard position < count else { throw truncated() }
        if base[position] == UInt8(ascii: "0") {
            position += 1
            fits = !isNegative  // `-0` is no integer: its sign must survive.
        } else {
            let first = position
            while position < count, case let digit = base[position] &- 48, digit < 10 {
                // 18 digits cannot overflow; longer ones are checked.
                if position - first < 18 {
                    magnitude = magnitude &* 10 &+ UInt64(digit)
                } else if fits {
                    let (scaled, overflow) = magnitude.multipliedReportingOverflow(by: 10)
                    let (sum, carry) = scaled.addingReportingOverflow(UInt64(digit))
                    fits = !overflow && !carry
                    magnitude = sum
                }
                position += 1
            }
            if position == first { throw unexpected("in numeric literal") }
        }
        var isInteger = true
        if position < count, base[position] == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            try digits("after decimal point in numeric literal")
        }
        if position < count, base[position] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if position < count, base[position] == UInt8(ascii: "+") || base[position] == UInt8(ascii: "-") {
                position += 1
            }
            try digits("in exponent of numeric literal")
        }
        if isInteger, fits {
            if !isNegative, magnitude <= UInt64(Int64.max) { return .integer(Int64(magnitude)) }
            if isNegative, magnitude <= UInt64(Int64.max) + 1 {
                return .integer(Int64(truncatingIfNeeded: 0 &- magnitude))
            }
        }
        let text = UnsafeBufferPointer(start: base + start, count: position - start)
        return .number(JSONNumber(text: String(decoding: text, as: UTF8.self)))
    }

    private mutating func digits(_ place: String) throws(JSONError) {
        let first = position
        while position < count, base[position] &- 48 < 10 { position += 1 }
        guard position > first else { throw position < count ? unexpected(place) : truncated() }
    }

    // MARK: Strings

    /// Reads a member name; the long names of the API are shared, short ones live inside `String` anyway.
    private mutating func key() throws(JSONError) -> String {
        let start = position
        var end = start
        while end < count, case let byte = base[end], byte != 0x22, byte != 0x5c, byte >= 0x20 { end += 1 }
        if end < count, base[end] == 0x22, end - start > 15,
            let known = KnownKeys.shared.find(UnsafeBufferPointer(start: base + start, count: end - start))
        {
            position = end + 1
            return known
        }
        return try string()
    }

    /// Reads a string whose opening quote is already behind.
    private mutating func string() throws(JSONError) -> String {
        let start = position
        var end = start
        while end < count, case let byte = base[end], byte != 0x22, byte != 0x5c, byte >= 0x20 { end += 1 }
        guard end < count else { throw JSONError("unexpected end of JSON input", at: count) }
        if base[end] == 0x22 {
            position = end + 1
            return String(decoding: UnsafeBufferPointer(start: base + start, count: end - start), as: UTF8.self)
        }
        scratch.removeAll(keepingCapacity: true)
        scratch.append(contentsOf: UnsafeBufferPointer(start: base + start, count: end - start))
        position = end
        while position < count {
            let byte = base[position]
            if byte == 0x22 {
                position += 1
                return String(decoding: scratch, as: UTF8.self)
            }
            if byte == 0x5c {
                position += 1
                try escape()
            } else if byte < 0x20 {
                throw unexpected("in string literal")
            } else {
                scratch.append(byte)
                position += 1
            }
        }
        throw truncated()
    }

    private mutating func escape() throws(JSONError) {
        guard position < count else { throw truncated() }
        let byte = base[position]
        let meaning: UInt8
        switch byte {
        case 0x22, 0x5c, UInt8(ascii: "/"): meaning = byte
        case UInt8(ascii: "b"): meaning = 8
        case UInt8(ascii: "f"): meaning = 12
        case UInt8(ascii: "n"): meaning = 10
        case UInt8(ascii: "r"): meaning = 13
        case UInt8(ascii: "t"): meaning = 9
        case UInt8(ascii: "u"):
            position += 1
            return try unicodeEscape()
        default: throw unexpected("in string escape code")
        }
        position += 1
        scratch.append(meaning)
    }

    /// `\uXXXX`, or a surrogate pair of them; a lone surrogate becomes U+FFFD.
    private mutating func unicodeEscape() throws(JSONError) {
        let first = try hex4()
        var scalar = UInt32(first)
        if first & 0xf800 == 0xd800 {
            scalar = 0xfffd
            if first < 0xdc00, position + 1 < count, base[position] == 0x5c, base[position + 1] == UInt8(ascii: "u") {
                let rewind = position
                position += 2
                let second = try hex4()
                if second & 0xfc00 == 0xdc00 {
                    scalar = 0x10000 + (UInt32(first & 0x3ff) << 10 | UInt32(second & 0x3ff))
                } else {
                    position = rewind  // Not a low surrogate: it stands for itself.
                }
            }
        }
        scratch.append(
            contentsOf: UTF8.encode(Unicode.Scalar(scalar) ?? "\u{fffd}") ?? UTF8.encodedReplacementCharacter)
    }

    private mutating func hex4() throws(JSONError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard position < count else { throw truncated() }
            let byte = base[position]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - 48
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - 87
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - 55
            default: throw unexpected("in \\u hexadecimal character escape")
            }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return value
    }

    // MARK: Odds and ends

    @inline(__always)
    private mutating func skipSpace() {
        while position < count {
            let byte = base[position]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return }
            position += 1
        }
    }

    private func truncated() -> JSONError { JSONError("unexpected end of JSON input", at: count) }

    private func unexpected(_ place: String) -> JSONError {
        let byte = base[position]
        let shown: String
        switch byte {
        case UInt8(ascii: "'"): shown = "'\\''"
        case UInt8(ascii: "\n"): shown = "'\\n'"
        case UInt8(ascii: "\r"): shown = "'\\r'"
        case UInt8(ascii: "\t"): shown = "'\\t'"
        case 0x20..<0x7f: shown = "'\(Character(Unicode.Scalar(byte)))'"
        default: shown = "'\\x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))'"
        }
        return JSONError("invalid character \(shown) \(place)", at: position)
    }

    private func pathText() -> String {
        var text = ""
        for element in path {
            switch element {
            case .member(let name): text += text.isEmpty ? name : ".\(name)"
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }
}
