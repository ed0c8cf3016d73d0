import JSON
import ObjectModel

/// What DNS reads of a service.
struct ServiceRecordView: Sendable, Equatable {
    struct Port: Sendable, Equatable {
        var name: String
        var transport: String
        var port: UInt16
    }
    var key: ObjectKey
    /// Empty for headless services.
    var clusterIPs: [String]
    /// For external-name services; nil otherwise.
    var externalName: String?
    var ports: [Port]

    init(_ object: Object) {
        let spec = object.tree["spec"]
        key = object.key
        let addresses = spec["clusterIPs"].array?.compactMap(\.string) ?? [spec["clusterIP"].string ?? ""]
        clusterIPs = addresses.filter { !$0.isEmpty && $0 != "None" }
        externalName = spec["type"].string == "ExternalName" ? spec["externalName"].string : nil
        ports = spec["ports"].elements.compactMap { port in
            guard let name = port["name"].string, !name.isEmpty, let number = port["port"].int else { return nil }
            return Port(
                name: name.lowercased(), transport: (port["protocol"].string ?? "TCP").lowercased(),
                port: UInt16(clamping: number))
        }
    }
}

/// What DNS reads of an endpoint slice.
struct SliceRecordView: Sendable, Equatable {
    struct Endpoint: Sendable, Equatable {
        var address: String
        /// The pod's hostname when it has one under this service.
        var hostname: String?
        var isReady: Bool
    }
    var key: ObjectKey
    /// Nil when the slice belongs to no service.
    var service: ObjectKey?
    var endpoints: [Endpoint]
    var ports: [ServiceRecordView.Port]

    init(_ object: Object) {
        let tree = object.tree
        key = object.key
        service = object.metadata.labels["kubernetes.io/service-name"].map {
            ObjectKey(namespace: object.namespace, name: $0)
        }
        endpoints = tree["endpoints"].elements.flatMap { endpoint in
            endpoint["addresses"].elements.compactMap(\.string).map { address in
                Endpoint(
                    address: address, hostname: endpoint["hostname"].string,
                    isReady: endpoint["conditions"]["ready"].bool ?? true)
            }
        }
        ports = tree["ports"].elements.compactMap { port in
            guard let name = port["name"].string, !name.isEmpty, let number = port["port"].int else { return nil }
            return ServiceRecordView.Port(
                name: name.lowercased(), transport: (port["protocol"].string ?? "TCP").lowercased(),
                port: UInt16(clamping: number))
        }
    }
}

/// IP text to wire bytes and back to names.
enum AddressText {
    /// 4 or 16 bytes; nil when the text is no address.
    static func bytes(_ text: String) -> [UInt8]? {
        guard let address = IPAddress(text) else { return nil }
        return address.bytes
    }

    /// `10.0.0.5` → `10-0-0-5`, the generated name of an endpoint without hostname.
    static func dashed(_ text: String) -> String {
        String(text.map { $0 == "." || $0 == ":" ? "-" : $0 })
    }
}
