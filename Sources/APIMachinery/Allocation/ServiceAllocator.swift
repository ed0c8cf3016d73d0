import JSON
import ObjectModel
import Synchronization

/// Cluster addresses and node ports of services.
///
/// What is taken is what the stored services say: the state follows the services' events and is rebuilt at each start,
/// so nothing can be lost or leak. A number for a write in progress is held under the service's key and either becomes
/// part of the stored service or is released.
final class ServiceAllocator: Sendable {
    /// Numbers taken for one write.
    struct Reservation: Sendable {
        fileprivate var owner: ObjectKey
        fileprivate var addresses: [Int] = []
        fileprivate var ports: [Int] = []
    }

    let range: CIDR
    private struct State {
        var addresses: NumberPool
        var ports: NumberPool
    }
    private let state: Mutex<State>

    init(serviceCIDR: String, nodePorts: ClosedRange<Int>) throws {
        guard let range = CIDR(serviceCIDR)?.masked, range.family == .ipv4, range.prefixLength <= 29 else {
            throw StatusError.badRequest(
                "the service CIDR \"\(serviceCIDR)\" is not an IPv4 range of at least 8 addresses")
        }
        self.range = range
        // Not the network's address, not the broadcast address.
        let size = range.size - 2
        let addresses = NumberPool(range: 1..<(size + 1), band: min(max(16, size / 16), 256))
        let portCount = nodePorts.count
        let ports = NumberPool(
            range: nodePorts.lowerBound..<(nodePorts.upperBound + 1),
            band: portCount < 32 ? 0 : min(max(16, portCount / 32), 128))
        var first = State(addresses: addresses, ports: ports)
        _ = first.addresses.take(1, for: ObjectKey(namespace: "default", name: "kubernetes"))
        _ = first.addresses.take(min(10, size), for: ObjectKey(namespace: "kube-system", name: "kube-dns"))
        state = Mutex(first)
    }

    /// The address of `default/kubernetes`.
    var apiAddress: String { range.address(at: 1)?.description ?? "" }
    /// The address of `kube-system/kube-dns`.
    var dnsAddress: String { range.address(at: min(10, range.size - 2))?.description ?? "" }

    // MARK: Following

    func follow(_ caches: CacheSet) {
        caches.observe(GroupVersionResource.services.groupResource) { [weak self] old, new in
            self?.observe(old?.tree, new?.tree)
        }
    }

    private func observe(_ old: JSON?, _ new: JSON?) {
        state.withLock { state in
            let before = numbers(old ?? .null)
            let after = numbers(new ?? .null)
            if let old {
                let owner = key(old)
                for number in before.addresses where !after.addresses.contains(number) {
                    state.addresses.release(number, of: owner)
                }
                for number in before.ports where !after.ports.contains(number) {
                    state.ports.release(number, of: owner)
                }
            }
            if let new {
                let owner = key(new)
                for number in after.addresses { _ = state.addresses.take(number, for: owner) }
                for number in after.ports { _ = state.ports.take(number, for: owner) }
            }
        }
    }

    private func key(_ service: JSON) -> ObjectKey {
        ObjectKey(
            namespace: service["metadata"]["namespace"].string ?? "", name: service["metadata"]["name"].string ?? "")
    }

    private func numbers(_ service: JSON) -> (addresses: [Int], ports: [Int]) {
        let spec = service["spec"]
        let addresses = spec["clusterIPs"].elements.compactMap { offset($0.string ?? "") }
        var ports = spec["ports"].elements.compactMap { $0["nodePort"].int }.filter { $0 != 0 }
        if let port = spec["healthCheckNodePort"].int, port != 0 { ports.append(port) }
        return (addresses, ports)
    }

    private func offset(_ address: String) -> Int? {
        guard let ip = IPAddress(address), range.contains(ip) else { return nil }
        return Int(ip.value - range.first.value)
    }

    // MARK: Allocating

    /// Fills in what a service needs and does not have.
    /// - Parameter old: the stored service of an update.
    /// - Throws: 422 for an address or port that cannot be had.
    func allocate(for request: inout AdmissionRequest, old: JSON?) throws -> Reservation? {
        guard request.place == GroupVersionResource.services.groupResource, request.subresource == nil,
            request.operation != .delete
        else { return nil }
        var spec = request.object["spec"]
        if let old { ServiceShape.carryOver(&spec, from: old["spec"]) }
        var problems: [FieldError] = ServiceShape.families(&spec)
        var reservation = Reservation(owner: request.key)
        if problems.isEmpty {
            state.withLock { state in
                address(&spec, &state, &reservation, &problems)
                if problems.isEmpty { ports(&spec, old?["spec"], &state, &reservation, &problems) }
            }
        }
        guard problems.isEmpty else {
            release(reservation)
            throw StatusError.invalid(request.resource.kind, name: request.key.name, problems)
        }
        request.object["spec"] = spec
        return reservation
    }

