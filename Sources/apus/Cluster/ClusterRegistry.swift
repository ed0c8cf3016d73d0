import Glibc
import JSON
import ObjectModel

/// Which clusters this machine carries, so that a new one takes address ranges of its own.
///
/// One small file per cluster in `/run`, which lives as long as the kernel's tables and bridges do: until the machine
/// restarts. An entry counts only as long as its data directory still holds that cluster.
struct ClusterRegistry: Sendable {
    struct Entry: Sendable {
        var clusterID: String
        var path: String
        var podRange: CIDR
        var serviceRange: CIDR
    }

    let folder: String

    init(folder: String = "/run/apus") {
        self.folder = folder
    }

    private func file(_ id: String) -> String { "\(folder)/\(id).json" }

    /// Tells other clusters about this one. What cannot be written is no reason not to start.
    func record(_ identity: DataDirectory.Identity, path: String) {
        mkdir(folder, 0o755)
        let json: JSON = [
            "clusterID": .string(identity.clusterID), "path": .string(path), "podCIDR": .string(identity.podCIDR),
            "serviceCIDR": .string(identity.serviceCIDR),
        ]
        try? FileText.replace(
            file(identity.clusterID), with: json.description + "\n", mode: [.ownerReadWrite, .groupRead, .otherRead])
    }

    func remove(_ id: String) {
        unlink(file(id))
        rmdir(folder)
    }

    /// The clusters of other data directories.
    func others(than path: String) -> [Entry] {
        guard let handle = opendir(folder) else { return [] }
        defer { closedir(handle) }
        var entries: [Entry] = []
        while let item = readdir(handle) {
            let name = withUnsafePointer(to: &item.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasSuffix(".json"), let text = try? FileText.read("\(folder)/\(name)"),
                let json = try? JSON.parse(text), let entry = Self.entry(json), entry.path != path,
                (try? DataDirectory(path: entry.path).identity())?.clusterID == entry.clusterID
            else { continue }
            entries.append(entry)
        }
        return entries
    }

    private static func entry(_ json: JSON) -> Entry? {
        guard let id = json["clusterID"].string, let path = json["path"].string,
            let pods = json["podCIDR"].string.flatMap({ CIDR($0) }),
            let services = json["serviceCIDR"].string.flatMap({ CIDR($0) })
        else { return nil }
        return Entry(clusterID: id, path: path, podRange: pods, serviceRange: services)
    }

    /// The first of `candidates` that meets nothing in `taken`; nil when each does.
    static func firstFree(_ candidates: [CIDR], taken: [CIDR]) -> CIDR? {
        candidates.first { candidate in !taken.contains { $0.overlaps(candidate) } }
    }

    /// What a new cluster takes when nothing is asked for: 10.244.0.0/16, then its neighbours.
    static let podCandidates = (244...254).compactMap { CIDR("10.\($0).0.0/16") }
    /// 10.96.0.0/12, then its neighbours.
    static let serviceCandidates = stride(from: 96, through: 224, by: 16).compactMap { CIDR("10.\($0).0.0/12") }

    /// The networks this machine has an address in.
    static func localNetworks() -> [CIDR] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var networks: [CIDR] = []
        var next = first
        while let interface = next?.pointee {
            next = interface.ifa_next
            guard let address = ipv4(interface.ifa_addr), let mask = ipv4(interface.ifa_netmask) else { continue }
            let octets = [24, 16, 8, 0].map { String((address >> $0) & 255) }
            if let network = CIDR("\(octets.joined(separator: "."))/\(mask.nonzeroBitCount)") {
                networks.append(network.masked)
            }
        }
        return networks
    }

    /// An IPv4 address in host byte order.
    private static func ipv4(_ address: UnsafeMutablePointer<sockaddr>?) -> UInt32? {
        guard let address, address.pointee.sa_family == sa_family_t(AF_INET) else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            UInt32(bigEndian: $0.pointee.sin_addr.s_addr)
        }
    }
}
