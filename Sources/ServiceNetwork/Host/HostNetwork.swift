import SystemPackage

/// The node's own network settings that services and DNS need. Safe to repeat.
public enum HostNetwork {
    /// Turns on routing, lets node ports answer on 127.0.0.1, and puts the DNS address on the loopback interface.
    /// - Throws: an error that names the setting that was refused.
    public static func prepare(_ configuration: ServiceNetworkConfiguration) async throws {
        try setKernelParameter("net/ipv4/ip_forward", "1")
        // Answers from pods to 127.0.0.1 clients of node ports come back through other interfaces than `lo`; the
        // table's input chain keeps everybody else out.
        try setKernelParameter("net/ipv4/conf/all/route_localnet", "1")
        try await HostCommand.run(
            "ip",
            [
                "address", "replace", "\(configuration.dnsAddress)/32", "dev", "lo", "label",
                configuration.addressLabel,
            ])
        try await HostCommand.run("ip", ["link", "set", "lo", "up"])
        try await ensureServiceRoute(configuration)
    }

    /// Removes the table, the DNS address and the route of a cluster.
    public static func remove(_ configuration: ServiceNetworkConfiguration) async throws {
        let tables = try await HostCommand.run("nft", ["list", "tables"])
        if tables.split(separator: "\n").contains("table ip \(configuration.table)") {
            try await HostCommand.run("nft", ["delete", "table", "ip", configuration.table])
        }
        let addresses = try await HostCommand.run("ip", ["-o", "-4", "address", "show", "dev", "lo"])
        for line in addresses.split(separator: "\n") where line.contains(" \(configuration.addressLabel)") {
            let words = line.split(separator: " ")
            if let index = words.firstIndex(of: "inet"), words.indices.contains(index + 1) {
                try await HostCommand.run("ip", ["address", "del", String(words[index + 1]), "dev", "lo"])
            }
        }
        let routes = try await HostCommand.run("ip", ["-4", "route", "show", configuration.serviceCIDR])
        if routes.contains("proto 213") {
            try await HostCommand.run("ip", ["route", "del", configuration.serviceCIDR, "proto", "213"])
        }
    }

    /// Programs on the node reach services only when the kernel finds a route before the address is translated; a
    /// machine without default route needs one.
    private static func ensureServiceRoute(_ configuration: ServiceNetworkConfiguration) async throws {
        let address = String(configuration.serviceCIDR.prefix { $0 != "/" })
        if (try? await HostCommand.run("ip", ["-4", "route", "get", address])) != nil { return }
        try await HostCommand.run(
            "ip",
            [
                "route", "replace", configuration.serviceCIDR, "dev", "lo", "src", configuration.dnsAddress, "proto",
                "213",
            ])
    }

    private static func setKernelParameter(_ name: String, _ value: String) throws {
        let path = FilePath("/proc/sys/\(name)")
        do {
            let file = try FileDescriptor.open(path, .readWrite)
            defer { try? file.close() }
            var buffer = [UInt8](repeating: 0, count: 16)
            let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
            let current = String(decoding: buffer[..<count], as: UTF8.self)
            if current.trimmingPrefix(while: \.isWhitespace).prefix(while: { !$0.isWhitespace }) == value { return }
            // From the start: the kernel ignores what is written elsewhere.
            try file.seek(offset: 0, from: .start)
            _ = try file.writeAll(value.utf8)
        } catch let error as Errno {
            throw HostCommand.Failure(
                description: "cannot set the kernel parameter \(name) to \(value) (\(error)); services need it: "
                    + "set it as root with `sysctl -w \(name.split(separator: "/").joined(separator: "."))=\(value)`")
        }
    }
}
