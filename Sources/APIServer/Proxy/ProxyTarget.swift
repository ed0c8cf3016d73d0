import ClusterClient
import JSON
import ObjectModel
import Schema

/// Where a proxied request goes.
struct ProxyTarget: Sendable {
    var host: String
    var port: Int
    var isTLS: Bool
}

/// The last part of a proxy path before `/proxy`: `name`, `name:port` or `scheme:name:port`, the port by number or name.
struct ProxyName: Sendable, Equatable {
    var isTLS = false
    var name: String
    var port = ""

    /// - Throws: `StatusError` 400 for other forms and other schemes than http and https.
    init(_ text: String) throws {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        switch parts.count {
        case 1: name = text
        case 2: (name, port) = (parts[0], parts[1])
        case 3:
            (name, port) = (parts[1], parts[2])
            guard ["", "http", "https"].contains(parts[0]) else {
                throw StatusError.badRequest("invalid proxy request \"\(text)\": the scheme must be http or https")
            }
            isTLS = parts[0] == "https"
        default: throw StatusError.badRequest("invalid proxy request \"\(text)\"")
        }
        guard !name.isEmpty else { throw StatusError.badRequest("invalid proxy request \"\(text)\": no name") }
    }
}

extension Dispatcher {
    /// The address of a pod, and one of its ports: that which is named, or the first that it declares.
    func podProxyTarget(_ call: Call, _ name: ProxyName) async throws -> ProxyTarget {
        guard let pods = backend.catalog.resource(.pods) else { throw StatusError.unknownResource() }
        let key = ObjectKey(namespace: call.info.namespace, name: name.name)
        let pod = try await backend.get(pods, key, resourceVersion: "").tree
        let address = pod["status"]["podIP"].string ?? ""
        guard !address.isEmpty else { throw StatusError.serviceUnavailable("pod \(key.name) has no address yet") }
        guard Self.mayBeProxied(address) else { throw StatusError.badRequest("address not allowed") }
        let declared = pod["spec"]["containers"].elements.flatMap { $0["ports"].elements }
        let port: Int?
        if name.port.isEmpty {
            port = declared.first?["containerPort"].int ?? (name.isTLS ? 443 : 80)
        } else {
            port = Int(name.port) ?? declared.first { $0["name"].string == name.port }?["containerPort"].int
        }
        guard let port, (1...65535).contains(port) else {
            throw StatusError.badRequest("pod \(key.name) has no port \"\(name.port)\"")
        }
        return ProxyTarget(host: address, port: port, isTLS: name.isTLS)
    }

    /// The address of one ready endpoint of a service.
    func serviceProxyTarget(_ call: Call, _ name: ProxyName) async throws -> ProxyTarget {
        let slicesResource = GroupVersionResource(
            group: "discovery.k8s.io", version: "v1", resource: "endpointslices")
        guard let services = backend.catalog.resource(.services), let slices = backend.catalog.resource(slicesResource)
        else { throw StatusError.unknownResource() }
        let key = ObjectKey(namespace: call.info.namespace, name: name.name)
        let ports = try await backend.get(services, key, resourceVersion: "").tree["spec"]["ports"].elements
        // The endpoints know their ports by the names they have in the service.
        let portName: String
        if name.port.isEmpty, ports.count == 1 {
            portName = ports[0]["name"].string ?? ""
        } else if let number = Int(name.port), let port = ports.first(where: { $0["port"].int == number }) {
            portName = port["name"].string ?? ""
        } else if ports.contains(where: { ($0["name"].string ?? "") == name.port }) {
            portName = name.port
        } else {
            throw StatusError.serviceUnavailable("no service port \"\(name.port)\" found for service \"\(key.name)\"")
        }
        var options = ListOptions()
        options.labelSelector = try LabelSelector(parsing: "kubernetes.io/service-name=\(key.name)")
        options.resourceVersion = "0"
        let found = try await backend.list(slices, namespace: key.namespace, options: options)
        var targets: [ProxyTarget] = []
        for slice in found.items.map(\.tree) {
            guard
                let port = slice["ports"].elements.first(where: { ($0["name"].string ?? "") == portName })?["port"].int
            else { continue }
            for endpoint in slice["endpoints"].elements where endpoint["conditions"]["ready"].bool ?? true {
                for address in endpoint["addresses"].elements.compactMap(\.string) where Self.mayBeProxied(address) {
                    targets.append(ProxyTarget(host: address, port: port, isTLS: name.isTLS))
                }
            }
        }
        guard let target = targets.randomElement() else {
            throw StatusError.serviceUnavailable("no endpoints available for service \"\(key.name)\"")
        }
        return target
    }

    /// The server's own loopback and link-local services are nobody's business.
    static func mayBeProxied(_ address: String) -> Bool {
        !(address.hasPrefix("127.") || address.hasPrefix("169.254.") || address.hasPrefix("0.") || address == "::1"
            || address.lowercased().hasPrefix("fe80:"))
    }
}
