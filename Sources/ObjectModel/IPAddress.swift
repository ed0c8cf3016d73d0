/// An IPv4 or IPv6 address without a zone.
public struct IPAddress: Sendable, Hashable {
    /// The address family.
    public enum Family: String, Sendable, Hashable, CaseIterable {
        case ipv4 = "IPv4"
        case ipv6 = "IPv6"

        /// 32 or 128.
        public var bits: Int { self == .ipv4 ? 32 : 128 }
    }
    public let family: Family
    /// The address as a number; the low 32 bits for IPv4.
    public let value: UInt128

    /// An address from its number; the bits above the family's width are dropped.
    public init(_ family: Family, _ value: UInt128) {
        self.family = family
        self.value = family == .ipv4 ? value & 0xffff_ffff : value
    }

    /// From 4 or 16 bytes in network order; nil for another count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        family = bytes.count == 4 ? .ipv4 : .ipv6
        value = bytes.reduce(0) { $0 << 8 | UInt128($1) }
    }

    /// Parses dotted or colon text; leading zeros in dotted text and zones are refused, as Kubernetes does.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count <= 45 else { return nil }
        if bytes.contains(UInt8(ascii: ":")) {
            guard let value = Self.parseV6(bytes) else { return nil }
            self.init(.ipv6, value)
        } else {
            guard let value = Self.parseV4(bytes[...]) else { return nil }
            self.init(.ipv4, UInt128(value))
        }
    }

    /// 4 or 16 bytes in network order.
    public var bytes: [UInt8] {
        stride(from: family.bits - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt128($0)) }
    }

    /// The address `offset` further; nil beyond the family's range.
    public func advanced(by offset: Int) -> IPAddress? {
        let (moved, overflow) =
            offset >= 0
            ? value.addingReportingOverflow(UInt128(offset))
            : value.subtractingReportingOverflow(UInt128(offset.magnitude))
        guard !overflow, family == .ipv6 || moved <= 0xffff_ffff else { return nil }
        return IPAddress(family, moved)
    }

    /// 127.0.0.0/8 or ::1.
    public var isLoopback: Bool { family == .ipv4 ? value >> 24 == 127 : value == 1 }
    /// 0.0.0.0 or ::.
    public var isUnspecified: Bool { value == 0 }
    /// 169.254.0.0/16 or fe80::/10.
    public var isLinkLocal: Bool { family == .ipv4 ? value >> 16 == 0xa9fe : value >> 118 == 0x3fa }
    /// 224.0.0.0/4 or ff00::/8.
    public var isMulticast: Bool { family == .ipv4 ? value >> 28 == 14 : value >> 120 == 0xff }

    private static func parseV4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let first = part.first, part.count <= 3, part.count == 1 || first != 48 else { return nil }
            var number: UInt32 = 0
            for byte in part {
                guard byte &- 48 < 10 else { return nil }
                number = number * 10 + UInt32(byte - 48)
            }
            guard number < 256 else { return nil }
            value = value << 8 | number
        }
        return value
    }

    private static func parseV6(_ bytes: [UInt8]) -> UInt128? {
        var head: [UInt16] = []
        var tail: [UInt16]?
        func add(_ group: UInt16) {
            if tail != nil { tail?.append(group) } else { head.append(group) }
        }
        let colon = UInt8(ascii: ":")
        var position = 0
        if bytes.starts(with: [colon, colon]) {
            tail = []
            position = 2
        }
        while position < bytes.count {
            let end = bytes[position...].firstIndex(of: colon) ?? bytes.count
            let part = bytes[position..<end]
            if part.contains(UInt8(ascii: ".")) {
                guard end == bytes.count, let v4 = parseV4(part) else { return nil }
                add(UInt16(truncatingIfNeeded: v4 >> 16))
                add(UInt16(truncatingIfNeeded: v4))
                break
            }
            guard (1...4).contains(part.count), part.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
            else { return nil }
            add(group)
            if end == bytes.count { break }
            position = end + 1
            if position == bytes.count { return nil }
            if bytes[position] == colon {
                guard tail == nil else { return nil }
                tail = []
                position += 1
            }
        }
        let count = head.count + (tail?.count ?? 0)
        guard tail == nil ? count == 8 : count <= 7 else { return nil }
        let groups = head + Array(repeating: 0, count: 8 - count) + (tail ?? [])
        return groups.reduce(0) { $0 << 16 | UInt128($1) }
    }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then by number.
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        left.family == right.family ? left.value < right.value : left.family == .ipv4
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted text, or RFC 5952 text.
    public var description: String {
        if family == .ipv4 { return Self.dotted(UInt32(truncatingIfNeeded: value)) }
        if value >> 32 == 0xffff { return "::ffff:" + Self.dotted(UInt32(truncatingIfNeeded: value)) }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> UInt128(112 - $0 * 16)) }
        // The longest run of two or more zero groups, the first of equals, is left out.
        var best = 0..<0
        var start = 0
        while start < 8 {
            guard groups[start] == 0 else {
                start += 1
                continue
            }
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start >= 2, end - start > best.count { best = start..<end }
            start = end
        }
        func text(_ range: Range<Int>) -> String {
            groups[range].map { String($0, radix: 16) }.joined(separator: ":")
        }
        return best.isEmpty ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
    }

    private static func dotted(_ value: UInt32) -> String {
        "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
    }
}

