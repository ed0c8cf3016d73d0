/// The syntax rules for names in the API. Every function returns the problems in Kubernetes's words; none means valid.
public enum Names {
    public static let dns1123LabelMessage =
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        + "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    public static let dns1123SubdomainMessage =
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
        + "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    public static let dns1035LabelMessage =
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        + "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation "
        + "is '[a-z]([-a-z0-9]*[a-z0-9])?')"
    static let qualifiedNameMessage =
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        + "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
        + "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    static let labelValueMessage =
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
        + "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
        + "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

    /// RFC 1123 label, at most 63 bytes: namespaces, containers, most generated names.
    public static func dns1123LabelProblems(_ name: String) -> [String] {
        var problems = lengthProblems(name, 63)
        if !isDNS1123Label(name.utf8[...]) {
            // A subdomain in a label's place is a common mistake and gets its own words.
            problems.append(
                isDNS1123Subdomain(name) ? "must not contain dots" : dns1123LabelMessage)
        }
        return problems
    }

    /// RFC 1123 subdomain, at most 253 bytes: the rule for most object names.
    public static func dns1123SubdomainProblems(_ name: String) -> [String] {
        var problems = lengthProblems(name, 253)
        if !isDNS1123Subdomain(name) { problems.append(dns1123SubdomainMessage) }
        return problems
    }

    /// A name that resolvers look in: as a subdomain, with underscores allowed.
    public static func searchPathProblems(_ name: String) -> [String] {
        let problems = lengthProblems(name, 253)
        let isGood = name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            let body = label.hasPrefix("_") ? label.dropFirst() : label
            guard let first = body.utf8.first, let last = body.utf8.last else { return false }
            func isPlain(_ byte: UInt8) -> Bool {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            }
            return isPlain(first) && isPlain(last)
                && body.utf8.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
        }
        if isGood { return problems }
        return problems + [
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must "
                + "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
                + #"'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"#
        ]
    }

    /// RFC 1035 label, at most 63 bytes: names of versions.
    public static func dns1035LabelProblems(_ name: String) -> [String] {
        var problems = lengthProblems(name, 63)
        let first = name.utf8.first ?? 0
        if !isDNS1123Label(name.utf8[...]) || !isLower(first) { problems.append(dns1035LabelMessage) }
        return problems
    }

    /// Label and annotation keys, taints, finalizers: an optional subdomain, a slash and a name of at most 63 bytes.
    public static func qualifiedNameProblems(_ name: String) -> [String] {
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        var problems: [String] = []
        let local: Substring.UTF8View
        switch parts.count {
        case 1: local = parts[0]
        case 2:
            local = parts[1]
            let prefix = String(Substring(parts[0]))
            if prefix.isEmpty {
                problems.append("prefix part must be non-empty")
            } else {
                problems += dns1123SubdomainProblems(prefix).map { "prefix part \($0)" }
            }
        default:
            return [
                "a qualified name "
                    + String(qualifiedNameMessage.dropFirst("name part ".count))
                    + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ]
        }
        if local.isEmpty {
            problems.append("name part must be non-empty")
        } else if local.count > 63 {
            problems.append("name part must be no more than 63 characters")
        }
        if !isQualifiedPart(local) { problems.append(qualifiedNameMessage) }
        return problems
    }

    /// Label values: empty, or at most 63 bytes of letters, digits, `-`, `_` and `.`.
    public static func labelValueProblems(_ value: String) -> [String] {
        var problems = lengthProblems(value, 63)
        if !value.isEmpty, !isQualifiedPart(value.utf8[...]) { problems.append(labelValueMessage) }
        return problems
    }

    /// Names that only must be usable in a URL path: RBAC objects.
    public static func pathSegmentProblems(_ name: String) -> [String] {
        switch name {
        case ".": return ["may not be '.'"]
        case "..": return ["may not be '..'"]
        default:
            return ["/", "%"].filter { name.utf8.contains($0.utf8.first ?? 0) }.map { "may not contain '\($0)'" }
        }
    }

    /// Container port names (IANA service names): at most 15 bytes, a letter in it, no double dash.
    public static func portNameProblems(_ name: String) -> [String] {
        var problems = lengthProblems(name, 15)
        let bytes = Array(name.utf8)
        if !bytes.allSatisfy({ isLowerAlphanumeric($0) || $0 == UInt8(ascii: "-") }) || bytes.isEmpty {
            problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
        }
        if !bytes.contains(where: isLower) { problems.append("must contain at least one letter (a-z)") }
        if name.contains("--") { problems.append("must not contain consecutive hyphens") }
        if bytes.first == UInt8(ascii: "-") || bytes.last == UInt8(ascii: "-") {
            problems.append("must not begin or end with a hyphen")
        }
        return problems
    }

    /// A port number from 1 to 65535.
    public static func portNumberProblems(_ port: Int) -> [String] {
        (1...65535).contains(port) ? [] : ["must be between 1 and 65535, inclusive"]
    }

    /// Environment variable names: printable ASCII without `=` (the relaxed rule, default since 1.34).
    public static func environmentNameProblems(_ name: String) -> [String] {
        if name.isEmpty { return ["environment variable name must be non-empty"] }
        let isValid = name.utf8.allSatisfy { (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "=") }
        return isValid
            ? []
            : ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    }

    /// Keys of ConfigMaps and Secrets.
    public static func configMapKeyProblems(_ key: String) -> [String] {
        var problems = lengthProblems(key, 253)
        let isValid =
            !key.isEmpty
            && key.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2d || $0 == 0x5f || $0 == 0x2e }
        if !isValid {
            problems.append(
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                    + "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')")
        }
        if key == "." { problems.append("must not be '.'") }
        if key == ".." {
            problems.append("must not be '..'")
        } else if key.hasPrefix("..") {
            problems.append("must not start with '..'")
        }
        return problems
    }

    // MARK: Character classes

    private static func lengthProblems(_ name: String, _ maximum: Int) -> [String] {
        name.utf8.count > maximum ? ["must be no more than \(maximum) characters"] : []
    }

    private static func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7a }
    private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool { isLower(byte) || (byte >= 0x30 && byte <= 0x39) }
    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLowerAlphanumeric(byte) || (byte >= 0x41 && byte <= 0x5a)
    }

    private static func isDNS1123Label(_ bytes: Substring.UTF8View) -> Bool {
        guard let first = bytes.first, let last = bytes.last, isLowerAlphanumeric(first), isLowerAlphanumeric(last)
        else {
            return false
        }
        return bytes.allSatisfy { isLowerAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isDNS1123Subdomain(_ name: String) -> Bool {
        name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy(isDNS1123Label)
    }

    private static func isQualifiedPart(_ bytes: Substring.UTF8View) -> Bool {
        guard let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last) else {
            return false
        }
        return bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2d || $0 == 0x5f || $0 == 0x2e }
    }
}