    /// Gives back what was taken for a write that did not happen.
    func release(_ reservation: Reservation?) {
        guard let reservation else { return }
        state.withLock { state in
            for number in reservation.addresses { state.addresses.release(number, of: reservation.owner) }
            for number in reservation.ports { state.ports.release(number, of: reservation.owner) }
        }
    }

    private func address(
        _ spec: inout JSON, _ state: inout State, _ reservation: inout Reservation, _ problems: inout [FieldError]
    ) {
        guard ServiceShape.needsAddress(spec) else { return }
        let asked = spec["clusterIPs"].elements.first?.string ?? spec["clusterIP"].string ?? ""
        if asked == "None" { return }
        let owner = reservation.owner
        if asked.isEmpty {
            guard let number = state.addresses.takeAny(for: owner), let ip = range.address(at: number) else {
                problems.append(
                    FieldError(
                        field: "spec.clusterIPs", reason: .internalError,
                        message: "Internal error: failed to allocate a serviceIP: range is full"))
                return
            }
            reservation.addresses.append(number)
            spec["clusterIP"] = .string("\(ip)")
            spec["clusterIPs"] = [.string("\(ip)")]
            return
        }
        func fail(_ why: String) {
            problems.append(
                .invalid("spec.clusterIPs", [.string(asked)], "failed to allocate IP \(asked): \(why)"))
        }
        guard IPAddress(asked) != nil else {
            problems.append(
                .invalid(
                    "spec.clusterIPs[0]", .string(asked),
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
            return
        }
        guard let number = offset(asked), number > 0, number < range.size - 1 else {
            fail("the provided IP (\(asked)) is not in the valid range. The range of valid IPs is \(range)")
            return
        }
        let isHeld = state.addresses.owner(of: number) == owner
        guard state.addresses.take(number, for: owner) else {
            fail("provided IP is already allocated")
            return
        }
        if !isHeld { reservation.addresses.append(number) }
        spec["clusterIP"] = .string(asked)
        spec["clusterIPs"] = [.string(asked)]
    }

    private func ports(
        _ spec: inout JSON, _ old: JSON?, _ state: inout State, _ reservation: inout Reservation,
        _ problems: inout [FieldError]
    ) {
        let owner = reservation.owner
        guard ServiceShape.needsNodePorts(spec) else { return }
        // The same number may serve several protocols of one service.
        var byPort: [Int: Int] = [:]
        var mine: Set<Int> = Set(old?["ports"].elements.compactMap { $0["nodePort"].int } ?? [])
        for index in spec["ports"].elements.indices {
            let field = "spec.ports[\(index)].nodePort"
            let port = spec["ports"][index]
            if let asked = port["nodePort"].int, asked != 0 {
                if mine.contains(asked) { continue }
                guard state.ports.range.contains(asked) else {
                    problems.append(
                        .invalid(
                            field, port["nodePort"],
                            "provided port is not in the valid range. The range of valid ports is "
                                + "\(state.ports.range.lowerBound)-\(state.ports.range.upperBound - 1)"))
                    continue
                }
                guard state.ports.owner(of: asked) == nil, state.ports.take(asked, for: owner) else {
                    problems.append(.invalid(field, port["nodePort"], "provided port is already allocated"))
                    continue
                }
                reservation.ports.append(asked)
                mine.insert(asked)
                byPort[port["port"].int ?? 0] = asked
            } else if let shared = byPort[port["port"].int ?? 0] {
                spec["ports"][index]["nodePort"] = JSON(shared)
            } else if let number = state.ports.takeAny(for: owner) {
                reservation.ports.append(number)
                mine.insert(number)
                byPort[port["port"].int ?? 0] = number
                spec["ports"][index]["nodePort"] = JSON(number)
            } else {
                problems.append(
                    FieldError(
                        field: field, reason: .internalError,
                        message: "Internal error: failed to allocate a nodePort: range is full"))
            }
        }
        if ServiceShape.needsHealthPort(spec), (spec["healthCheckNodePort"].int ?? 0) == 0,
            let number = state.ports.takeAny(for: owner)
        {
            reservation.ports.append(number)
            spec["healthCheckNodePort"] = JSON(number)
        }
    }
}
