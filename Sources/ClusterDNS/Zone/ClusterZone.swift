import ObjectModel
import Synchronization

/// The records of `cluster.local`, answered from what the informers hold (Kubernetes DNS specification 1.1.0). Nothing
/// is rendered ahead: a question costs a few dictionary lookups.
final class ClusterZone: Sendable {
    /// How an address maps back to names.
    private struct Reverse {
        var services: [String: ObjectKey] = [:]
        var endpoints: [String: Set<DNSName>] = [:]
    }
    private struct State {
        var services: [ObjectKey: ServiceRecordView] = [:]
        var slices: [ObjectKey: [ObjectKey: SliceRecordView]] = [:]
        var serviceOfSlice: [ObjectKey: ObjectKey] = [:]
        /// Number of services; a namespace without any has no names.
        var namespaces: [String: Int] = [:]
        var reverse = Reverse()
    }
    private let state = Mutex(State())
    private let domain: DNSName
    private let serviceSuffix: DNSName
    private let podSuffix: DNSName
    /// Seconds; short, because endpoints come and go.
    private let timeToLive: UInt32 = 5

    init(domain: String) {
        self.domain = DNSName(domain)
        serviceSuffix = DNSName("svc.\(domain)")
        podSuffix = DNSName("pod.\(domain)")
    }

    // MARK: Content

    func put(_ service: ServiceRecordView) {
        state.withLock { state in
            forget(service.key, in: &state)
            state.services[service.key] = service
            state.namespaces[service.key.namespace, default: 0] += 1
            for address in service.clusterIPs { state.reverse.services[address] = service.key }
        }
    }

    func removeService(_ key: ObjectKey) {
        state.withLock { forget(key, in: &$0) }
    }

    private func forget(_ key: ObjectKey, in state: inout State) {
        guard let old = state.services.removeValue(forKey: key) else { return }
        state.namespaces[key.namespace, default: 1] -= 1
        if state.namespaces[key.namespace] == 0 { state.namespaces[key.namespace] = nil }
        for address in old.clusterIPs where state.reverse.services[address] == key {
            state.reverse.services[address] = nil
        }
    }

    func put(_ slice: SliceRecordView) {
        removeSlice(slice)
        guard let service = slice.service else { return }
        state.withLock { state in
            state.slices[service, default: [:]][slice.key] = slice
            state.serviceOfSlice[slice.key] = service
            for endpoint in slice.endpoints {
                state.reverse.endpoints[endpoint.address, default: []].insert(name(of: endpoint, service))
            }
        }
    }

    func removeSlice(_ slice: SliceRecordView) {
        state.withLock { state in
            guard let service = state.serviceOfSlice.removeValue(forKey: slice.key),
                let old = state.slices[service]?.removeValue(forKey: slice.key)
            else { return }
            if state.slices[service]?.isEmpty == true { state.slices[service] = nil }
            for endpoint in old.endpoints {
                state.reverse.endpoints[endpoint.address]?.remove(name(of: endpoint, service))
                if state.reverse.endpoints[endpoint.address]?.isEmpty == true {
                    state.reverse.endpoints[endpoint.address] = nil
                }
            }
        }
    }

    private func name(of service: ObjectKey) -> DNSName {
        DNSName(labels: [service.name, service.namespace] + serviceSuffix.labels)
    }

    private func name(of endpoint: SliceRecordView.Endpoint, _ service: ObjectKey) -> DNSName {
        let host = endpoint.hostname ?? AddressText.dashed(endpoint.address)
        return DNSName(labels: [host, service.name, service.namespace] + serviceSuffix.labels)
    }

    // MARK: Answers

    /// The answer, or nil when the name is not ours and has to be asked elsewhere.
    func answer(_ question: DNSQuestion) -> DNSResponse? {
        if let labels = question.name.labels(under: domain) {
            return finish(question, inside(Array(labels), question))
        }
        if let address = Self.reverseAddress(question.name) {
            let names: [DNSName] = state.withLock { state in
                if let service = state.reverse.services[address] { return [name(of: service)] }
                return (state.reverse.endpoints[address] ?? []).sorted { "\($0)" < "\($1)" }
            }
            guard !names.isEmpty else { return nil }
            return finish(question, .found(names.map { record(question.name, .name($0, type: .ptr)) }))
        }
        return nil
    }

    private enum Lookup {
        /// The name exists, with these records of any type.
        case found([DNSRecord])
        case missing
    }

    private func record(_ name: DNSName, _ data: DNSRecord.Data) -> DNSRecord {
        DNSRecord(name: name, timeToLive: timeToLive, data: data)
    }

    private func addresses(_ name: DNSName, _ texts: some Sequence<String>) -> [DNSRecord] {
        texts.compactMap { AddressText.bytes($0) }.map { record(name, .address($0)) }
    }

