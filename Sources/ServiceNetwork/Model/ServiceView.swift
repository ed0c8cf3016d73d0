import JSON
import ObjectModel

/// What the proxy reads of a service.
struct ServiceView: Sendable, Equatable {
    struct Port: Sendable, Equatable {
        var name: String
        /// `tcp`, `udp` or `sctp`.
        var transport: String
        var port: Int
        var nodePort: Int?
    }
    var key: ObjectKey
    /// IPv4 cluster addresses; empty for headless and external-name services.
    var clusterIPs: [String]
    /// `spec.externalIPs` and the load balancer's addresses.
    var externalIPs: [String]
    var ports: [Port]
    /// Seconds a client stays with its endpoint; nil without session affinity.
    var affinityTimeout: Int?
    var isInternalLocal: Bool
    var isExternalLocal: Bool
    var publishesNotReady: Bool

    init(_ object: Object) {
        let tree = object.tree
        let spec = tree["spec"]
        key = object.key
        let isProxied =
            spec["type"].string != "ExternalName"
            && object.metadata.labels["service.kubernetes.io/service-proxy-name"] == nil
        let addresses = spec["clusterIPs"].array?.compactMap(\.string) ?? [spec["clusterIP"].string ?? ""]
        clusterIPs = isProxied ? addresses.filter { Self.isIPv4($0) } : []
        var external = spec["externalIPs"].elements.compactMap(\.string)
        external += tree["status"]["loadBalancer"]["ingress"].elements
            .filter { $0["ipMode"].string != "Proxy" }.compactMap { $0["ip"].string }
        externalIPs = clusterIPs.isEmpty ? [] : external.filter { Self.isIPv4($0) }
        ports = spec["ports"].elements.map { port in
            Port(
                name: port["name"].string ?? "", transport: (port["protocol"].string ?? "TCP").lowercased(),
                port: port["port"].int ?? 0, nodePort: port["nodePort"].int.flatMap { $0 > 0 ? $0 : nil })
        }
        affinityTimeout =
            spec["sessionAffinity"].string == "ClientIP"
            ? spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].int ?? 10800 : nil
        isInternalLocal = spec["internalTrafficPolicy"].string == "Local"
        isExternalLocal = spec["externalTrafficPolicy"].string == "Local"
        publishesNotReady = spec["publishNotReadyAddresses"].bool ?? false
    }

    private static func isIPv4(_ text: String) -> Bool { text.contains(".") && text != "None" }
}

/// What the proxy reads of an endpoint slice.
struct SliceView: Sendable, Equatable {
    struct Endpoint: Sendable, Hashable {
        var address: String
        var nodeName: String
        var isReady: Bool
        var isServing: Bool
        var isTerminating: Bool
    }
    struct Port: Sendable, Equatable {
        var name: String
        var transport: String
        var port: Int
    }
    var service: ObjectKey
    var ports: [Port]
    var endpoints: [Endpoint]

    /// Nil for slices of another address family or of no service.
    init?(_ object: Object) {
        let tree = object.tree
        guard let name = object.metadata.labels["kubernetes.io/service-name"],
            tree["addressType"].string == "IPv4"
        else { return nil }
        service = ObjectKey(namespace: object.namespace, name: name)
        ports = tree["ports"].elements.compactMap { port in
            guard let number = port["port"].int else { return nil }
            return Port(
                name: port["name"].string ?? "", transport: (port["protocol"].string ?? "TCP").lowercased(),
                port: number)
        }
        endpoints = tree["endpoints"].elements.compactMap { endpoint in
            guard let address = endpoint["addresses"][0].string else { return nil }
            let conditions = endpoint["conditions"]
            let isReady = conditions["ready"].bool ?? true
            return Endpoint(
                address: address, nodeName: endpoint["nodeName"].string ?? "", isReady: isReady,
                isServing: conditions["serving"].bool ?? isReady,
                isTerminating: conditions["terminating"].bool ?? false)
        }
    }
}

/// A container port that is published on the node (`hostPort`).
struct HostPortView: Sendable, Equatable {
    struct Port: Sendable, Equatable {
        var transport: String
        var hostPort: Int
        /// Empty for all addresses of the node.
        var hostIP: String
        var containerPort: Int
    }
    var podIP: String
    var ports: [Port]

    /// Reads a pod; without ports when it has the host's network, no address yet, or has ended.
    init(_ object: Object) {
        let tree = object.tree
        podIP = tree["status"]["podIP"].string ?? ""
        let isLive = !["Succeeded", "Failed"].contains(tree["status"]["phase"].string ?? "")
        let isOwn = tree["spec"]["hostNetwork"].bool != true && !podIP.isEmpty && isLive
        let given: [Port] =
            !isOwn
            ? []
            : tree["spec"]["containers"].elements.flatMap { $0["ports"].elements }.compactMap { port in
                guard let host = port["hostPort"].int, host > 0, let inner = port["containerPort"].int else {
                    return nil
                }
                let address = port["hostIP"].string ?? ""
                return Port(
                    transport: (port["protocol"].string ?? "TCP").lowercased(), hostPort: host,
                    hostIP: address == "0.0.0.0" ? "" : address, containerPort: inner)
            }
        ports = given + (isOwn ? Self.assigned(tree["metadata"]["annotations"]) : [])
    }

    /// Ports that the scheduler chose for requests with a container port.
    private static func assigned(_ annotations: JSON) -> [Port] {
        guard let text = annotations["ports.apus.dev/assigned"].string,
            let requests = annotations["ports.apus.dev/request"].string.flatMap({ try? JSON.parse($0).elements })
        else { return [] }
        let numbers = text.split(separator: ",").map { Int($0.filter { $0 != " " }) ?? 0 }
        var result: [Port] = []
        for (request, host) in zip(requests, numbers) {
            guard (1...65535).contains(host), let inner = request["containerPort"].int else { continue }
            let transports = (request["protocol"].string ?? "tcp").lowercased().split(separator: ",")
            for transport in transports.map({ $0.filter { $0 != " " } }) where transport == "tcp" || transport == "udp"
            {
                result.append(
                    Port(transport: transport, hostPort: host, hostIP: "", containerPort: inner == 0 ? host : inner))
            }
        }
        return result
    }
}
