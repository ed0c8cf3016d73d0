import JSON
import Ledger

/// A host port that a pod asks for by its annotations instead of its container ports.
///
/// Mesos and Marathon give every instance its own ports of its node. The scheduler chooses them with the node and
/// announces them with the binding: `ports.apus.dev/assigned` lists them, `ports.apus.dev/0` and so on hold one each, so
/// that environment variables can refer to them.
struct PortRequest: Sendable, Hashable {
    /// `TCP`, `UDP` or both, which then get the same number.
    var transports: [String]
    /// 0: any free one.
    var port: Int

    static let requestKey = "ports.apus.dev/request"
    static let assignedKey = "ports.apus.dev/assigned"
    static func key(_ index: Int) -> String { "ports.apus.dev/\(index)" }
    /// Where chosen ports come from.
    static let range = 31000...32000

    init(transports: [String] = ["TCP"], port: Int = 0) {
        self.transports = transports
        self.port = port
    }

    init(_ json: JSON) {
        transports = (json["protocol"].string ?? "tcp").uppercased().split(separator: ",").map {
            String($0.filter { $0 != " " })
        }
        port = json["port"].int ?? 0
    }

    /// The requests of an annotation; one that cannot be read asks for nothing.
    static func parse(_ annotation: String?) -> [PortRequest] {
        guard let annotation, let json = try? JSON.parse(annotation) else { return [] }
        return json.elements.map(PortRequest.init)
    }

    /// The numbers of an `assigned` annotation.
    static func assigned(_ annotation: String?) -> [Int] {
        guard let annotation else { return [] }
        return annotation.split(separator: ",").compactMap { Int($0.filter { $0 != " " }) }
    }

    /// The annotations that announce chosen ports.
    static func annotations(_ ports: [Int]) -> JSON {
        var result: JSON = [assignedKey: .string(ports.map(String.init).joined(separator: ","))]
        for (index, port) in ports.enumerated() { result[key(index)] = .string(String(port)) }
        return result
    }
}

extension PodTemplate {
    /// True when ports must be chosen.
    var choosesPorts: Bool { portRequests.contains { $0.port == 0 } }

    /// Everything that a pod of this template holds with these assigned ports, in a fixed order.
    func hostPorts(assigned: [Int]) -> [HostPort] {
        if assigned.isEmpty { return hostPorts }
        var result = hostPorts
        if portRequests.isEmpty {
            // Ports of Mesos have no protocol.
            for port in assigned { result += [HostPort(port: port), HostPort(transport: "UDP", port: port)] }
            return result
        }
        for (request, port) in zip(portRequests, assigned) where request.port == 0 {
            for transport in request.transports { result.append(HostPort(transport: transport, port: port)) }
        }
        return result
    }
}
