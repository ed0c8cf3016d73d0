import JSON
import ObjectModel

extension Printers {
    static let core: [String: Printer] = [
        "pods": pod,
        "nodes": node,
        "services": service,
        "endpoints": endpoints,
        "events": event,
        "serviceaccounts": nameAndAge,
        "namespaces": Printer("Name|Status|Age") { [$0.name, $0.orNone($0.status["phase"]), $0.age] },
        "secrets": Printer("Name|Type|Data:integer|Age") { object in
            [object.name, object.tree["type"], JSON(object.tree["data"].members.count), object.age]
        },
        "configmaps": Printer("Name|Data:integer|Age") { object in
            let count = object.tree["data"].members.count + object.tree["binaryData"].members.count
            return [object.name, JSON(count), object.age]
        },
        "replicationcontrollers": replicaSet,
        "podtemplates": Printer("Name|Containers|Images|Pod Labels") { object in
            let template = object.tree["template"]
            return [
                object.name, object.containers(template["spec"]), object.images(template["spec"]),
                object.labels(template["metadata"]["labels"]),
            ]
        },
        "resourcequotas": resourceQuota,
        "componentstatuses": Printer("Name|Status|Message|Error") { object in
            let condition = object.tree["conditions"].elements.first { $0["type"] == "Healthy" } ?? .null
            let status = condition["status"].string == "True" ? "Healthy" : "Unhealthy"
            return [
                object.name, .string(status), object.or(condition["message"], ""), object.or(condition["error"], ""),
            ]
        },
    ]

    private static let node = Printer(
        "Name|Status|Roles|Age|Version|*Internal-IP|*External-IP|*OS-Image|*Kernel-Version|*Container-Runtime"
    ) { object in
        var state = "Unknown"
        switch object.condition("Ready")["status"].string {
        case "True": state = "Ready"
        case "False", "Unknown": state = "NotReady"
        default: break
        }
        if object.spec["unschedulable"].bool == true { state += ",SchedulingDisabled" }
        var roles: Set<String> = []
        let prefix = "node-role.kubernetes.io/"
        for (label, value) in object.metadata["labels"].stringMap {
            if label.hasPrefix(prefix), label.utf8.count > prefix.utf8.count {
                roles.insert(String(label.dropFirst(prefix.count)))
            } else if label == "kubernetes.io/role", !value.isEmpty {
                roles.insert(value)
            }
        }
        func address(_ type: String) -> JSON {
            object.orNone(object.status["addresses"].elements.first { $0["type"].string == type }?["address"] ?? .null)
        }
        let info = object.status["nodeInfo"]
        var kernel = info["kernelVersion"].string ?? ""
        if kernel.isEmpty {
            kernel = "<unknown>"
        } else if let architecture = info["architecture"].string, !architecture.isEmpty {
            kernel += " (\(architecture))"
        }
        return [
            object.name, .string(state), .string(roles.isEmpty ? "<none>" : roles.sorted().joined(separator: ",")),
            object.age, info["kubeletVersion"].isNull ? "" : info["kubeletVersion"], address("InternalIP"),
            address("ExternalIP"), object.or(info["osImage"], "<unknown>"), .string(kernel),
            object.or(info["containerRuntimeVersion"], "<unknown>"),
        ]
    }

    private static let service = Printer("Name|Type|Cluster-IP|External-IP|Port(s)|Age|*Selector") { object in
        let spec = object.spec
        let type = spec["type"].string ?? "ClusterIP"
        let given = spec["externalIPs"].elements.compactMap(\.string)
        let external: String
        switch type {
        case "LoadBalancer":
            let ingress = object.status["loadBalancer"]["ingress"].elements.compactMap {
                $0["ip"].string ?? $0["hostname"].string
            }
            let all = ingress + given
            external = all.isEmpty ? "<pending>" : all.joined(separator: ",")
        case "ExternalName": external = spec["externalName"].string ?? ""
        default: external = given.isEmpty ? "<none>" : given.joined(separator: ",")
        }
        let ports = spec["ports"].elements.map { port in
            let nodePort = port["nodePort"].int ?? 0
            let middle = nodePort > 0 ? ":\(nodePort)" : ""
            return "\(port["port"].int ?? 0)\(middle)/\(port["protocol"].string ?? "TCP")"
        }
        return [
            object.name, .string(type),
            object.orNone(spec["clusterIPs"][0].isNull ? spec["clusterIP"] : spec["clusterIPs"][0]),
            .string(external), .string(ports.isEmpty ? "<none>" : ports.joined(separator: ",")), object.age,
            object.labels(spec["selector"]),
        ]
    }

