import ObjectModel

/// The formats of strings that custom resources may ask for; others are ignored, as Kubernetes ignores them.
enum Formats {
    private static let known: Set<String> = [
        "bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5",
        "isbn", "isbn10", "isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date",
        "duration", "datetime", "date-time", "k8s-short-name", "k8s-long-name",
    ]
    /// Formats of numbers, which are known but not checked beyond the type.
    private static let numeric: Set<String> = ["int32", "int64", "float", "double"]

    static func isKnown(_ format: String) -> Bool { known.contains(format) }
    /// Whether a definition may name it without a warning.
    static func isRecognized(_ format: String) -> Bool { known.contains(format) || numeric.contains(format) }

    static func accepts(_ text: String, _ format: String) -> Bool {
        let bytes = Array(text.utf8)
        switch format {
        case "bsonobjectid": return bytes.count == 24 && bytes.allSatisfy(isHex)
        case "uri": return isURI(text)
        case "email": return isEmail(text)
        case "hostname": return isHostname(text)
        case "ipv4": return IPAddress(text)?.family == .ipv4
        case "ipv6": return IPAddress(text)?.family == .ipv6
        case "cidr": return CIDR(text) != nil
        case "mac": return isMAC(text)
        case "uuid": return isUUID(bytes, version: nil)
        case "uuid3": return isUUID(bytes, version: 3)
        case "uuid4": return isUUID(bytes, version: 4)
        case "uuid5": return isUUID(bytes, version: 5)
        case "isbn": return isISBN10(text) || isISBN13(text)
        case "isbn10": return isISBN10(text)
        case "isbn13": return isISBN13(text)
        case "creditcard": return isCreditCard(text)
        case "ssn": return isSocialSecurityNumber(bytes)
        case "hexcolor": return isHexColor(bytes)
        case "rgbcolor": return isRGBColor(text)
        case "byte": return isBase64(bytes)
        case "date": return isDate(bytes)
        case "duration": return isDuration(text)
        case "datetime", "date-time": return isDateTime(bytes)
        case "k8s-short-name": return Names.dns1123LabelProblems(text).isEmpty
        case "k8s-long-name": return Names.dns1123SubdomainProblems(text).isEmpty
        default: return true
        }
    }

