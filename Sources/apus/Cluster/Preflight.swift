import Glibc
import NIOCore
import NIOPosix

/// What must be true before anything is started, each with the next step for the user.
enum Preflight {
    static func requireRoot() throws {
        guard geteuid() == 0 else {
            throw UserError("apus up needs root, for containers and the service network: run it with sudo")
        }
    }

    /// Programs a node uses, and the Debian package that brings each.
    static func requirePrograms(ownContainerd: Bool) throws {
        var programs = [("nft", "nftables"), ("ip", "iproute2"), ("conntrack", "conntrack")]
        if ownContainerd { programs += [("containerd", "containerd"), ("runc", "runc")] }
        let missing = programs.filter { find($0.0) == nil }
        var packages = missing.map(\.1)
        if ownContainerd && access("/usr/lib/cni/host-local", X_OK) != 0 && access("/opt/cni/bin/host-local", X_OK) != 0
        {
            packages.append("containernetworking-plugins")
        }
        guard packages.isEmpty else {
            throw UserError(
                "programs that Apus needs are missing: install them with `apt-get install \(packages.joined(separator: " "))`"
            )
        }
    }

    static func find(_ program: String) -> String? {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        for folder in path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"] {
            let candidate = "\(folder)/\(program)"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        return nil
    }

    /// - Throws: `UserError` when another program listens on the port.
    static func requireFreePort(_ port: Int, address: String, option: String) async throws {
        do {
            let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: address, port: port).get()
            try await channel.close()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw UserError("port \(port) is in use by another program: stop it, or choose another with \(option)")
        } catch let error as IOError {
            throw UserError("cannot listen on \(address):\(port): \(String(cString: strerror(error.errnoCode)))")
        }
    }

    /// At least this much must be free for a cluster to start.
    static func requireDiskSpace(_ path: String, mebibytes: UInt64 = 64) throws {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { return }
        let free = (UInt64(info.f_bavail) * UInt64(info.f_frsize)) >> 20
        guard free >= mebibytes else {
            throw UserError(
                "the disk of \(path) is full (\(free) MiB free, at least \(mebibytes) needed): free some space, or choose "
                    + "another --data-dir")
        }
    }

    /// The address other machines reach this one at: the source address of the default route. No packet is sent.
    static func primaryAddress() -> String {
        let probe = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(probe) }
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = UInt16(53).bigEndian
        inet_pton(AF_INET, "192.0.2.1", &target.sin_addr)
        var own = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isRouted = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(probe, $0, length) == 0 }
        }
        let isNamed = withUnsafeMutablePointer(to: &own) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(probe, $0, &length) == 0 }
        }
        guard isRouted, isNamed else { return "127.0.0.1" }
        var text = [CChar](repeating: 0, count: Int(INET_ADDRSTRLEN))
        inet_ntop(AF_INET, &own.sin_addr, &text, socklen_t(INET_ADDRSTRLEN))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The machine's host name as a node name: lower case, DNS letters only.
    static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        gethostname(&buffer, 255)
        let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).lowercased()
        let safe = String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-") ? $0 : "-" })
        let trimmed = safe.drop { $0 == "-" || $0 == "." }
        return trimmed.isEmpty ? "node" : String(trimmed)
    }
}
