import JSON
import ObjectModel

/// Services, endpoints and endpoint slices.
enum ServiceValidation {
    private static let badIP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"

    static func service(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        let type = spec["type"].string ?? ""
        let isHeadless = spec["clusterIP"].string == "None"
        problems.choice(
            "spec.type", spec["type"], ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], isNeeded: true)
        if spec["ports"].elements.isEmpty, !isHeadless, type != "ExternalName" { problems.add(.required("spec.ports")) }
        if isHeadless, type == "NodePort" || type == "LoadBalancer" {
            problems.add(
                .invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for \(type) services"))
        }
        if type == "ExternalName" {
            let name = spec["externalName"].string ?? ""
            if !(spec["clusterIP"].string ?? "").isEmpty {
                problems.add(.forbidden("spec.clusterIPs", "may not be set for ExternalName services"))
            }
            if name.isEmpty {
                problems.add(.required("spec.externalName"))
            } else {
                let host = name.hasSuffix(".") ? String(name.dropLast()) : name
                problems.syntax("spec.externalName", host, Names.dns1123SubdomainProblems(host))
            }
        }
        for (key, value) in spec["selector"].members {
            problems.syntax("spec.selector", key, Names.qualifiedNameProblems(key))
            if let text = value.string { problems.syntax("spec.selector", text, Names.labelValueProblems(text)) }
        }
        ports(spec["ports"], type, &problems)
        problems.choice("spec.sessionAffinity", spec["sessionAffinity"], ["ClientIP", "None"])
        if spec["sessionAffinity"].string == "ClientIP",
            let seconds = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].int,
            !(1...86400).contains(seconds)
        {
            problems.add(
                .invalid(
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds", JSON(seconds),
                    "must be greater than 0 and less than 86400"))
        }
        for (index, address) in spec["externalIPs"].elements.enumerated() {
            guard let ip = IPAddress(address.string ?? "") else {
                problems.add(.invalid("spec.externalIPs[\(index)]", address, badIP))
                continue
            }
            if ip.isLoopback || ip.isUnspecified || ip.isLinkLocal || ip.isMulticast {
                problems.add(
                    .invalid(
                        "spec.externalIPs[\(index)]", address,
                        "may not be a loopback, link-local, multicast or unspecified address"))
            }
        }
        balancing(spec, isBalanced: type == "LoadBalancer", &problems)
        problems.choice(
            "spec.ipFamilyPolicy", spec["ipFamilyPolicy"], ["PreferDualStack", "RequireDualStack", "SingleStack"])
        problems.choice(
            "spec.trafficDistribution", spec["trafficDistribution"],
            ["PreferClose", "PreferSameZone", "PreferSameNode"],
            isSorted: false)
        problems.choice("spec.internalTrafficPolicy", spec["internalTrafficPolicy"], ["Cluster", "Local"])
        let external = spec["externalTrafficPolicy"]
        problems.choice("spec.externalTrafficPolicy", external, ["Cluster", "Local"])
        if !external.isNull, type == "ExternalName" || (type == "ClusterIP" && spec["externalIPs"].elements.isEmpty) {
            problems.add(
                .invalid("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services"))
        }
        return problems.list
    }

    /// What only services with a load balancer have.
    private static func balancing(_ spec: JSON, isBalanced: Bool, _ problems: inout Problems) {
        let ranges = spec["loadBalancerSourceRanges"].elements
        if !ranges.isEmpty, !isBalanced {
            problems.add(
                .forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'"))
        }
        for (index, range) in ranges.enumerated() {
            let field = "spec.LoadBalancerSourceRanges[\(index)]"
            guard let parsed = CIDR(range.string ?? "") else {
                problems.add(
                    .invalid(field, range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"))
                continue
            }
            if "\(parsed)" != range.string {
                problems.add(.invalid(field, range, "must not have bits set beyond the prefix length"))
            }
        }
        if let name = spec["loadBalancerClass"].string {
            if isBalanced {
                problems.syntax("spec.loadBalancerClass", name, Names.qualifiedNameProblems(name))
            } else {
                problems.add(.forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"))
            }
        }
        if let port = spec["healthCheckNodePort"].int, port != 0,
            !isBalanced || spec["externalTrafficPolicy"].string != "Local"
        {
            problems.add(
                .invalid(
                    "spec.healthCheckNodePort", JSON(port),
                    "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
        }
    }

    private static func ports(_ ports: JSON, _ type: String, _ problems: inout Problems) {
        var names: Set<String> = []
        var taken: Set<String> = []
        var nodePorts: Set<String> = []
        let isSingle = ports.elements.count == 1
        for (index, port) in ports.elements.enumerated() {
            let field = "spec.ports[\(index)]"
            let name = port["name"].string ?? ""
            if name.isEmpty {
                if !isSingle { problems.add(.required("\(field).name")) }
            } else {
                problems.syntax("\(field).name", name, Names.dns1123LabelProblems(name))
                if !names.insert(name).inserted { problems.add(.duplicate("\(field).name", .string(name))) }
            }
            for complaint in Names.portNumberProblems(port["port"].int ?? 0) {
                problems.add(.invalid("\(field).port", port["port"].isNull ? 0 : port["port"], complaint))
            }
            problems.choice("\(field).protocol", port["protocol"], ["SCTP", "TCP", "UDP"], isNeeded: true)
            if type != "ExternalName" || !port["targetPort"].isNull {
                problems.portOrName("\(field).targetPort", port["targetPort"])
            }
            if let name = port["appProtocol"].string {
                problems.syntax("\(field).appProtocol", name, Names.qualifiedNameProblems(name))
            }
            let key = "\(port["protocol"].string ?? "")/\(port["port"].int ?? 0)"
            if !taken.insert(key).inserted {
                problems.add(.duplicate(field, GoForm.servicePort(port)))
            }
            guard let nodePort = port["nodePort"].int, nodePort != 0 else { continue }
            if type == "ClusterIP" || type == "ExternalName" {
                problems.add(.forbidden("\(field).nodePort", "may not be used when `type` is '\(type)'"))
            }
            if !nodePorts.insert("\(port["protocol"].string ?? "")/\(nodePort)").inserted {
                problems.add(.duplicate("\(field).nodePort", port["nodePort"]))
            }
        }
    }

    static func serviceUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        let before = old["spec"]
        let after = new["spec"]
        guard before["type"].string != "ExternalName", after["type"].string != "ExternalName" else { return [] }
        var problems: [FieldError] = []
        let oldIPs = before["clusterIPs"].elements
        let newIPs = after["clusterIPs"].elements
        if let first = oldIPs.first, newIPs.first != first {
            problems.append(.invalid("spec.clusterIPs[0]", newIPs.first ?? .array([]), "may not change once set"))
        }
        if let family = before["ipFamilies"].elements.first, let now = after["ipFamilies"].elements.first, family != now
        {
            problems.append(.invalid("spec.ipFamilies[0]", now, "may not change once set"))
        }
        return problems
    }

    static func endpoints(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        for (index, subset) in tree["subsets"].elements.enumerated() {
            let path = "subsets[\(index)]"
            if subset["addresses"].elements.isEmpty, subset["notReadyAddresses"].elements.isEmpty {
                problems.add(.required(path, "must specify `addresses` or `notReadyAddresses`"))
            }
            for list in ["addresses", "notReadyAddresses"] {
                for (place, address) in subset[list].elements.enumerated() {
                    endpointAddress(address["ip"], "\(path).\(list)[\(place)].ip", &problems)
                }
            }
            let isSingle = subset["ports"].elements.count == 1
            for (place, port) in subset["ports"].elements.enumerated() {
                let field = "\(path).ports[\(place)]"
                let name = port["name"].string ?? ""
                if name.isEmpty {
                    if !isSingle { problems.add(.required("\(field).name")) }
                } else {
                    problems.syntax("\(field).name", name, Names.dns1123LabelProblems(name))
                }
                for complaint in Names.portNumberProblems(port["port"].int ?? 0) {
                    problems.add(.invalid("\(field).port", port["port"].isNull ? 0 : port["port"], complaint))
                }
                problems.choice("\(field).protocol", port["protocol"], ["SCTP", "TCP", "UDP"])
            }
        }
        return problems.list
    }

    private static func endpointAddress(_ value: JSON, _ field: String, _ problems: inout Problems) {
        guard let ip = IPAddress(value.string ?? "") else {
            problems.add(.invalid(field, value.isNull ? "" : value, badIP))
            return
        }
        if ip.isLoopback {
            problems.add(.invalid(field, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
        }
        if ip.isUnspecified { problems.add(.invalid(field, value, "may not be unspecified (\(ip))")) }
        if ip.isMulticast { problems.add(.invalid(field, value, "may not be in the link-local multicast range")) }
    }

    static func endpointSlice(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let type = tree["addressType"].string ?? ""
        problems.choice("addressType", tree["addressType"], ["FQDN", "IPv4", "IPv6"], isNeeded: true)
        slicePorts(tree["ports"], &problems)
        let endpoints = tree["endpoints"].elements
        if endpoints.count > 1000 { problems.add(.tooMany("endpoints", count: endpoints.count, maximum: 1000)) }
        for (index, endpoint) in endpoints.enumerated() {
            let addresses = endpoint["addresses"].elements
            let field = "endpoints[\(index)].addresses"
            if addresses.isEmpty { problems.add(.required(field, "must contain at least 1 address")) }
            if addresses.count > 100 { problems.add(.tooMany(field, count: addresses.count, maximum: 100)) }
            for (place, address) in addresses.enumerated() {
                switch type {
                case "IPv4", "IPv6":
                    let ip = IPAddress(address.string ?? "")
                    if let ip, ip.family.rawValue != type {
                        problems.add(.invalid("\(field)[\(place)]", address, "must be an \(type) address"))
                    }
                    // Loopback is allowed: a server at 127.0.0.1 announces itself there.
                    if ip == nil { problems.add(.invalid("\(field)[\(place)]", address, badIP)) }
                case "": break
                default:
                    problems.syntax(
                        "\(field)[\(place)]", address.string ?? "", Names.dns1123SubdomainProblems(address.string ?? "")
                    )
                }
            }
        }
        return problems.list
    }

    private static func slicePorts(_ ports: JSON, _ problems: inout Problems) {
        var names: Set<String> = []
        for (index, port) in ports.elements.enumerated() {
            let name = port["name"].string ?? ""
            if !name.isEmpty { problems.syntax("ports[\(index)].name", name, Names.dns1123LabelProblems(name)) }
            if !names.insert(name).inserted { problems.add(.duplicate("ports[\(index)].name", .string(name))) }
            problems.choice("ports[\(index)].protocol", port["protocol"], ["SCTP", "TCP", "UDP"], isNeeded: true)
        }
    }
}
