import JSON
import ObjectModel

/// `endpoints[]` of a slice, with only the members the controllers write, so that comparing two is comparing meaning.
struct SliceEndpoint: Sendable, Hashable {
    var addresses: [String]
    var isReady: Bool
    var isServing: Bool?
    var isTerminating: Bool?
    var hostname: String?
    var nodeName: String?
    var zone: String?
    var target: EndpointTarget?
    var hintZones: [String] = []
    var hintNodes: [String] = []

    /// The same endpoint in two versions of a slice.
    var identity: String { target.map(\.uid) ?? addresses.first ?? "" }

    init(addresses: [String], isReady: Bool) {
        self.addresses = addresses
        self.isReady = isReady
    }

    init(_ json: JSON) {
        addresses = json["addresses"].elements.compactMap(\.string)
        let conditions = json["conditions"]
        isReady = conditions["ready"].bool ?? true
        isServing = conditions["serving"].bool
        isTerminating = conditions["terminating"].bool
        hostname = json["hostname"].string
        nodeName = json["nodeName"].string
        zone = json["zone"].string
        target = json["targetRef"].isNull ? nil : EndpointTarget(json["targetRef"])
        hintZones = json["hints"]["forZones"].elements.compactMap { $0["name"].string }
        hintNodes = json["hints"]["forNodes"].elements.compactMap { $0["name"].string }
    }

    var json: JSON {
        var conditions: JSON = ["ready": .bool(isReady)]
        if let isServing { conditions["serving"] = .bool(isServing) }
        if let isTerminating { conditions["terminating"] = .bool(isTerminating) }
        var json: JSON = ["addresses": JSON(addresses), "conditions": conditions]
        if let hostname { json["hostname"] = .string(hostname) }
        if let target { json["targetRef"] = target.json }
        if let nodeName { json["nodeName"] = .string(nodeName) }
        if let zone { json["zone"] = .string(zone) }
        var hints = JSON.null
        if !hintZones.isEmpty { hints["forZones"] = .array(hintZones.map { ["name": .string($0)] }) }
        if !hintNodes.isEmpty { hints["forNodes"] = .array(hintNodes.map { ["name": .string($0)] }) }
        if !hints.isNull { json["hints"] = hints }
        return json
    }
}

/// The object behind an address.
struct EndpointTarget: Sendable, Hashable {
    var kind: String
    var namespace: String
    var name: String
    var uid: String

    init(_ pod: PodView) {
        kind = "Pod"
        namespace = pod.namespace
        name = pod.name
        uid = pod.uid
    }
    init(_ json: JSON) {
        kind = json["kind"].string ?? ""
        namespace = json["namespace"].string ?? ""
        name = json["name"].string ?? ""
        uid = json["uid"].string ?? ""
    }
    var json: JSON {
        var json: JSON = ["kind": .string(kind)]
        if !namespace.isEmpty { json["namespace"] = .string(namespace) }
        json["name"] = .string(name)
        if !uid.isEmpty { json["uid"] = .string(uid) }
        return json
    }
}

/// `ports[]` of a slice or of a subset.
struct SlicePort: Sendable, Hashable, Comparable {
    var name: String
    var protocolName: String
    var number: Int
    var appProtocol: String?

    init(name: String, protocolName: String, number: Int, appProtocol: String? = nil) {
        self.name = name
        self.protocolName = protocolName
        self.number = number
        self.appProtocol = appProtocol
    }
    init(_ json: JSON) {
        name = json["name"].string ?? ""
        protocolName = json["protocol"].string ?? "TCP"
        number = json["port"].int ?? 0
        appProtocol = json["appProtocol"].string
    }
    /// - Parameter keepsEmptyName: slices write `""`, the old Endpoints leave it out.
    func json(keepsEmptyName: Bool) -> JSON {
        var json: JSON = .object([:])
        if keepsEmptyName || !name.isEmpty { json["name"] = .string(name) }
        json["port"] = JSON(number)
        json["protocol"] = .string(protocolName)
        if let appProtocol { json["appProtocol"] = .string(appProtocol) }
        return json
    }

    static func < (left: SlicePort, right: SlicePort) -> Bool {
        (left.name, left.protocolName, left.number, left.appProtocol ?? "")
            < (right.name, right.protocolName, right.number, right.appProtocol ?? "")
    }
}

/// What slices of a service are kept apart by.
struct SliceGroup: Sendable, Hashable {
    /// `IPv4`, `IPv6` or `FQDN`.
    var addressType: String
    /// Sorted.
    var ports: [SlicePort]
}