    private func inside(_ labels: [String], _ question: DNSQuestion) -> Lookup {
        let name = question.name
        if labels.isEmpty { return .found([]) }
        if labels == ["dns-version"] { return .found([record(name, .text("1.1.0"))]) }
        if labels == ["svc"] || labels == ["pod"] { return .found([]) }
        return state.withLock { state -> Lookup in
            if labels.last == "pod" {
                // Any well-formed address is answered, as DNS servers for Kubernetes do by default.
                guard labels.count >= 2, state.namespaces[labels[labels.count - 2]] != nil else { return .missing }
                if labels.count == 2 { return .found([]) }
                guard labels.count == 3 else { return .missing }
                let dots = String(labels[0].map { $0 == "-" ? "." : $0 })
                let colons = String(labels[0].map { $0 == "-" ? ":" : $0 })
                let records = addresses(name, AddressText.bytes(dots) != nil ? [dots] : [colons])
                return records.isEmpty ? .missing : .found(records)
            }
            guard labels.last == "svc", labels.count >= 2 else { return .missing }
            let namespace = labels[labels.count - 2]
            guard state.namespaces[namespace] != nil else { return .missing }
            if labels.count == 2 { return .found([]) }
            let key = ObjectKey(namespace: namespace, name: labels[labels.count - 3])
            guard let service = state.services[key] else { return .missing }
            let slices = (state.slices[key] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
            return lookup(Array(labels.dropLast(3)), name, service, slices)
        }
    }

    /// Names at and under one service.
    private func lookup(
        _ labels: [String], _ name: DNSName, _ service: ServiceRecordView, _ slices: [SliceRecordView]
    ) -> Lookup {
        if let target = service.externalName {
            return labels.isEmpty ? .found([record(name, .name(DNSName(target), type: .cname))]) : .missing
        }
        let ready = slices.flatMap { slice in slice.endpoints.filter(\.isReady).map { (slice, $0) } }
        let isHeadless = service.clusterIPs.isEmpty
        switch labels.count {
        case 0:
            let texts = isHeadless ? ready.map(\.1.address) : service.clusterIPs
            var seen: Set<String> = []
            // A different order each time spreads the load of headless services.
            let unique = texts.filter { seen.insert($0).inserted }.shuffled()
            return .found(addresses(name, unique) + allServices(name, service, ready))
        case 1 where labels[0].hasPrefix("_"):
            return .found([])
        case 1:
            let matching = ready.filter {
                ($0.1.hostname ?? AddressText.dashed($0.1.address)).lowercased() == labels[0]
            }
            return matching.isEmpty ? .missing : .found(addresses(name, matching.map(\.1.address)))
        case 2 where labels[0].hasPrefix("_") && labels[1].hasPrefix("_"):
            let wanted = (port: String(labels[0].dropFirst()), transport: String(labels[1].dropFirst()))
            let records = portRecords(name, service, ready) {
                $0.name == wanted.port && $0.transport == wanted.transport
            }
            return records.isEmpty ? .missing : .found(records)
        default:
            return .missing
        }
    }

    /// SRV records of every port, for a question about the service's own name.
    private func allServices(
        _ name: DNSName, _ service: ServiceRecordView, _ ready: [(SliceRecordView, SliceRecordView.Endpoint)]
    ) -> [DNSRecord] {
        portRecords(name, service, ready) { _ in true }
    }

    private func portRecords(
        _ name: DNSName, _ service: ServiceRecordView, _ ready: [(SliceRecordView, SliceRecordView.Endpoint)],
        _ isWanted: (ServiceRecordView.Port) -> Bool
    ) -> [DNSRecord] {
        if !service.clusterIPs.isEmpty {
            return service.ports.filter(isWanted).map {
                record(
                    name, .service(priority: 0, weight: 100, port: $0.port, target: self.name(of: service.key)))
            }
        }
        let weight = UInt16(clamping: max(1, 100 / max(1, ready.count)))
        return ready.flatMap { slice, endpoint in
            slice.ports.filter(isWanted).map {
                record(
                    name,
                    .service(
                        priority: 0, weight: weight, port: $0.port, target: self.name(of: endpoint, service.key)))
            }
        }
    }

    /// Picks the records of the asked type and says no in the way resolvers cache (RFC 2308).
    private func finish(_ question: DNSQuestion, _ lookup: Lookup) -> DNSResponse {
        var response = DNSResponse()
        switch lookup {
        case .missing: response.code = .nameError
        case .found(let records):
            response.answers = records.filter {
                $0.type == question.type || question.type == .any || $0.type == .cname
            }
        }
        if response.answers.isEmpty {
            response.authority = [
                record(
                    domain,
                    .authority(
                        server: DNSName(labels: ["ns", "dns"] + domain.labels),
                        mailbox: DNSName(labels: ["hostmaster"] + domain.labels), serial: 1, minimum: timeToLive))
            ]
        }
        return response
    }

    /// `5.0.0.10.in-addr.arpa` → `10.0.0.5`; likewise for IPv6.
    static func reverseAddress(_ name: DNSName) -> String? {
        if let labels = name.labels(under: DNSName("in-addr.arpa")), labels.count == 4 {
            return labels.reversed().joined(separator: ".")
        }
        if let labels = name.labels(under: DNSName("ip6.arpa")), labels.count == 32 {
            let digits = labels.reversed().joined()
            let groups = stride(from: 0, to: 32, by: 4).map { start in String(digits.dropFirst(start).prefix(4)) }
            return IPAddress(groups.joined(separator: ":")).map(\.description)
        }
        return nil
    }
}
