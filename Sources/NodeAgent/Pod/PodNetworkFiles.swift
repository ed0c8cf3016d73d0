import ContainerRuntime
import JSON

/// The node's own resolver configuration.
struct ResolverConfiguration: Sendable, Hashable {
    var servers: [String] = []
    var searches: [String] = []
    var options: [String] = []

    init() {}
    /// Parses the text of a `resolv.conf`.
    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            switch words.first {
            case "nameserver": servers += words.dropFirst().prefix(1)
            case "search", "domain": searches = Array(words.dropFirst())
            case "options": options += words.dropFirst()
            default: break
            }
        }
    }
}

/// Names and files that tell a pod who and where it is.
struct PodNetworkFiles: Sendable {
    var pod: Pod
    var clusterDomain: String
    /// Empty when the cluster has no DNS.
    var clusterDNS: String
    var nodeHostname: String

    /// The short host name.
    var hostname: String {
        if pod.spec.hostNetwork { return nodeHostname }
        if let name = pod.spec.hostnameOverride { return name }
        let name = pod.spec.hostname.isEmpty ? pod.name : pod.spec.hostname
        var cut = String(name.prefix(63))
        while let last = cut.last, last == "-" || last == "." { cut.removeLast() }
        return cut
    }
    /// `sub.ns.svc.cluster.local`, empty without a subdomain.
    var domain: String {
        pod.spec.subdomain.isEmpty || pod.spec.hostnameOverride != nil
            ? "" : "\(pod.spec.subdomain).\(pod.namespace).svc.\(clusterDomain)"
    }
    /// What `hostname` prints in the pod.
    /// - Throws: when the full name is asked for and longer than the kernel allows.
    func kernelHostname() throws(ConfigurationError) -> String {
        guard pod.spec.setHostnameAsFQDN, !domain.isEmpty, !pod.spec.hostNetwork else { return hostname }
        let full = "\(hostname).\(domain)"
        guard full.utf8.count <= 64 else {
            throw ConfigurationError(
                "failed to construct FQDN from pod hostname and cluster domain, FQDN \(full) is too long "
                    + "(64 characters is the max, \(full.utf8.count) characters requested)")
        }
        return full
    }

    /// Text of the pod's `/etc/hosts`.
    func hosts(addresses: [String], nodeHosts: String) -> String {
        var text: String
        if pod.spec.hostNetwork {
            text = "# Kubernetes-managed hosts file (host network).\n" + nodeHosts
            if !text.hasSuffix("\n") { text += "\n" }
        } else {
            text = """
                # Kubernetes-managed hosts file.
                127.0.0.1\tlocalhost
                ::1\tlocalhost ip6-localhost ip6-loopback
                fe00::0\tip6-localnet
                fe00::0\tip6-mcastprefix
                fe00::1\tip6-allnodes
                fe00::2\tip6-allrouters

                """
            for address in addresses {
                text +=
                    domain.isEmpty ? "\(address)\t\(hostname)\n" : "\(address)\t\(hostname).\(domain)\t\(hostname)\n"
            }
        }
        let aliases = pod.spec.hostAliases.elements
        if !aliases.isEmpty {
            text += "\n# Entries added by HostAliases.\n"
            for alias in aliases {
                let names = alias["hostnames"].elements.compactMap(\.string)
                text += "\(alias["ip"].string ?? "")\t\(names.joined(separator: "\t"))\n"
            }
        }
        return text
    }

    /// Resolver settings by `dnsPolicy` and `dnsConfig`.
    func dns(node: ResolverConfiguration) -> DNSConfig {
        var result = DNSConfig()
        var policy = pod.spec.dnsPolicy
        if policy == "ClusterFirst", pod.spec.hostNetwork { policy = "Default" }
        if policy == "ClusterFirstWithHostNet" { policy = "ClusterFirst" }
        if policy == "ClusterFirst", clusterDNS.isEmpty { policy = "Default" }
        switch policy {
        case "None": break
        case "Default":
            result = DNSConfig(servers: node.servers, searches: node.searches, options: node.options)
        default:
            let own = ["\(pod.namespace).svc.\(clusterDomain)", "svc.\(clusterDomain)", clusterDomain]
            result = DNSConfig(
                servers: [clusterDNS], searches: own + node.searches.filter { !own.contains($0) }, options: ["ndots:5"])
        }
        let extra = pod.spec.dnsConfig
        for server in extra["nameservers"].elements.compactMap(\.string) where !result.servers.contains(server) {
            result.servers.append(server)
        }
        for search in extra["searches"].elements.compactMap(\.string) where !result.searches.contains(search) {
            result.searches.append(search)
        }
        for option in extra["options"].elements {
            guard let name = option["name"].string else { continue }
            result.options.removeAll { $0 == name || $0.hasPrefix(name + ":") }
            result.options.append(option["value"].string.map { $0.isEmpty ? name : "\(name):\($0)" } ?? name)
        }
        result.servers = Array(result.servers.prefix(3))
        result.searches = Array(result.searches.prefix(32))
        while result.searches.joined(separator: " ").utf8.count > 2048 { result.searches.removeLast() }
        return result
    }
}
