/// A virtual address that a task asks for with a label `VIP_<n>` of one of its ports: `10.1.2.3:80`, or `/name:80`.
///
/// A named one is reached as `<name>.<framework>.l4lb.thisdcos.directory`, which resolves to an address that depends on
/// the two names alone: whoever resolves and whoever balances need not speak to each other.
public struct NamedVIP: Sendable, Hashable {
    /// Where named ones live.
    public static let range = "11.0.0.0/8"
    /// The zone of their names.
    public static let zone = "l4lb.thisdcos.directory"

    /// Name without slashes; empty when the label has an address.
    public let name: String
    /// The address of the label; empty when it has a name.
    public let literal: String
    public let port: Int

    /// Reads a label.
    /// - Returns: nil for a label with another key or with a value that is none.
    public init?(label key: String, _ value: String) {
        guard key.hasPrefix("VIP_") || key == "VIP", let colon = value.lastIndex(of: ":"),
            let port = Int(value[value.index(after: colon)...]), (1...65535).contains(port)
        else { return nil }
        let host = value[..<colon]
        self.port = port
        if host.hasPrefix("/") {
            name = host.filter { $0 != "/" }.lowercased()
            literal = ""
            if name.isEmpty { return nil }
        } else {
            let parts = host.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 4, parts.allSatisfy({ UInt8($0) != nil }) else { return nil }
            name = ""
            literal = String(host)
        }
    }

    /// The IPv4 address on which the tasks of this framework are reached.
    /// - Parameter framework: the framework's name, `marathon` for Marathon's apps.
    public func address(framework: String) -> String {
        literal.isEmpty ? Self.address(name: name, framework: framework) : literal
    }

    /// The address of a name.
    public static func address(name: String, framework: String) -> String {
        // 64-bit FNV-1a, folded: names are few, 16 million addresses are enough for them.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in "\(name.lowercased()).\(framework.lowercased())".utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let folded = (hash >> 40) ^ (hash & 0xff_ffff)
        // No octet that some system takes for a network or broadcast address.
        return "11.\(folded >> 16 & 0xff).\(folded >> 8 & 0xff).\(folded % 254 + 1)"
    }

    /// The full name by which it is reached; nil when the label has an address.
    public func hostName(framework: String) -> String? {
        name.isEmpty ? nil : "\(name).\(framework.lowercased()).\(Self.zone)"
    }
}