/// Names and name parts that the system makes up.
public enum NameGenerator {
    /// Letters and digits without vowels and look-alikes, so that no words and no misreadings arise.
    private static let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

    /// Random characters for a name.
    public static func suffix(length: Int = 5) -> String {
        var random = SystemRandomNumberGenerator()
        let bytes = (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `metadata.generateName` and five random characters; the base is cut so that the name fits 63 bytes.
    public static func name(from base: String) -> String {
        String(decoding: base.utf8.prefix(58), as: UTF8.self) + suffix()
    }

    /// Maps text, such as the digits of a hash, into the alphabet of `suffix` (as `pod-template-hash` does).
    public static func safeEncoded(_ text: String) -> String {
        String(decoding: text.utf8.map { alphabet[Int($0) % alphabet.count] }, as: UTF8.self)
    }

    /// The 32-bit FNV-1a hash.
    public static func fnv32a(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var hash: UInt32 = 0x811c_9dc5
        for byte in bytes { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        return hash
    }

    /// A random (version 4) UUID in lower case.
    public static func uuid() -> String {
        var random = SystemRandomNumberGenerator()
        let high = random.next() & 0xffff_ffff_ffff_0fff | 0x4000
        let low = random.next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
        let digits = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: 36) { out in
            var index = 0
            for nibble in 0..<32 {
                if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 {
                    out.initializeElement(at: index, to: UInt8(ascii: "-"))
                    index += 1
                }
                let word = nibble < 16 ? high : low
                let digit = digits[Int(word >> UInt64(60 - nibble % 16 * 4) & 15)]
                out.initializeElement(at: index, to: digit)
                index += 1
            }
            return index
        }
    }
}
