/// A semantic version (https://semver.org).
struct VersionValue: CELOpaque {
    let numbers: [UInt64]
    let prerelease: [Substring]
    let build: [Substring]
    var typeName: String { "kubernetes.Semver" }
    func isEqual(to other: any CELOpaque) -> Bool {
        guard let other = other as? VersionValue else { return false }
        return order(other) == 0
    }

    /// Nil when the text is no version.
    /// - Parameter normalizes: also accepts a leading `v`, missing minor and patch numbers, and leading zeros.
    init?(_ text: String, normalizes: Bool) {
        var rest = Substring(text)
        if normalizes, rest.hasPrefix("v") { rest = rest.dropFirst() }
        var build: [Substring] = []
        if let plus = rest.firstIndex(of: "+") {
            build = rest[rest.index(after: plus)...].split(separator: ".", omittingEmptySubsequences: false)
            rest = rest[..<plus]
        }
        var prerelease: [Substring] = []
        if let dash = rest.firstIndex(of: "-") {
            prerelease = rest[rest.index(after: dash)...].split(separator: ".", omittingEmptySubsequences: false)
            rest = rest[..<dash]
        }
        var parts = rest.split(separator: ".", omittingEmptySubsequences: false)
        if normalizes {
            guard parts.count == 3 || prerelease.isEmpty && build.isEmpty else { return nil }
            while parts.count < 3 { parts.append("0") }
            parts = parts.map { part in
                let digits = part.drop { $0 == "0" }
                return digits.isEmpty && !part.isEmpty ? "0" : digits
            }
        }
        guard parts.count == 3 else { return nil }
        var numbers: [UInt64] = []
        for part in parts {
            guard Self.isNumber(part), part == "0" || !part.hasPrefix("0"), let number = UInt64(part) else {
                return nil
            }
            numbers.append(number)
        }
        for part in prerelease {
            guard Self.isWord(part), !(Self.isNumber(part) && part != "0" && part.hasPrefix("0")) else { return nil }
        }
        guard build.allSatisfy(Self.isWord) else { return nil }
        self.numbers = numbers
        self.prerelease = prerelease
        self.build = build
    }

    private static func isNumber(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 }
    }
    private static func isWord(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                ($0 | 0x20 >= 97 && $0 | 0x20 <= 122) || ($0 >= 48 && $0 <= 57) || $0 == UInt8(ascii: "-")
            }
    }

    /// Precedence: -1, 0 or 1; what stands after `+` does not count.
    func order(_ other: VersionValue) -> Int {
        for (left, right) in zip(numbers, other.numbers) where left != right { return left < right ? -1 : 1 }
        if prerelease.isEmpty || other.prerelease.isEmpty {
            return prerelease.isEmpty == other.prerelease.isEmpty ? 0 : prerelease.isEmpty ? 1 : -1
        }
        for (left, right) in zip(prerelease, other.prerelease) where left != right {
            switch (UInt64(left), UInt64(right)) {
            case (.some(let a), .some(let b)): return a < b ? -1 : 1
            case (.some, .none): return -1
            case (.none, .some): return 1
            default: return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
            }
        }
        let (count, otherCount) = (prerelease.count, other.prerelease.count)
        return count == otherCount ? 0 : count < otherCount ? -1 : 1
    }
}

extension FunctionTable {
    mutating func addVersions() {
        let type = CELType.opaque("kubernetes.Semver")
        let walk = CostRule.walk(argument: 0, factor: 0.1)
        @Sendable func normalizes(_ arguments: [CELValue]) -> Bool {
            if arguments.count > 1, case .bool(true) = arguments[1] { true } else { false }
        }
        for parameters in [[CELType.string], [.string, .bool]] {
            function("semver", parameters, type, cost: walk) { arguments throws(CELFailure) in
                guard let version = VersionValue(arguments[0].asString, normalizes: normalizes(arguments)) else {
                    throw CELFailure("semver: invalid version \(StringFormat.quote(arguments[0].asString))")
                }
                return .opaque(version)
            }
            function("isSemver", parameters, .bool, cost: walk) { arguments in
                .bool(VersionValue(arguments[0].asString, normalizes: normalizes(arguments)) != nil)
            }
        }
        for (index, name) in ["major", "minor", "patch"].enumerated() {
            member(name, [type], .int) { arguments throws(CELFailure) in
                .int(Int64(clamping: try Self.version(arguments[0]).numbers[index]))
            }
        }
        func compare(_ name: String, _ result: CELType, _ body: @escaping @Sendable (Int) -> CELValue) {
            member(name, [type, type], result) { arguments throws(CELFailure) in
                body(try Self.version(arguments[0]).order(Self.version(arguments[1])))
            }
        }
        compare("isGreaterThan", .bool) { .bool($0 > 0) }
        compare("isLessThan", .bool) { .bool($0 < 0) }
        compare("compareTo", .int) { .int(Int64($0)) }
    }

    private static func version(_ value: CELValue) throws(CELFailure) -> VersionValue {
        guard case .opaque(let value) = value, let version = value as? VersionValue else { throw Arithmetic.noOverload }
        return version
    }
}
