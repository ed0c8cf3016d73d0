import JSON
import ObjectModel

/// Labels and annotations of endpoint objects.
enum EndpointLabels {
    static let serviceName = "kubernetes.io/service-name"
    static let managedBy = "endpointslice.kubernetes.io/managed-by"
    static let headless = "service.kubernetes.io/headless"
    static let skipMirror = "endpointslice.kubernetes.io/skip-mirror"
    /// Of the old Endpoints objects.
    static let endpointsManagedBy = "endpoints.kubernetes.io/managed-by"
    static let overCapacity = "endpoints.kubernetes.io/over-capacity"
    static let triggerTime = "endpoints.kubernetes.io/last-change-trigger-time"
    static let sliceController = "endpointslice-controller.k8s.io"
    static let mirroringController = "endpointslicemirroring-controller.k8s.io"
    static let endpointsController = "endpoint-controller"
}

/// What the endpoint controllers read of a Service.
final class ServiceView: Sendable {
    struct Port: Sendable, Hashable {
        var name: String
        var protocolName: String
        var appProtocol: String?
        var number: Int
        /// A number, or the name of a container port; nil: as `number`.
        var target: Target?
    }
    enum Target: Sendable, Hashable {
        case number(Int)
        case name(String)
    }
    enum Distribution: Sendable {
        case anywhere
        case sameZone
        case sameNode
    }

    let object: Object
    /// Empty: no selector, somebody else makes the endpoints.
    let selector: [String: String]
    let ports: [Port]
    let isHeadless: Bool
    let isExternalName: Bool
    let publishesNotReady: Bool
    /// `IPv4`, `IPv6`; the first is the primary one.
    let families: [String]
    let distribution: Distribution

    init(_ object: Object) {
        self.object = object
        let spec = object.tree["spec"]
        selector = spec["selector"].stringMap
        ports = spec["ports"].elements.map { port in
            let target: Target? =
                if let number = port["targetPort"].int {
                    .number(number)
                } else if let name = port["targetPort"].string, !name.isEmpty {
                    .name(name)
                } else {
                    nil
                }
            return Port(
                name: port["name"].string ?? "", protocolName: port["protocol"].string ?? "TCP",
                appProtocol: port["appProtocol"].string, number: port["port"].int ?? 0, target: target)
        }
        isHeadless = spec["clusterIP"].string == "None"
        isExternalName = spec["type"].string == "ExternalName"
        publishesNotReady = spec["publishNotReadyAddresses"].bool ?? false
        let families = spec["ipFamilies"].elements.compactMap(\.string)
        self.families = families.isEmpty ? ["IPv4"] : families
        distribution =
            switch spec["trafficDistribution"].string {
            case "PreferClose", "PreferSameZone": .sameZone
            case "PreferSameNode": .sameNode
            default: .anywhere
            }
    }

    var key: ObjectKey { object.key }
    func selects(_ labels: [String: String]) -> Bool {
        !selector.isEmpty && selector.allSatisfy { labels[$0.key] == $0.value }
    }

    /// The port a pod serves a service port on; nil when it has no container port of that name.
    static func resolve(_ port: Port, on pod: PodView) -> Int? {
        switch port.target {
        case nil: port.number
        case .number(let number): number == 0 ? port.number : number
        case .name(let name):
            pod.namedPorts.first { $0.name == name && $0.protocolName == port.protocolName }?.number
        }
    }
}
