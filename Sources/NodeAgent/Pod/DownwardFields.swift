import ObjectModel

/// Addresses that a pod and its node have.
struct PodAddresses: Sendable, Hashable {
    var pod: [String] = []
    var host: [String] = []
}

/// The downward API: what a container may learn about its own pod.
struct DownwardFields: Sendable {
    let pod: Pod
    let addresses: PodAddresses
    /// What a container may use when it has no limit: the node's allocatable.
    let nodeMilliCPU: Int
    let nodeMemory: Int

    /// The value of a `fieldRef.fieldPath`.
    func field(_ path: String) throws(ConfigurationError) -> String {
        switch path {
        case "metadata.name": return pod.name
        case "metadata.namespace": return pod.namespace
        case "metadata.uid": return pod.uid
        case "metadata.labels": return Self.lines(pod.labels)
        case "metadata.annotations": return Self.lines(pod.annotations)
        case "spec.nodeName": return pod.spec.nodeName
        case "spec.serviceAccountName": return pod.spec.serviceAccountName
        case "status.podIP": return addresses.pod.first ?? ""
        case "status.podIPs": return addresses.pod.joined(separator: ",")
        case "status.hostIP": return addresses.host.first ?? ""
        case "status.hostIPs": return addresses.host.joined(separator: ",")
        default: break
        }
        if let key = Self.subscripted(path, "metadata.labels") { return pod.labels[key] ?? "" }
        if let key = Self.subscripted(path, "metadata.annotations") { return pod.annotations[key] ?? "" }
        throw ConfigurationError("unsupported fieldPath: \(path)")
    }

    /// The value of a `resourceFieldRef` in units of the divisor, rounded up.
    func resource(_ name: String, container: ContainerSpec, divisor: Quantity?) throws(ConfigurationError) -> String {
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        guard parts.count == 2, ["limits", "requests"].contains(parts[0]) else {
            throw ConfigurationError("unsupported container resource : \(name)")
        }
        let resource = parts[1]
        var quantity =
            parts[0] == "limits" ? container.resources.limits[resource] : container.resources.requests[resource]
        if quantity == nil, parts[0] == "requests" { quantity = container.resources.limits[resource] }
        if resource == "cpu" {
            let milli = quantity?.milliValue ?? (parts[0] == "limits" ? nodeMilliCPU : 0)
            let unit = max(divisor.map(\.milliValue).flatMap { $0 == 0 ? nil : $0 } ?? 1000, 1)
            return String(Self.rounded(milli, unit))
        }
        let fallback = parts[0] == "limits" && resource == "memory" ? nodeMemory : 0
        let value = quantity?.value ?? fallback
        let unit = max(divisor.map(\.value).flatMap { $0 == 0 ? nil : $0 } ?? 1, 1)
        return String(Self.rounded(value, unit))
    }

    /// The quotient of an amount and a unit above zero, rounded up.
    private static func rounded(_ amount: Int, _ unit: Int) -> Int {
        amount / unit + (amount % unit > 0 ? 1 : 0)
    }

    /// A map as `key="value"` lines in key order.
    static func lines(_ map: [String: String]) -> String {
        map.keys.sorted().map { "\($0)=\((map[$0] ?? "").goQuoted)" }.joined(separator: "\n")
    }

    private static func subscripted(_ path: String, _ prefix: String) -> String? {
        guard path.hasPrefix(prefix + "['"), path.hasSuffix("']") else { return nil }
        return String(path.dropFirst(prefix.count + 2).dropLast(2))
    }
}
