import ObjectModel

/// Which pods serve a service, at which addresses and ports. Pure.
enum EndpointSelection {
    /// Slices carry terminating pods (marked); finished ones and those without an address are left out.
    static func isListed(_ pod: PodView) -> Bool {
        !pod.isFinished && !pod.podIPs.isEmpty
    }

    /// Something changed that endpoints show.
    static func isRelevant(old: PodView, new: PodView) -> Bool {
        old.uid != new.uid || old.isReady != new.isReady || old.podIPs != new.podIPs
            || old.isFinished != new.isFinished || old.isTerminating != new.isTerminating
            || old.nodeName != new.nodeName || old.labels != new.labels || old.hostname != new.hostname
            || old.subdomain != new.subdomain
    }

    /// The service's ports on this pod, sorted; named ones that it does not have are left out.
    static func ports(of service: ServiceView, on pod: PodView) -> [SlicePort] {
        service.ports.compactMap { port in
            guard let number = ServiceView.resolve(port, on: pod) else { return nil }
            return SlicePort(
                name: port.name, protocolName: port.protocolName, number: number, appProtocol: port.appProtocol)
        }.sorted()
    }

    static func addresses(of pod: PodView, family: String) -> [String] {
        pod.podIPs.filter { $0.utf8.contains(UInt8(ascii: ":")) == (family == "IPv6") }
    }

    /// A name of its own in DNS: the pod asked for it under this service.
    static func hostname(of pod: PodView, in service: ServiceView) -> String? {
        guard !pod.hostname.isEmpty, pod.subdomain == service.object.name, pod.namespace == service.object.namespace
        else { return nil }
        return pod.hostname
    }

    /// Endpoints by address family and port set.
    /// - Parameter zone: the zone of a node by name.
    static func groups(of service: ServiceView, pods: [PodView], zone: (String) -> String?) -> [SliceGroup:
        [SliceEndpoint]]
    {
        var groups: [SliceGroup: [SliceEndpoint]] = [:]
        for family in service.families {
            var found: [SliceGroup: [SliceEndpoint]] = [:]
            for pod in pods where isListed(pod) && service.selects(pod.labels) {
                let addresses = addresses(of: pod, family: family)
                guard !addresses.isEmpty else { continue }
                let group = SliceGroup(addressType: family, ports: ports(of: service, on: pod))
                found[group, default: []].append(endpoint(pod, service, addresses, zone(pod.nodeName)))
            }
            if found.isEmpty { found[SliceGroup(addressType: family, ports: [])] = [] }
            groups.merge(found) { $1 }
        }
        hint(&groups, service.distribution)
        return groups
    }

    private static func endpoint(_ pod: PodView, _ service: ServiceView, _ addresses: [String], _ zone: String?)
        -> SliceEndpoint
    {
        var endpoint = SliceEndpoint(
            addresses: addresses, isReady: service.publishesNotReady || (pod.isReady && !pod.isTerminating))
        endpoint.isServing = pod.isReady
        endpoint.isTerminating = pod.isTerminating
        endpoint.hostname = hostname(of: pod, in: service)
        endpoint.nodeName = pod.nodeName.isEmpty ? nil : pod.nodeName
        endpoint.zone = zone
        endpoint.target = EndpointTarget(pod)
        return endpoint
    }

    /// Says for whom an endpoint is meant (`trafficDistribution`): its own zone or node. Without a zone on every ready
    /// endpoint there are no zone hints, as a proxy would otherwise lose the unhinted ones.
    private static func hint(_ groups: inout [SliceGroup: [SliceEndpoint]], _ distribution: ServiceView.Distribution) {
        guard distribution != .anywhere else { return }
        for (group, endpoints) in groups {
            guard endpoints.allSatisfy({ !$0.isReady || $0.zone != nil }) || distribution == .sameNode else { continue }
            groups[group] = endpoints.map { endpoint in
                var endpoint = endpoint
                if endpoint.isReady {
                    endpoint.hintZones = endpoint.zone.map { [$0] } ?? []
                    if distribution == .sameNode { endpoint.hintNodes = endpoint.nodeName.map { [$0] } ?? [] }
                }
                return endpoint
            }
        }
    }
}
