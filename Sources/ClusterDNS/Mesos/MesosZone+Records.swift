import ObjectModel

/// The records of a task and of the special names.
extension MesosZone {
    func record(_ name: DNSName, _ data: DNSRecord.Data) -> DNSRecord {
        DNSRecord(name: name, timeToLive: timeToLive, data: data)
    }

    func addresses(_ name: DNSName, _ texts: some Sequence<String>) -> [DNSRecord] {
        texts.compactMap { AddressText.bytes($0) }.map { record(name, .address($0)) }
    }

    func authority(_ zone: DNSName) -> DNSRecord {
        record(
            zone,
            .authority(
                server: DNSName(labels: ["ns1"] + zone.labels),
                mailbox: DNSName(labels: ["root", "ns1"] + zone.labels),
                serial: 1, minimum: timeToLive))
    }

    func server(_ zone: DNSName) -> DNSRecord {
        record(zone, .name(DNSName(labels: ["ns1"] + zone.labels), type: .ns))
    }

    func framework(of pod: MesosPodView, _ state: State) -> String {
        switch pod.framework {
        case .marathon: "marathon"
        case .kubernetes: "kubernetes"
        case .id(let id): MesosLabels.framework(state.frameworks[id] ?? id)
        }
    }

    func agentAddress(_ pod: MesosPodView, _ state: State) -> String {
        pod.agentAddress.isEmpty ? state.nodes[pod.node] ?? settings.address : pod.agentAddress
    }

    /// `web-x3f9k-s0`: the name of one task alone.
    func host(_ task: MesosTaskView, _ pod: MesosPodView, _ state: State) -> String {
        let agent = pod.agentID.flatMap { $0.split(separator: "-").last }
            .flatMap { Int($0.drop { $0 == "S" || $0 == "s" }) }
        let suffix = "-\(MesosLabels.hash(task.taskID))-s\(agent ?? state.agents[pod.node] ?? 0)"
        // The whole has to be one label; a long task name gives way to what tells the tasks apart.
        return task.label.prefix(63 - suffix.utf8.count) + suffix
    }

    /// Every record of a task in a zone.
    func records(of task: MesosTaskView, _ pod: MesosPodView, _ zone: DNSName, _ state: State) -> [DNSRecord] {
        let framework = framework(of: pod, state).split(separator: ".").map(String.init)
        let agent = agentAddress(pod, state)
        let own = pod.containerAddresses.isEmpty ? [agent] : pod.containerAddresses
        let host = host(task, pod, state)
        if zone == directory {
            return [("autoip", own), ("containerip", own), ("agentip", [agent])].flatMap { network, texts in
                addresses(DNSName(labels: [task.label] + framework + [network] + zone.labels), texts)
            }
        }
        let tail = framework + domain.labels
        let agentTail = framework + ["slave"] + domain.labels
        var records: [DNSRecord] = []
        for label in [task.label, host] {
            records += addresses(DNSName(labels: [label] + tail), own)
            records += addresses(DNSName(labels: [label] + agentTail), [agent])
        }
        for port in task.ports {
            let target = DNSName(labels: [host] + (port.isOfAgent ? agentTail : tail))
            let service = DNSRecord.Data.service(priority: 0, weight: 0, port: port.number, target: target)
            let prefix = ["_\(task.label)", "_\(port.transport)"]
            records.append(record(DNSName(labels: prefix + tail), service))
            if let name = port.name {
                records.append(record(DNSName(labels: ["_\(name)"] + prefix + tail), service))
            }
            if port.isOfAgent { records.append(record(DNSName(labels: prefix + agentTail), service)) }
        }
        return records
    }

    /// The master, the agents, the frameworks and the name server; nil when the name is none of them.
    func specialRecords(_ labels: [String], _ name: DNSName, _ state: State) -> [DNSRecord]? {
        func service(_ port: UInt16, _ host: [String]) -> DNSRecord {
            record(
                name, .service(priority: 0, weight: 0, port: port, target: DNSName(labels: host + domain.labels)))
        }
        switch labels {
        case ["leader"], ["master"], ["master0"], ["ns1"]: return addresses(name, [settings.address])
        case ["slave"]:
            return addresses(name, (state.nodes.isEmpty ? [settings.address] : Array(state.nodes.values)).shuffled())
        case ["_leader", "_tcp"], ["_leader", "_udp"]: return [service(settings.masterPort, ["leader"])]
        case ["_master", "_tcp"], ["_master", "_udp"]: return [service(settings.masterPort, ["master"])]
        case ["_slave", "_tcp"]: return [service(settings.agentPort, ["slave"])]
        default: break
        }
        let isService = labels.count > 2 && labels[0] == "_framework" && labels[1] == "_tcp"
        let asked = (isService ? Array(labels.dropFirst(2)) : labels).joined(separator: ".")
        let known =
            asked == "kubernetes" || asked == "marathon"
            || state.frameworks.values.contains { MesosLabels.framework($0) == asked }
        guard known else { return nil }
        // Frameworks reach the master from wherever they are; those of the cluster itself are where the master is.
        return isService
            ? [service(settings.masterPort, labels.dropFirst(2).map { $0 })] : addresses(name, [settings.address])
    }
}