/// A range of addresses: a network and the length of its prefix.
public struct CIDR: Sendable, Hashable {
    /// The address as it was written; host bits may be set.
    public let address: IPAddress
    /// Bits of the network part.
    public let prefixLength: Int

    /// A network; the prefix is limited to the family's bits.
    public init(_ address: IPAddress, prefixLength: Int) {
        self.address = address
        self.prefixLength = min(max(prefixLength, 0), address.family.bits)
    }

    /// Parses `10.0.0.0/8`; nil when it is none.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), (1...3).contains(parts[1].utf8.count),
            parts[1].utf8.allSatisfy({ $0 &- 48 < 10 }), parts[1] == "0" || parts[1].utf8.first != 48,
            let length = Int(parts[1]), length <= address.family.bits
        else { return nil }
        self.init(address, prefixLength: length)
    }

    public var family: IPAddress.Family { address.family }
    private var hostMask: UInt128 {
        let bits = family.bits - prefixLength
        return bits >= 128 ? .max : (1 << UInt128(bits)) - 1
    }
    /// The first address: host bits cleared.
    public var first: IPAddress { IPAddress(family, address.value & ~hostMask) }
    /// The last address: host bits set.
    public var last: IPAddress { IPAddress(family, address.value | hostMask) }
    /// The same network written with host bits cleared.
    public var masked: CIDR { CIDR(first, prefixLength: prefixLength) }
    /// Number of addresses; saturates at `Int.max`.
    public var size: Int { hostMask >= UInt128(Int.max) ? Int.max : Int(hostMask) + 1 }

    /// True when the address lies in the range and has its family.
    public func contains(_ other: IPAddress) -> Bool {
        other.family == family && other.value & ~hostMask == address.value & ~hostMask
    }
    /// True when every address of the other range lies in this one.
    public func contains(_ other: CIDR) -> Bool {
        other.prefixLength >= prefixLength && contains(other.address)
    }
    /// True when some address lies in both.
    public func overlaps(_ other: CIDR) -> Bool { contains(other.first) || other.contains(first) }

    /// The address at an offset from the first; nil outside of the range. Offset 10 of `10.96.0.0/12` is `10.96.0.10`.
    public func address(at offset: Int) -> IPAddress? {
        guard offset >= 0, UInt128(offset) <= hostMask else { return nil }
        return first.advanced(by: offset)
    }
    /// The subnet number `index` with a longer prefix; nil when there are not so many.
    public func subnet(_ index: Int, prefixLength length: Int) -> CIDR? {
        guard index >= 0, length >= prefixLength, length <= family.bits else { return nil }
        let spare = length - prefixLength
        guard spare >= 64 || UInt128(index) < 1 << UInt128(spare) else { return nil }
        return CIDR(
            IPAddress(family, first.value + UInt128(index) << UInt128(family.bits - length)), prefixLength: length)
    }
}

extension CIDR: CustomStringConvertible {
    /// `10.0.0.0/8`.
    public var description: String { "\(address)/\(prefixLength)" }
}
