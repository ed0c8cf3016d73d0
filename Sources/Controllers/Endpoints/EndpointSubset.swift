import JSON
import ObjectModel

/// `subsets[]` of an Endpoints object: addresses that share their ports.
struct EndpointSubset: Sendable, Hashable {
    struct Address: Sendable, Hashable {
        var ip: String
        var hostname: String?
        var nodeName: String?
        var target: EndpointTarget?

        init(ip: String) {
            self.ip = ip
        }
        init(_ json: JSON) {
            ip = json["ip"].string ?? ""
            hostname = json["hostname"].string
            nodeName = json["nodeName"].string
            target = json["targetRef"].isNull ? nil : EndpointTarget(json["targetRef"])
        }
        var json: JSON {
            var json: JSON = ["ip": .string(ip)]
            if let hostname { json["hostname"] = .string(hostname) }
            if let nodeName { json["nodeName"] = .string(nodeName) }
            if let target { json["targetRef"] = target.json }
            return json
        }
    }
    var ready: [Address] = []
    var notReady: [Address] = []
    var ports: [SlicePort]

    init(ports: [SlicePort]) {
        self.ports = ports
    }
    init(_ json: JSON) {
        ready = json["addresses"].elements.map(Address.init)
        notReady = json["notReadyAddresses"].elements.map(Address.init)
        ports = json["ports"].elements.map(SlicePort.init)
    }
    var json: JSON {
        var json = JSON.object([:])
        if !ready.isEmpty { json["addresses"] = .array(ready.map(\.json)) }
        if !notReady.isEmpty { json["notReadyAddresses"] = .array(notReady.map(\.json)) }
        if !ports.isEmpty { json["ports"] = .array(ports.map { $0.json(keepsEmptyName: false) }) }
        return json
    }
}

/// The subsets of a service. Pure.
enum EndpointSubsets {
    /// Most addresses in one Endpoints object.
    static let capacity = 1000

    /// Sorted subsets, and whether addresses were left out because there are too many.
    static func compute(of service: ServiceView, pods: [PodView], capacity: Int = capacity) -> (
        subsets: [EndpointSubset], isCut: Bool
    ) {
        let family = service.families.first ?? "IPv4"
        var byPorts: [[SlicePort]: EndpointSubset] = [:]
        let listed = pods.filter { pod in
            EndpointSelection.isListed(pod) && service.selects(pod.labels)
                && (service.publishesNotReady || !pod.isTerminating)
        }.sorted { ($0.podIPs.first ?? "", $0.uid) < ($1.podIPs.first ?? "", $1.uid) }
        // Ready ones first, so that a cut takes the others.
        var left = capacity
        for isReady in [true, false] {
            for pod in listed where (service.publishesNotReady || pod.isReady) == isReady {
                guard let ip = EndpointSelection.addresses(of: pod, family: family).first else { continue }
                let ports = EndpointSelection.ports(of: service, on: pod)
                if ports.isEmpty && !service.ports.isEmpty { continue }
                left -= 1
                guard left >= 0 else { continue }
                var address = EndpointSubset.Address(ip: ip)
                address.hostname = EndpointSelection.hostname(of: pod, in: service)
                address.nodeName = pod.nodeName.isEmpty ? nil : pod.nodeName
                address.target = EndpointTarget(pod)
                var subset = byPorts[ports] ?? EndpointSubset(ports: ports)
                if isReady { subset.ready.append(address) } else { subset.notReady.append(address) }
                byPorts[ports] = subset
            }
        }
        let subsets = byPorts.values.sorted { $0.ports.lexicographicallyPrecedes($1.ports) }
        return (subsets, left < 0)
    }
}
