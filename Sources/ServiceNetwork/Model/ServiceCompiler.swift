import ObjectModel

/// Turns services and their endpoints into nftables fragments. Pure: same input, same output.
struct ServiceCompiler: Sendable {
    /// For policies that keep traffic on the node.
    var nodeName: String
    var podCIDR: String

    /// The fragment of one service.
    func compile(_ service: ServiceView, slices: [SliceView]) -> Fragment {
        var fragment = Fragment()
        guard !service.clusterIPs.isEmpty else { return fragment }
        for port in service.ports {
            let all = endpoints(of: port, service: service, slices: slices)
            let cluster = usable(all)
            let local = usable(all.filter { $0.endpoint.nodeName == nodeName })
            let id = Self.identifier(service.key, port)
            let inside = service.isInternalLocal ? local : cluster
            let outside = service.isExternalLocal ? local : cluster

            for target in Set(inside + outside) {
                fragment.members[.hairpins, default: []].insert("\(target.address) . \(target.address)")
            }
            if inside.isEmpty {
                // Nothing to add: what is sent to the service range and was not translated is refused, or dropped
                // when endpoints exist elsewhere.
                if !cluster.isEmpty {
                    fragment.chains["svc_\(id)"] = ["drop"]
                    addClusterElements(service, port, "goto svc_\(id)", to: &fragment)
                }
            } else {
                add(chain: "svc_\(id)", id: id, targets: inside, port: port, service: service, to: &fragment)
                addClusterElements(service, port, "goto svc_\(id)", to: &fragment)
                if port.transport == "udp" {
                    for address in service.clusterIPs {
                        for target in inside {
                            fragment.udpEndpoints.insert(
                                .init(serviceAddress: address, port: port.port, endpoint: target.address))
                        }
                    }
                }
            }
            addExternal(port, id: id, service: service, outside: outside, cluster: cluster, to: &fragment)
        }
        return fragment
    }

    /// The fragment of a pod's host ports.
    func compile(hostPorts pod: HostPortView, key: ObjectKey) -> Fragment {
        var fragment = Fragment()
        for port in pod.ports where !pod.podIP.isEmpty {
            let id = Self.shortHash("host/\(key)/\(port.transport)/\(port.hostPort)/\(port.hostIP)")
            fragment.chains["ext_\(id)"] = [
                "jump mark_outside", "meta l4proto \(port.transport) dnat to \(pod.podIP):\(port.containerPort)",
            ]
            if port.hostIP.isEmpty {
                fragment.elements[.nodePorts, default: [:]]["\(port.transport) . \(port.hostPort)"] = "goto ext_\(id)"
            } else {
                let element = "\(port.hostIP) . \(port.transport) . \(port.hostPort)"
                fragment.elements[.services, default: [:]][element] = "goto ext_\(id)"
            }
            fragment.members[.hairpins, default: []].insert("\(pod.podIP) . \(pod.podIP)")
        }
        return fragment
    }

    // MARK: Endpoints

    private struct Target: Hashable {
        var address: String
        var port: Int
    }
    private struct Candidate {
        var endpoint: SliceView.Endpoint
        var port: Int
    }

    private func endpoints(of port: ServiceView.Port, service: ServiceView, slices: [SliceView]) -> [Candidate] {
        slices.flatMap { slice -> [Candidate] in
            guard let match = slice.ports.first(where: { $0.name == port.name && $0.transport == port.transport })
            else { return [] }
            return slice.endpoints.map { Candidate(endpoint: $0, port: match.port) }
        }
    }

    /// The ready ones; if there is none, those that still serve while they terminate (KEP-1669).
    private func usable(_ candidates: [Candidate]) -> [Target] {
        let ready = candidates.filter { $0.endpoint.isReady }
        let chosen = ready.isEmpty ? candidates.filter { $0.endpoint.isServing && $0.endpoint.isTerminating } : ready
        return Set(chosen.map { Target(address: $0.endpoint.address, port: $0.port) })
            .sorted { ($0.address, $0.port) < ($1.address, $1.port) }
    }

    // MARK: Rules

