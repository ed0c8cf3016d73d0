import ObjectModel

/// The text of a quantity as the API stores it.
enum QuantityText {
    static let formatError = ConformError(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")

    /// Whether the text is canonical. Common texts (`250m`, `64Mi`, `2`) are recognised without computing.
    static func isCanonical(_ text: String) -> Bool {
        var text = text
        if let quick = text.withUTF8(quickAnswer) { return quick }
        return Quantity(text)?.canonical == text
    }

    /// One to three digits without a leading zero are the shortest form with any suffix.
    private static func quickAnswer(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool? {
        let digits = bytes.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }.count
        if bytes.count == 1, bytes.first == UInt8(ascii: "0") { return true }
        guard digits > 0, digits <= 3, bytes.first != UInt8(ascii: "0") else { return nil }
        let suffix = bytes.dropFirst(digits)
        switch suffix.count {
        case 0: return true
        case 1: return suffix.first.map("numkMGTPE".utf8.contains) == true ? true : nil
        case 2:
            return suffix.last == UInt8(ascii: "i") && suffix.first.map("KMGTPE".utf8.contains) == true ? true : nil
        default: return nil
        }
    }

    static func canonical(_ text: String) throws(ConformError) -> String {
        let trimmed =
            text.utf8.first.map { $0 <= 32 } == true || text.utf8.last.map { $0 <= 32 } == true
            ? String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()) : text
        if let quantity = Quantity(trimmed) { return quantity.canonical }
        throw looksLikeQuantity(trimmed) ? ConformError("unable to parse quantity's suffix") : formatError
    }

    /// Whether the text starts like a number, so that only its suffix can be wrong.
    private static func looksLikeQuantity(_ text: String) -> Bool {
        var rest = text.utf8[...]
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        let number = rest.prefix { ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) || $0 == UInt8(ascii: ".") }
        let suffix = rest.dropFirst(number.count)
        guard !number.isEmpty, number.contains(where: { $0 != UInt8(ascii: ".") }), !suffix.isEmpty else {
            return false
        }
        return suffix.allSatisfy { "eEinumkKMGTP+-0123456789".utf8.contains($0) }
    }
}

/// The text of a point in time as the API stores it.
enum TimeText {
    /// Whether the text is UTC with exactly so many digits of a second's fraction.
    static func isCanonical(_ text: String, fractionDigits: Int) -> Bool {
        let length = fractionDigits == 0 ? 20 : 21 + fractionDigits
        guard text.utf8.count == length, text.utf8.last == UInt8(ascii: "Z") else { return false }
        return Timestamp(text) != nil
    }

    static func canonical(_ text: String, fractionDigits: Int) throws(ConformError) -> String {
        guard let time = Timestamp(text) else {
            let layout = fractionDigits == 0 ? "2006-01-02T15:04:05Z07:00" : "2006-01-02T15:04:05.000000Z07:00"
            throw ConformError("parsing time \"\(text)\" as \"\(layout)\": cannot parse \"\(text)\" as \"2006\"")
        }
        return fractionDigits == 0 ? time.rfc3339 : time.rfc3339Micro
    }
}

/// Base64 text (RFC 4648 §4 with padding).
enum Base64Text {
    private static func isLetter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
            true
        default: false
        }
    }

    /// Whether the text decodes and has no line breaks.
    static func isCanonical(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { firstProblem($0) == nil }
    }

    /// The text without line breaks.
    static func canonical(_ text: String) throws(ConformError) -> String {
        let bytes = text.utf8.filter { $0 != 10 && $0 != 13 }
        if let problem = bytes.withUnsafeBufferPointer(firstProblem) {
            throw ConformError("illegal base64 data at input byte \(problem)")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func firstProblem(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        var letters = bytes.count
        while letters > 0, bytes.count - letters < 2, bytes[letters - 1] == UInt8(ascii: "=") { letters -= 1 }
        for index in 0..<letters where !isLetter(bytes[index]) { return index }
        return bytes.count % 4 == 0 ? nil : bytes.count / 4 * 4
    }
}
