import JSON
import ObjectModel

// Networking, storage, policy and the other cluster-wide kinds.
extension Printers {
    static let networking: [String: Printer] = [
        "ingresses": Printer("Name|Class|Hosts|Address|Ports|Age") { object in
            let hosts = object.spec["rules"].elements.compactMap { $0["host"].string }.filter { !$0.isEmpty }
            let addresses = object.status["loadBalancer"]["ingress"].elements.compactMap {
                $0["ip"].string ?? $0["hostname"].string
            }
            return [
                object.name, object.orNone(object.spec["ingressClassName"]),
                .string(hosts.isEmpty ? "*" : object.first(3, of: hosts)), .string(addresses.joined(separator: ",")),
                object.spec["tls"].elements.isEmpty ? "80" : "80, 443", object.age,
            ]
        },
        "ingressclasses": Printer("Name|Controller|Parameters|Age") { object in
            let parameters = object.spec["parameters"]
            var text = "<none>"
            if !parameters.isNull {
                let group = parameters["apiGroup"].string.map { ".\($0)" } ?? ""
                text = "\(parameters["kind"].string ?? "")\(group)/\(parameters["name"].string ?? "")"
            }
            return [object.name, object.spec["controller"], .string(text), object.age]
        },
        "networkpolicies": Printer("Name|Pod-Selector|Age") {
            [$0.name, $0.selector($0.spec["podSelector"]), $0.age]
        },
        "servicecidrs": Printer("Name|CIDRs|Age") { [$0.name, $0.joined($0.spec["cidrs"].elements), $0.age] },
        "ipaddresses": Printer("Name|ParentRef") { object in
            let parent = object.spec["parentRef"]
            let parts = ["resource", "group", "namespace", "name"].compactMap { parent[$0].string }.filter {
                !$0.isEmpty
            }
            let resource = parts.prefix(parent["group"].string?.isEmpty ?? true ? 1 : 2).joined(separator: ".")
            let rest = parts.dropFirst(parent["group"].string?.isEmpty ?? true ? 1 : 2)
            return [object.name, .string(([resource] + rest).joined(separator: "/"))]
        },
    ]