    // MARK: Digits

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
    private static func isHex(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= 97 && byte | 0x20 <= 102)
    }
    private static func isLetter(_ byte: UInt8) -> Bool { byte | 0x20 >= 97 && byte | 0x20 <= 122 }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard !bytes.isEmpty, bytes.allSatisfy(isDigit) else { return nil }
        return bytes.reduce(0) { $0 * 10 + Int($1 - 48) }
    }

    private static func isUUID(_ bytes: [UInt8], version: UInt8?) -> Bool {
        var digits: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "-") {
                guard version == nil || [8, 13, 18, 23].contains(index) else { return false }
            } else {
                guard isHex(byte) else { return false }
                digits.append(byte)
            }
        }
        guard digits.count == 32 else { return false }
        guard let version else { return true }
        guard digits[12] == 48 + version else { return false }
        return version == 3 || "89abAB".utf8.contains(digits[16])
    }

    private static func isISBN10(_ text: String) -> Bool {
        let digits = text.utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: " ") }
        guard digits.count == 10, digits.dropLast().allSatisfy(isDigit) else { return false }
        var sum = 0
        for (index, digit) in digits.enumerated() {
            let value = digit | 0x20 == UInt8(ascii: "x") && index == 9 ? 10 : isDigit(digit) ? Int(digit - 48) : -1
            guard value >= 0 else { return false }
            sum += (10 - index) * value
        }
        return sum % 11 == 0
    }

    private static func isISBN13(_ text: String) -> Bool {
        let digits = text.utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: " ") }
        guard digits.count == 13, digits.allSatisfy(isDigit) else { return false }
        return digits.enumerated().reduce(0) { $0 + Int($1.element - 48) * ($1.offset % 2 == 0 ? 1 : 3) } % 10 == 0
    }

    private static func isCreditCard(_ text: String) -> Bool {
        let digits = text.utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: " ") }
        guard (12...19).contains(digits.count), digits.allSatisfy(isDigit) else { return false }
        var sum = 0
        for (index, digit) in digits.reversed().enumerated() {
            let value = Int(digit - 48)
            sum += index % 2 == 0 ? value : value > 4 ? value * 2 - 9 : value * 2
        }
        return sum % 10 == 0
    }

    private static func isSocialSecurityNumber(_ bytes: [UInt8]) -> Bool {
        guard bytes.count == 11 else { return false }
        for (index, byte) in bytes.enumerated() {
            let isSeparator = index == 3 || index == 6
            guard isSeparator ? byte == UInt8(ascii: "-") || byte == UInt8(ascii: " ") : isDigit(byte) else {
                return false
            }
        }
        return true
    }

    private static func isHexColor(_ bytes: [UInt8]) -> Bool {
        let digits = bytes.first == UInt8(ascii: "#") ? bytes[1...] : bytes[...]
        return (digits.count == 3 || digits.count == 6) && digits.allSatisfy(isHex)
    }

    private static func isRGBColor(_ text: String) -> Bool {
        let compact = text.filter { $0 != " " }
        guard compact.hasPrefix("rgb("), compact.hasSuffix(")") else { return false }
        let parts = compact.dropFirst(4).dropLast().split(separator: ",", omittingEmptySubsequences: false)
        return parts.count == 3 && parts.allSatisfy { part in Int(part).map { (0...255).contains($0) } ?? false }
    }

    private static func isBase64(_ bytes: [UInt8]) -> Bool {
        guard bytes.count % 4 == 0 else { return false }
        let body = bytes.prefix { $0 != UInt8(ascii: "=") }
        let padding = bytes.count - body.count
        return padding <= 2 && bytes.suffix(padding).allSatisfy { $0 == UInt8(ascii: "=") }
            && body.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "/") }
    }

    // MARK: Times

    private static func isDate(_ bytes: [UInt8]) -> Bool {
        guard bytes.count == 10, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            let year = number(bytes[0..<4]), let month = number(bytes[5..<7]), let day = number(bytes[8..<10]),
            (1...12).contains(month)
        else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return (1...days[month - 1]).contains(day)
    }

    private static func isDateTime(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 16, isDate(Array(bytes[0..<10])), bytes[10] | 0x20 == UInt8(ascii: "t") else {
            return false
        }
        var rest = bytes[11...]
        func clock(_ part: ArraySlice<UInt8>, _ most: Int) -> Bool {
            number(part).map { $0 <= most } ?? false
        }
        guard rest.count >= 9, clock(rest.prefix(2), 23), rest[13] == UInt8(ascii: ":"),
            clock(rest.dropFirst(3).prefix(2), 59), rest[16] == UInt8(ascii: ":"),
            clock(rest.dropFirst(6).prefix(2), 59)
        else { return false }
        rest = rest.dropFirst(8)
        if rest.first == UInt8(ascii: ".") {
            let digits = rest.dropFirst().prefix(while: isDigit)
            guard !digits.isEmpty else { return false }
            rest = rest.dropFirst(1 + digits.count)
        }
        if rest.count == 1 { return rest.first.map { $0 | 0x20 == UInt8(ascii: "z") } ?? false }
        let zone = Array(rest)
        return zone.count == 6 && (zone[0] == UInt8(ascii: "+") || zone[0] == UInt8(ascii: "-"))
            && clock(zone[1..<3], 23) && zone[3] == UInt8(ascii: ":") && clock(zone[4..<6], 59)
    }

    /// Go's durations, and days, weeks and long unit names beside them.
    private static func isDuration(_ text: String) -> Bool {
        if GoDuration(text) != nil { return true }
        let units: Set<String> = [
            "ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr", "hour", "d", "day",
            "w", "wk", "week",
        ]
        var rest = Substring(text)
        var count = 0
        while !rest.isEmpty {
            rest = rest.drop { $0 == " " }
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard !digits.isEmpty else { return false }
            rest = rest.dropFirst(digits.count).drop { $0 == " " }
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            let name = unit.lowercased()
            let singular = name.count > 2 && name.hasSuffix("s") ? String(name.dropLast()) : name
            guard units.contains(name) || units.contains(singular) else { return false }
            count += 1
        }
        return count > 0
    }

    // MARK: Names

    private static func isHostname(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 253 else { return false }
        let name = text.hasSuffix(".") ? text.dropLast() : text[...]
        return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            let bytes = Array(label.utf8)
            guard (1...63).contains(bytes.count), let first = bytes.first, let last = bytes.last else { return false }
            return first != UInt8(ascii: "-") && last != UInt8(ascii: "-")
                && bytes.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") || $0 >= 0x80 }
        }
    }

    private static func isEmail(_ text: String) -> Bool {
        // As Go's mail parser: a bare address, or a name with the address in angle brackets.
        var address = text[...]
        if address.hasSuffix(">"), let open = address.lastIndex(of: "<") {
            address = address[address.index(after: open)...].dropLast()
        }
        guard let at = address.lastIndex(of: "@"), at != address.startIndex else { return false }
        let local = address[..<at]
        let domain = address[address.index(after: at)...]
        guard !domain.isEmpty, !domain.hasPrefix("."), !domain.hasSuffix("."), !domain.contains("..") else {
            return false
        }
        let isQuoted = local.hasPrefix("\"") && local.hasSuffix("\"") && local.count > 2
        let allowed: (Character) -> Bool = { character in
            character.isLetter || character.isNumber || "!#$%&'*+-/=?^_`{|}~.".contains(character)
        }
        let isAtom =
            local.allSatisfy(allowed) && !local.hasPrefix(".") && !local.hasSuffix(".") && !local.contains("..")
        let isLiteral = domain.hasPrefix("[") && domain.hasSuffix("]")
        return (isQuoted || isAtom) && (isLiteral || domain.allSatisfy(allowed))
    }

    private static func isMAC(_ text: String) -> Bool {
        for separator in [":", "-"] as [Character] where text.contains(separator) {
            let parts = text.split(separator: separator, omittingEmptySubsequences: false)
            return [6, 8, 20].contains(parts.count)
                && parts.allSatisfy { $0.utf8.count == 2 && $0.utf8.allSatisfy(isHex) }
        }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return [3, 4, 10].contains(parts.count) && parts.allSatisfy { $0.utf8.count == 4 && $0.utf8.allSatisfy(isHex) }
    }

    /// A URI as Go's `ParseRequestURI` takes it: absolute, or a path.
    private static func isURI(_ text: String) -> Bool {
        guard !text.isEmpty, !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            return false
        }
        if text.hasPrefix("/") || text == "*" { return hasValidEscapes(text) }
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else { return false }
        let scheme = Array(text[..<colon].utf8)
        guard isLetter(scheme[0]),
            scheme.allSatisfy({ isLetter($0) || isDigit($0) || "+-.".utf8.contains($0) })
        else { return false }
        let rest = text[text.index(after: colon)...]
        if rest.hasPrefix("//") {
            let authority = rest.dropFirst(2).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
            if authority.contains(" ") { return false }
        }
        return hasValidEscapes(text)
    }

    private static func hasValidEscapes(_ text: String) -> Bool {
        var bytes = Array(text.utf8)[...]
        while let percent = bytes.firstIndex(of: UInt8(ascii: "%")) {
            guard percent + 2 < bytes.endIndex, isHex(bytes[percent + 1]), isHex(bytes[percent + 2]) else {
                return false
            }
            bytes = bytes[(percent + 3)...]
        }
        return true
    }
}
