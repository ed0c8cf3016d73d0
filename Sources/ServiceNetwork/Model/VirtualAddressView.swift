import JSON
import MesosModel
import ObjectModel

/// What the proxy reads of a pod that is a task with virtual addresses.
struct VirtualAddressView: Sendable, Equatable {
    struct Port: Sendable, Equatable {
        var vip: NamedVIP
        /// `tcp` or `udp`.
        var transport: String
        /// Where the task answers.
        var address: String
        var port: Int
    }
    /// Id of the task's framework; empty for Marathon's.
    var framework: String
    var ports: [Port]
    /// Whether it may be sent to now.
    var isReady: Bool

    /// Nil for a pod without virtual addresses.
    init?(_ object: Object) {
        let tree = object.tree
        let annotations = tree["metadata"]["annotations"]
        let tasks = Self.tasks(annotations)
        let requests = Self.requests(annotations)
        if tasks.isEmpty, requests.isEmpty { return nil }
        let status = tree["status"]
        let assigned = AssignedPorts.numbers(annotations)
        let hostIP = status["hostIP"].string ?? ""
        let podIP = status["podIP"].string ?? ""
        ports = []
        // What was translated once is not translated again: a port that is mapped into the pod is reached there.
        let inside = Self.mappedPorts(tree, assigned)
        func place(_ number: Int) -> (String, Int) { inside[number].map { (podIP, $0) } ?? (hostIP, number) }
        // Ports of a task group are assigned in the order of the tasks.
        var index = 0
        for task in tasks {
            for entry in AssignedPorts.resolve(task["discovery"], annotations)["ports"]["ports"].elements {
                defer { index += 1 }
                let labels = entry["labels"]["labels"].elements.map {
                    ($0["key"].string ?? "", $0["value"].string ?? "")
                }
                let inPod = labels.contains { $0.0 == "network-scope" && $0.1 == "container" }
                let given = entry["number"].int ?? 0
                // Number 0 without a place of its own: the next that the scheduler chose.
                let number = given > 0 ? given : index < assigned.count ? assigned[index] : 0
                guard (1...65535).contains(number),
                    case let (address, port) = inPod ? (podIP, number) : place(number), address.contains(".")
                else { continue }
                for transport in Self.transports(entry["protocol"].string ?? "tcp") {
                    for (key, value) in labels {
                        guard let vip = NamedVIP(label: key, value) else { continue }
                        ports.append(Port(vip: vip, transport: transport, address: address, port: port))
                    }
                }
            }
        }
        // Requests for ports may carry the labels themselves.
        for (request, given) in zip(requests, assigned) where (1...65535).contains(given) && hostIP.contains(".") {
            let (address, number) = place(given)
            guard address.contains(".") else { continue }
            for (key, value) in request["labels"].members {
                guard let vip = NamedVIP(label: key, value.string ?? "") else { continue }
                for transport in Self.transports(request["protocol"].string ?? "tcp") {
                    let port = Port(vip: vip, transport: transport, address: address, port: number)
                    // A task that says it too says it better: it knows the container's network.
                    if !ports.contains(where: { $0.vip == vip && $0.transport == transport }) { ports.append(port) }
                }
            }
        }
        if ports.isEmpty { return nil }
        let isOfMarathon = object.metadata.labels[MesosNames.marathonAppLabel] != nil
        framework = isOfMarathon ? "" : object.metadata.labels[MesosNames.frameworkLabel] ?? ""
        isReady =
            !object.metadata.isTerminating && status["phase"].string == "Running"
            && status["conditions"].elements.contains { $0["type"].string == "Ready" && $0["status"].string == "True" }
    }

    private static func tasks(_ annotations: JSON) -> [JSON] {
        if let text = annotations[MesosNames.taskAnnotation].string {
            // Parsing is dear and most tasks have no such label.
            guard text.contains("VIP"), let task = try? JSON.parse(text) else { return [] }
            return [task]
        }
        guard let text = annotations[MesosNames.taskGroupAnnotation].string, text.contains("VIP"),
            let group = try? JSON.parse(text)
        else { return [] }
        return group["tasks"].array ?? group["tasks"]["tasks"].elements
    }

    private static func requests(_ annotations: JSON) -> [JSON] {
        guard let text = annotations[MesosNames.portRequestAnnotation].string, text.contains("VIP") else { return [] }
        return (try? JSON.parse(text).elements) ?? []
    }

    /// The container's port for each host port that leads into a pod with a network of its own.
    private static func mappedPorts(_ tree: JSON, _ assigned: [Int]) -> [Int: Int] {
        if tree["spec"]["hostNetwork"].bool == true { return [:] }
        var result: [Int: Int] = [:]
        for port in tree["spec"]["containers"].elements.flatMap({ $0["ports"].elements }) {
            if let host = port["hostPort"].int, let inside = port["containerPort"].int { result[host] = inside }
        }
        let text = tree["metadata"]["annotations"][MesosNames.portRequestAnnotation].string ?? "[]"
        for (request, number) in zip((try? JSON.parse(text).elements) ?? [], assigned) {
            if let inside = request["containerPort"].int, inside > 0 { result[number] = inside }
        }
        return result
    }

    private static func transports(_ text: String) -> [String] {
        text.lowercased().split(separator: ",").map { $0.filter { $0 != " " } }.filter { $0 == "tcp" || $0 == "udp" }
    }
}

/// One virtual address with its port.
struct VirtualAddress: Sendable, Hashable {
    var address: String
    var port: Int
    var transport: String
}

extension ServiceCompiler {
    /// The fragment of a virtual address.
    /// - Parameter targets: where tasks answer, `(address, port)`; empty: the address is known, and refuses.
    func compile(_ vip: VirtualAddress, targets: [VirtualAddressView.Port]) -> Fragment {
        var fragment = Fragment()
        let element = "\(vip.address) . \(vip.transport) . \(vip.port)"
        if targets.isEmpty {
            fragment.members[.closedAddresses] = [element]
            return fragment
        }
        let chain = "vip_" + Self.shortHash(element)
        let places = Set(targets.map { "\($0.address) . \($0.port)" }).sorted()
        if places.count == 1 {
            fragment.chains[chain] = [
                "meta l4proto \(vip.transport) dnat to \(targets[0].address):\(targets[0].port)"
            ]
        } else {
            let choices = places.enumerated().map { "\($0.offset) : \($0.element)" }.joined(separator: ", ")
            fragment.chains[chain] = [
                "meta l4proto \(vip.transport) dnat to numgen random mod \(places.count) map { \(choices) }"
            ]
        }
        fragment.elements[.services] = [element: "goto \(chain)"]
        // A task that reaches itself must see another source address.
        for target in targets {
            fragment.members[.hairpins, default: []].insert("\(target.address) . \(target.address)")
            if vip.transport == "udp" {
                fragment.udpEndpoints.insert(
                    .init(serviceAddress: vip.address, port: vip.port, endpoint: target.address))
            }
        }
        return fragment
    }
}