    private static func accessModes(_ modes: JSON) -> JSON {
        let short = [
            "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP",
        ]
        let given = Set(modes.elements.compactMap(\.string))
        let order = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]
        return .string(order.filter(given.contains).compactMap { short[$0] }.joined(separator: ","))
    }

    static let storageOfCore: [String: Printer] = [
        "persistentvolumes": Printer(
            "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age"
                + "|*VolumeMode"
        ) { object in
            let spec = object.spec, claim = spec["claimRef"]
            let claimText = claim.isNull ? "" : "\(claim["namespace"].string ?? "")/\(claim["name"].string ?? "")"
            return [
                object.name, object.or(spec["capacity"]["storage"], "0"), accessModes(spec["accessModes"]),
                object.or(spec["persistentVolumeReclaimPolicy"], ""),
                object.isTerminating ? "Terminating" : object.or(object.status["phase"], ""), .string(claimText),
                object.or(spec["storageClassName"], ""), object.or(spec["volumeAttributesClassName"], "<unset>"),
                object.or(object.status["reason"], ""), object.age, object.or(spec["volumeMode"], "<unset>"),
            ]
        },
        "persistentvolumeclaims": Printer(
            "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|*VolumeMode"
        ) { object in
            let spec = object.spec
            let isBound = !(spec["volumeName"].string?.isEmpty ?? true)
            return [
                object.name, object.isTerminating ? "Terminating" : object.or(object.status["phase"], ""),
                object.or(spec["volumeName"], ""), isBound ? object.or(object.status["capacity"]["storage"], "0") : "",
                isBound ? accessModes(object.status["accessModes"]) : "", object.or(spec["storageClassName"], ""),
                object.or(spec["volumeAttributesClassName"], "<unset>"), object.age,
                object.or(spec["volumeMode"], "<unset>"),
            ]
        },
    ]

    static let storage: [String: Printer] = [
        "storageclasses": Printer(
            "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion:boolean|Age"
        ) { object in
            let annotations = object.metadata["annotations"]
            let isDefault = [
                "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class",
            ]
            .contains { annotations[$0] == "true" }
            return [
                .string((object.name.string ?? "") + (isDefault ? " (default)" : "")), object.tree["provisioner"],
                object.or(object.tree["reclaimPolicy"], "Delete"),
                object.or(object.tree["volumeBindingMode"], "Immediate"),
                .bool(object.tree["allowVolumeExpansion"].bool ?? false), object.age,
            ]
        },
        "volumeattachments": Printer("Name|Attacher|PV|Node|Attached:boolean|Age") { object in
            [
                object.name, object.spec["attacher"], object.or(object.spec["source"]["persistentVolumeName"], ""),
                object.spec["nodeName"], .bool(object.status["attached"].bool ?? false), object.age,
            ]
        },
        "csinodes": Printer("Name|Drivers:integer|Age") {
            [$0.name, JSON($0.spec["drivers"].elements.count), $0.age]
        },
        "csidrivers": Printer(
            "Name|AttachRequired:boolean|PodInfoOnMount:boolean|StorageCapacity:boolean|TokenRequests"
                + "|RequiresRepublish:boolean|Modes|Age"
        ) { object in
            let spec = object.spec
            let modes = spec["volumeLifecycleModes"].elements
            let audiences = spec["tokenRequests"].elements.map { $0["audience"] }
            return [
                object.name, .bool(spec["attachRequired"].bool ?? true), .bool(spec["podInfoOnMount"].bool ?? false),
                .bool(spec["storageCapacity"].bool ?? false),
                audiences.isEmpty ? "<unset>" : object.joined(audiences),
                .bool(spec["requiresRepublish"].bool ?? false), modes.isEmpty ? "<none>" : object.joined(modes),
                object.age,
            ]
        },
        "csistoragecapacities": Printer("Name|StorageClassName|Capacity") {
            [$0.name, $0.tree["storageClassName"], $0.or($0.tree["capacity"], "<unset>")]
        },
        "volumeattributesclasses": Printer("Name|DriverName|Age") { [$0.name, $0.tree["driverName"], $0.age] },
    ]

    // MARK: Access

    static let rbac: [String: Printer] = [
        "roles": generic, "clusterroles": generic, "rolebindings": binding, "clusterrolebindings": binding,
    ]

    private static let binding = Printer("Name|Role|Age|*Users|*Groups|*ServiceAccounts") { object in
        func subjects(_ kind: String, _ text: (JSON) -> String) -> JSON {
            let found = object.tree["subjects"].elements.filter { $0["kind"].string == kind }
            return .string(found.map(text).joined(separator: ", "))
        }
        let role = object.tree["roleRef"]
        func name(_ subject: JSON) -> String { subject["name"].string ?? "" }
        return [
            object.name, .string("\(role["kind"].string ?? "")/\(role["name"].string ?? "")"), object.age,
            subjects("User", name), subjects("Group", name),
            subjects("ServiceAccount") { "\($0["namespace"].string ?? "")/\(name($0))" },
        ]
    }

    static let signingRequest = Printer("Name|Age|SignerName|Requestor|RequestedDuration|Condition") { object in
        let types = object.status["conditions"].elements.compactMap { $0["type"].string }
        var states: [String] = []
        if types.contains("Denied") {
            states.append("Denied")
        } else if types.contains("Approved") {
            states.append("Approved")
        } else {
            states.append("Pending")
        }
        if types.contains("Failed") { states.append("Failed") }
        if !(object.status["certificate"].string?.isEmpty ?? true) { states.append("Issued") }
        let duration = object.spec["expirationSeconds"].int.map {
            humanDuration(microseconds: Int64($0) * 1_000_000)
        }
        return [
            object.name, object.age, object.orNone(object.spec["signerName"]), object.or(object.spec["username"], ""),
            .string(duration ?? "<none>"), .string(states.joined(separator: ",")),
        ]
    }

    static let admission: [String: Printer] = [
        "mutatingwebhookconfigurations": webhooks, "validatingwebhookconfigurations": webhooks,
        "validatingadmissionpolicies": Printer("Name|Validations:integer|ParamKind|Age") { object in
            [
                object.name, JSON(object.spec["validations"].elements.count), paramKind(object.spec["paramKind"]),
                object.age,
            ]
        },
        "mutatingadmissionpolicies": Printer("Name|Mutations:integer|ParamKind|Age") { object in
            [
                object.name, JSON(object.spec["mutations"].elements.count), paramKind(object.spec["paramKind"]),
                object.age,
            ]
        },
        "validatingadmissionpolicybindings": policyBinding, "mutatingadmissionpolicybindings": policyBinding,
    ]
    private static let webhooks = Printer("Name|Webhooks:integer|Age") {
        [$0.name, JSON($0.tree["webhooks"].elements.count), $0.age]
    }
    private static let policyBinding = Printer("Name|PolicyName|ParamRef|Age") { object in
        let parameter = object.spec["paramRef"]
        var text = "<unset>"
        if !parameter.isNull {
            text = parameter["namespace"].string.map { "\($0)/" } ?? ""
            text += parameter["name"].string ?? object.selector(parameter["selector"]).string ?? "*"
        }
        return [object.name, object.spec["policyName"], .string(text), object.age]
    }
    private static func paramKind(_ kind: JSON) -> JSON {
        kind.isNull ? "<unset>" : .string("\(kind["apiVersion"].string ?? "")/\(kind["kind"].string ?? "")")
    }

    // MARK: The rest

    static let apiService = Printer("Name|Service|Available|Age") { object in
        let service = object.spec["service"]
        let place = service.isNull ? "Local" : "\(service["namespace"].string ?? "")/\(service["name"].string ?? "")"
        let condition = object.condition("Available")
        var available = condition["status"].string ?? "Unknown"
        if available != "True", let reason = condition["reason"].string { available += " (\(reason))" }
        return [object.name, .string(place), .string(available), object.age]
    }
    static let lease = Printer("Name|Holder|Age") { [$0.name, $0.or($0.spec["holderIdentity"], ""), $0.age] }
    static let runtimeClass = Printer("Name|Handler|Age") { [$0.name, $0.tree["handler"], $0.age] }
    static let priorityClass = Printer("Name|Value:integer|Global-Default:boolean|Age|PreemptionPolicy") { object in
        [
            object.name, object.count(object.tree["value"]), .bool(object.tree["globalDefault"].bool ?? false),
            object.age,
            object.or(object.tree["preemptionPolicy"], "PreemptLowerPriority"),
        ]
    }

    static let flowControl: [String: Printer] = [
        "flowschemas": Printer("Name|PriorityLevel|MatchingPrecedence:integer|DistinguisherMethod|Age|MissingPL") {
            object in
            let dangling = object.condition("Dangling")["status"].string
            return [
                object.name, object.spec["priorityLevelConfiguration"]["name"],
                object.count(object.spec["matchingPrecedence"]),
                object.orNone(object.spec["distinguisherMethod"]["type"]), object.age, .string(dangling ?? "?"),
            ]
        },
        "prioritylevelconfigurations": Printer(
            "Name|Type|NominalConcurrencyShares|Queues|HandSize|QueueLengthLimit|Age"
        ) { object in
            let limited = object.spec["limited"], queuing = limited["limitResponse"]["queuing"]
            return [
                object.name, object.spec["type"], object.orNone(limited["nominalConcurrencyShares"]),
                object.orNone(queuing["queues"]), object.orNone(queuing["handSize"]),
                object.orNone(queuing["queueLengthLimit"]), object.age,
            ]
        },
    ]

    static let devices: [String: Printer] = [
        "deviceclasses": nameAndAge, "resourceclaimtemplates": nameAndAge,
        "resourceclaims": Printer("Name|State|Age") { object in
            var states: [String] = []
            if object.isTerminating { states.append("deleted") }
            if object.status["allocation"].isNull {
                states.append("pending")
            } else {
                states.append("allocated")
                if !object.status["reservedFor"].elements.isEmpty { states.append("reserved") }
            }
            return [object.name, .string(states.joined(separator: ",")), object.age]
        },
        "resourceslices": Printer("Name|Node|Driver|Pool|Age") { object in
            let node = object.spec["nodeName"].string ?? (object.spec["allNodes"].bool == true ? "<all>" : "<unset>")
            return [
                object.name, .string(node), object.spec["driver"], object.spec["pool"]["name"], object.age,
            ]
        },
    ]
}
