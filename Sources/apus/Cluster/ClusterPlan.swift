import Glibc
import NodeAgent
import ObjectModel

/// What a server process runs besides the API.
enum ClusterPart: String, CaseIterable, Sendable {
    case controllers, scheduler
    /// This machine as a node: containers, the service network, DNS.
    case node
}

/// Everything `apus up` decided from flags, environment, file and what the data directory records.
struct ClusterPlan: Sendable {
    var data: DataDirectory
    var identity: DataDirectory.Identity
    /// Where the administrator's kubeconfig is written besides the data directory; nil: only there.
    var kubeconfig: String?
    /// Address the API server listens on.
    var bindAddress: String
    var parts: Set<ClusterPart>
    /// What the node keeps free before it evicts pods.
    var evictionThresholds = EvictionThresholds.standard
    /// Mesos, Marathon and their names.
    var windows = WindowSettings()
    /// Where the ingress listens; 0: it is not served.
    var ingressHTTPPort = 0
    var ingressHTTPSPort = 0

    /// URL of the API server for clients on this machine.
    var server: String { "https://127.0.0.1:\(identity.port)" }

    /// Merges the options into what is recorded, and records the result.
    /// - Throws: `UserError` for values that make no sense or that cannot change once a cluster exists.
    static func make(
        _ options: ServingOptions, _ node: NodeOptions?, parts: Set<ClusterPart>, lookup: SettingsLookup,
        data: DataDirectory, recorded: DataDirectory.Identity?, registry: ClusterRegistry
    ) throws -> ClusterPlan {
        let others = recorded == nil && parts.contains(.node) ? registry.others(than: data.path) : []
        var taken = others.flatMap { [$0.podRange, $0.serviceRange] }
        func range(
            _ name: String, _ flag: String?, _ known: String?, _ standard: String, _ candidates: [CIDR]
        ) throws -> String {
            guard let text = lookup.string(name, flag: flag) else {
                // A machine may carry several clusters: each takes ranges that nothing here uses yet.
                let free = ClusterRegistry.firstFree(candidates, taken: taken + ClusterRegistry.localNetworks())
                return known ?? free?.description ?? standard
            }
            guard let range = CIDR(text), range.family == .ipv4, range.prefixLength <= 28 else {
                throw UserError("--\(name) is \"\(text)\": give an IPv4 range such as \(standard)")
            }
            let canonical = range.masked.description
            if let known, known != canonical {
                throw UserError(
                    "--\(name) is \(canonical), but this cluster was made with \(known), which cannot change: leave the "
                        + "option out, or make a new cluster in another --data-dir")
            }
            if let other = others.first(where: { $0.podRange.overlaps(range) || $0.serviceRange.overlaps(range) }) {
                throw UserError(
                    "--\(name) \(canonical) overlaps the ranges of the cluster in \(other.path) (pods \(other.podRange), "
                        + "services \(other.serviceRange)): choose another, or leave the option out")
            }
            return canonical
        }
        // What is asked for goes first, so that the chosen one avoids it.
        let asksForServices = lookup.string("service-cidr", flag: options.serviceCidr).flatMap { CIDR($0) }
        if let asksForServices { taken.append(asksForServices) }
        let podCIDR = try range(
            "pod-cidr", options.podCidr, recorded?.podCIDR, "10.244.0.0/16", ClusterRegistry.podCandidates)
        if let pods = CIDR(podCIDR) { taken.append(pods) }
        let serviceCIDR = try range(
            "service-cidr", options.serviceCidr, recorded?.serviceCIDR, "10.96.0.0/12",
            ClusterRegistry.serviceCandidates)
        if let pods = CIDR(podCIDR), let services = CIDR(serviceCIDR), pods.overlaps(services) {
            throw UserError("--pod-cidr \(podCIDR) and --service-cidr \(serviceCIDR) overlap: choose other ranges")
        }
        let nodeName = lookup.string("node-name", flag: node?.nodeName) ?? recorded?.nodeName ?? Preflight.hostName()
        if let problem = Names.dns1123SubdomainProblems(nodeName).first {
            throw UserError("--node-name is \"\(nodeName)\": \(problem)")
        }
        let nodeIP = lookup.string("node-ip", flag: options.nodeIp) ?? Preflight.primaryAddress()
        guard IPAddress(nodeIP) != nil else { throw UserError("--node-ip is \"\(nodeIP)\": give an IP address") }
        let bindAddress = lookup.string("bind-address", flag: options.bindAddress) ?? "0.0.0.0"
        guard IPAddress(bindAddress) != nil else {
            throw UserError("--bind-address is \"\(bindAddress)\": give an IP address")
        }
        let port = try lookup.int("port", flag: options.port, in: 1...65535) ?? recorded?.port ?? 6443
        let dnsPort = try lookup.int("dns-port", flag: node?.dnsPort, in: 1...65535) ?? recorded?.dnsPort ?? 10053
        var identity = DataDirectory.Identity(
            clusterID: recorded?.clusterID ?? DataDirectory.Identity.newClusterID(), podCIDR: podCIDR,
            serviceCIDR: serviceCIDR, nodeName: nodeName, nodeIP: nodeIP, port: port, dnsPort: dnsPort)
        identity.externalContainerd =
            lookup.string("containerd", flag: node?.containerd) ?? recorded?.externalContainerd
        if let socket = identity.externalContainerd, access(socket, F_OK) != 0 {
            throw UserError(
                "there is no containerd socket at \(socket): start that containerd, or leave out --containerd")
        }
        var plan = ClusterPlan(
            data: data, identity: identity, kubeconfig: lookup.string("kubeconfig", flag: options.kubeconfig),
            bindAddress: bindAddress, parts: parts)
        plan.ingressHTTPPort = try lookup.int("ingress-http-port", flag: node?.ingressHttpPort, in: 0...65535) ?? 0
        plan.ingressHTTPSPort = try lookup.int("ingress-https-port", flag: node?.ingressHttpsPort, in: 0...65535) ?? 0
        if plan.ingressHTTPPort > 0, plan.ingressHTTPPort == plan.ingressHTTPSPort {
            throw UserError("--ingress-http-port and --ingress-https-port are the same: choose two")
        }
        if let text = lookup.string("eviction-hard", flag: node?.evictionHard) {
            guard let thresholds = EvictionThresholds(parsing: text) else {
                throw UserError(
                    "--eviction-hard is \"\(text)\": give thresholds such as memory.available<100Mi,nodefs.available<10%"
                )
            }
            plan.evictionThresholds = thresholds
        }
        return plan
    }
}