    private static let endpoints = Printer("Name|Endpoints|Age") { object in
        var texts: [String] = []
        for subset in object.tree["subsets"].elements {
            let addresses = subset["addresses"].elements.compactMap { $0["ip"].string }
            let ports = subset["ports"].elements
            if ports.isEmpty { texts += addresses }
            for port in ports { texts += addresses.map { hostAndPort($0, port["port"].int ?? 0) } }
        }
        return [object.name, .string(texts.isEmpty ? "<none>" : object.first(3, of: texts)), object.age]
    }

    private static func hostAndPort(_ host: String, _ port: Int) -> String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    static let endpointSlice = Printer("Name|AddressType|Ports|Endpoints|Age") { object in
        let ports = object.tree["ports"].elements.map { $0["port"].int.map(String.init) ?? "*" }
        let addresses = object.tree["endpoints"].elements.flatMap { $0["addresses"].elements.compactMap(\.string) }
        return [
            object.name, object.tree["addressType"], .string(ports.isEmpty ? "<unset>" : object.first(3, of: ports)),
            .string(addresses.isEmpty ? "<unset>" : object.first(3, of: addresses)), object.age,
        ]
    }

    // MARK: Events

    private static let eventColumns =
        "Last Seen|Type|Reason|Object|*Subobject|*Source|Message|*First Seen|*Count:integer|*Name"

    private static let event = Printer(eventColumns) { object in
        let tree = object.tree
        return eventCells(
            object, about: tree["involvedObject"], first: tree["firstTimestamp"], last: tree["lastTimestamp"],
            count: tree["count"], source: tree["source"], controller: tree["reportingComponent"],
            message: tree["message"])
    }

    static let newEvent = Printer(eventColumns) { object in
        let tree = object.tree
        return eventCells(
            object, about: tree["regarding"], first: tree["deprecatedFirstTimestamp"],
            last: tree["deprecatedLastTimestamp"], count: tree["deprecatedCount"], source: tree["deprecatedSource"],
            controller: tree["reportingController"], message: tree["note"])
    }

    private static func eventCells(
        _ object: PrintedObject, about: JSON, first: JSON, last: JSON, count: JSON, source: JSON, controller: JSON,
        message: JSON
    ) -> [JSON] {
        let series = object.tree["series"]
        let firstSeen = object.since(first.isNull ? object.tree["eventTime"] : first)
        var lastSeen = last.isNull ? firstSeen : object.since(last)
        var times = max(count.int ?? 0, 1)
        if !series.isNull {
            lastSeen = object.since(series["lastObservedTime"])
            times = series["count"].int ?? times
        }
        let kind = (about["kind"].string ?? "").lowercased()
        let target = about["name"].string.map { $0.isEmpty ? kind : "\(kind)/\($0)" } ?? kind
        var origin = source["component"].string ?? ""
        if origin.isEmpty { origin = controller.string ?? "" }
        if let host = source["host"].string, !host.isEmpty { origin += ", \(host)" }
        return [
            lastSeen, object.or(object.tree["type"], ""), object.or(object.tree["reason"], ""), .string(target),
            object.or(about["fieldPath"], ""), .string(origin),
            .string(trimmed(message.string ?? "")), firstSeen, JSON(times), object.name,
        ]
    }

    private static func trimmed(_ text: String) -> String {
        var end = text[...]
        while let last = end.last, last.isWhitespace { end = end.dropLast() }
        return String(end.drop(while: \.isWhitespace))
    }

    // MARK: Quota

    private static let resourceQuota = Printer("Name|Request|Limit|Age") { object in
        let hard = object.status["hard"].stringMap, used = object.status["used"].stringMap
        func text(_ wanted: (String) -> Bool) -> JSON {
            .string(
                hard.keys.filter(wanted).sorted().map { "\($0): \(used[$0] ?? "0")/\(hard[$0] ?? "0")" }
                    .joined(separator: ", "))
        }
        return [
            object.name, text { !$0.hasPrefix("limits") }, text { $0.hasPrefix("limits") }, object.age,
        ]
    }
}
