import ObjectModel

/// An IP address.
struct AddressValue: SizedOpaque {
    let address: IPAddress
    var typeName: String { "net.IP" }
    func isEqual(to other: any CELOpaque) -> Bool { (other as? AddressValue)?.address == address }
    var size: UInt64 { address.family == .ipv4 ? 4 : 16 }
}

/// A network.
struct NetworkValue: SizedOpaque {
    let network: CIDR
    var typeName: String { "net.CIDR" }
    func isEqual(to other: any CELOpaque) -> Bool { (other as? NetworkValue)?.network == network }
    var size: UInt64 { UInt64((network.prefixLength + 7) / 8) }
}

extension FunctionTable {
    private static let ip = CELType.opaque("net.IP")
    private static let cidr = CELType.opaque("net.CIDR")

    mutating func addAddresses() {
        let walk = CostRule.walk(argument: 0, factor: 0.1)
        function("ip", [.string], Self.ip, cost: walk) { arguments throws(CELFailure) in
            .opaque(AddressValue(address: try Self.parseIP(arguments[0].asString)))
        }
        function("isIP", [.string], .bool, cost: walk) { .bool((try? Self.parseIP($0[0].asString)) != nil) }
        function("ip.isCanonical", [.string], .bool, cost: .walk(argument: 0, factor: 0.2)) {
            arguments throws(CELFailure) in
            let text = arguments[0].asString
            return .bool(try Self.parseIP(text).description == text)
        }
        function("string", [Self.ip], .string) { arguments throws(CELFailure) in
            .string(try Self.address(arguments[0]).description)
        }
        addressPart("family", .int) { .int($0.family == .ipv4 ? 4 : 6) }
        addressPart("isUnspecified", .bool) { .bool($0.isUnspecified) }
        addressPart("isLoopback", .bool) { .bool($0.isLoopback) }
        addressPart("isLinkLocalMulticast", .bool) { .bool(Self.isLinkLocalMulticast($0)) }
        addressPart("isLinkLocalUnicast", .bool) { .bool($0.isLinkLocal) }
        addressPart("isGlobalUnicast", .bool) {
            let isBroadcast = $0.family == .ipv4 && $0.value == 0xffff_ffff
            return .bool(!$0.isUnspecified && !$0.isLoopback && !$0.isMulticast && !$0.isLinkLocal && !isBroadcast)
        }
        addNetworks()
    }

    private static func isLinkLocalMulticast(_ address: IPAddress) -> Bool {
        address.family == .ipv4 ? address.value >> 8 == 0xe00000 : address.value >> 112 & 0xff0f == 0xff02
    }

    private mutating func addNetworks() {
        let walk = CostRule.walk(argument: 0, factor: 0.1)
        let (ip, cidr) = (Self.ip, Self.cidr)
        function("cidr", [.string], cidr, cost: walk) { arguments throws(CELFailure) in
            .opaque(NetworkValue(network: try Self.parseCIDR(arguments[0].asString)))
        }
        function("isCIDR", [.string], .bool, cost: walk) { .bool((try? Self.parseCIDR($0[0].asString)) != nil) }
        function("string", [cidr], .string) { arguments throws(CELFailure) in
            let network = try Self.network(arguments[0])
            return .string("\(network.address)/\(network.prefixLength)")
        }
        member("containsIP", [cidr, .string], .bool, cost: .containsIP(parses: true), id: "cidr_contains_ip_string") {
            arguments throws(CELFailure) in
            .bool(try Self.network(arguments[0]).contains(Self.parseIP(arguments[1].asString)))
        }
        member("containsIP", [cidr, ip], .bool, cost: .containsIP(parses: false)) { arguments throws(CELFailure) in
            .bool(try Self.network(arguments[0]).contains(Self.address(arguments[1])))
        }
        member(
            "containsCIDR", [cidr, .string], .bool, cost: .containsCIDR(parses: true), id: "cidr_contains_cidr_string"
        ) { arguments throws(CELFailure) in
            .bool(try Self.network(arguments[0]).contains(Self.parseCIDR(arguments[1].asString)))
        }
        member("containsCIDR", [cidr, cidr], .bool, cost: .containsCIDR(parses: false)) {
            arguments throws(CELFailure) in
            .bool(try Self.network(arguments[0]).contains(Self.network(arguments[1])))
        }
        member("ip", [cidr], ip, id: "cidr_ip") { arguments throws(CELFailure) in
            .opaque(AddressValue(address: try Self.network(arguments[0]).address))
        }
        member("masked", [cidr], cidr) { arguments throws(CELFailure) in
            .opaque(NetworkValue(network: try Self.network(arguments[0]).masked))
        }
        member("prefixLength", [cidr], .int) { arguments throws(CELFailure) in
            .int(Int64(try Self.network(arguments[0]).prefixLength))
        }
    }

    private mutating func addressPart(
        _ name: String, _ result: CELType, _ body: @escaping @Sendable (IPAddress) -> CELValue
    ) {
        member(name, [Self.ip], result) { arguments throws(CELFailure) in body(try Self.address(arguments[0])) }
    }

    private static func address(_ value: CELValue) throws(CELFailure) -> IPAddress {
        guard case .opaque(let value) = value, let address = value as? AddressValue else {
            throw Arithmetic.noOverload
        }
        return address.address
    }
    private static func network(_ value: CELValue) throws(CELFailure) -> CIDR {
        guard case .opaque(let value) = value, let network = value as? NetworkValue else {
            throw Arithmetic.noOverload
        }
        return network.network
    }

    private static func parseIP(_ text: String) throws(CELFailure) -> IPAddress {
        if text.contains("%"), text.contains(":") {
            throw CELFailure("IP address \"\(text)\" with zone value is not allowed")
        }
        guard let address = IPAddress(text) else {
            throw CELFailure(
                "IP Address \"\(text)\" parse error during conversion from string: ParseAddr(\"\(text)\"): unable to parse IP"
            )
        }
        try refuseMapped(address, text)
        return address
    }

    private static func parseCIDR(_ text: String) throws(CELFailure) -> CIDR {
        guard let network = CIDR(text) else {
            throw CELFailure(
                "network address parse error during conversion from string: netip.ParsePrefix(\"\(text)\"): bad prefix")
        }
        try refuseMapped(network.address, text)
        return network
    }

    private static func refuseMapped(_ address: IPAddress, _ text: String) throws(CELFailure) {
        if address.family == .ipv6, address.value >> 32 == 0xffff {
            throw CELFailure("IPv4-mapped IPv6 address \"\(text)\" is not allowed")
        }
    }
}