    private func add(
        chain: String, id: String, targets: [Target], port: ServiceView.Port, service: ServiceView,
        to fragment: inout Fragment
    ) {
        guard let timeout = service.affinityTimeout else {
            fragment.chains[chain] = [Self.spread(targets, transport: port.transport)]
            return
        }
        // With affinity every endpoint has a set of the clients it served lately, and a chain that refreshes it.
        var rules: [String] = []
        var choices: [String] = []
        for (index, target) in targets.enumerated() {
            let endpoint = Self.shortHash("\(id)/\(target.address):\(target.port)")
            fragment.ownSets["aff_\(endpoint)"] = "type ipv4_addr; flags dynamic,timeout; timeout \(timeout)s;"
            fragment.chains["ep_\(endpoint)"] = [
                "update @aff_\(endpoint) { ip saddr }",
                "meta l4proto \(port.transport) dnat to \(target.address):\(target.port)",
            ]
            rules.append("ip saddr @aff_\(endpoint) goto ep_\(endpoint)")
            choices.append("\(index) : goto ep_\(endpoint)")
        }
        rules.append("numgen random mod \(targets.count) vmap { \(choices.joined(separator: ", ")) }")
        fragment.chains[chain] = rules
    }

    /// One rule that picks an endpoint at random.
    private static func spread(_ targets: [Target], transport: String) -> String {
        if targets.count == 1 { return "meta l4proto \(transport) dnat to \(targets[0].address):\(targets[0].port)" }
        let choices = targets.enumerated().map { "\($0.offset) : \($0.element.address) . \($0.element.port)" }
        return "meta l4proto \(transport) dnat to numgen random mod \(targets.count) map "
            + "{ \(choices.joined(separator: ", ")) }"
    }

    private func addClusterElements(
        _ service: ServiceView, _ port: ServiceView.Port, _ verdict: String, to fragment: inout Fragment
    ) {
        for address in service.clusterIPs {
            fragment.elements[.services, default: [:]]["\(address) . \(port.transport) . \(port.port)"] = verdict
        }
    }

    private func addExternal(
        _ port: ServiceView.Port, id: String, service: ServiceView, outside: [Target], cluster: [Target],
        to fragment: inout Fragment
    ) {
        guard port.nodePort != nil || !service.externalIPs.isEmpty else { return }
        let nodeElement = port.nodePort.map { "\(port.transport) . \($0)" }
        let externalElements = service.externalIPs.map { "\($0) . \(port.transport) . \(port.port)" }
        if outside.isEmpty && cluster.isEmpty {
            if let nodeElement { fragment.members[.closedNodePorts, default: []].insert(nodeElement) }
            for element in externalElements { fragment.members[.closedAddresses, default: []].insert(element) }
            return
        }
        var rules: [String] = []
        if service.isExternalLocal {
            // The client's address is kept; programs on this node and its pods reach any endpoint all the same. A
            // loopback source could not be answered, so it alone is masqueraded.
            rules.append("ip saddr 127.0.0.0/8 meta mark set meta mark or 0x4000")
            if !cluster.isEmpty {
                let anywhere = "any_\(id)"
                add(chain: anywhere, id: id + "/any", targets: cluster, port: port, service: service, to: &fragment)
                rules.append("fib saddr type local goto \(anywhere)")
                rules.append("ip saddr \(podCIDR) goto \(anywhere)")
            }
        } else {
            rules.append("jump mark_outside")
        }
        if outside.isEmpty {
            rules.append("drop")
        } else {
            let chain = "out_\(id)"
            add(chain: chain, id: id + "/out", targets: outside, port: port, service: service, to: &fragment)
            rules.append("goto \(chain)")
        }
        fragment.chains["ext_\(id)"] = rules
        if let nodeElement { fragment.elements[.nodePorts, default: [:]][nodeElement] = "goto ext_\(id)" }
        for element in externalElements { fragment.elements[.services, default: [:]][element] = "goto ext_\(id)" }
    }

    // MARK: Names

    private static func identifier(_ key: ObjectKey, _ port: ServiceView.Port) -> String {
        let readable = key.name.prefix(40).map { $0.isLetter || $0.isNumber ? $0 : "_" }
        return String(readable) + "_" + shortHash("\(key)/\(port.name)/\(port.transport)/\(port.port)")
    }

    /// 64-bit FNV-1a in hexadecimal: chain names are bounded, names of services are not.
    static func shortHash(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
