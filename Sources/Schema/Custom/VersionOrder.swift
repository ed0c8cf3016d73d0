/// The order of API versions: `v2` before `v1` before `v1beta2` before `v1alpha1`, then all other names.
public struct VersionOrder: Comparable, Sendable {
    private let rank: Int
    private let major: Int
    private let minor: Int
    private let name: String

    /// - Parameter version: such as `v1beta1`.
    public init(_ version: String) {
        name = version
        var rest = version.utf8[...]
        guard rest.popFirst() == UInt8(ascii: "v"), let first = Self.number(&rest) else {
            (rank, major, minor) = (3, 0, 0)
            return
        }
        let word = rest.prefix { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        rest = rest.dropFirst(word.count)
        let second = Self.number(&rest)
        switch (String(Substring(word)), second, rest.isEmpty) {
        case ("", nil, true): (rank, major, minor) = (0, first, 0)
        case ("beta", let second?, true): (rank, major, minor) = (1, first, second)
        case ("alpha", let second?, true): (rank, major, minor) = (2, first, second)
        default: (rank, major, minor) = (3, 0, 0)
        }
    }

    private static func number(_ text: inout Substring.UTF8View) -> Int? {
        let digits = text.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        text = text.dropFirst(digits.count)
        guard digits.first != UInt8(ascii: "0") else { return nil }
        return Int(Substring(digits))
    }

    public static func < (left: VersionOrder, right: VersionOrder) -> Bool {
        if left.rank != right.rank { return left.rank < right.rank }
        if left.major != right.major { return left.major > right.major }
        if left.minor != right.minor { return left.minor > right.minor }
        return left.name < right.name
    }
}
