import JSON
import ObjectModel

/// What belongs to which type of service.
enum ServiceShape {
    static func needsAddress(_ spec: JSON) -> Bool { spec["type"].string != "ExternalName" }

    static func needsNodePorts(_ spec: JSON) -> Bool {
        switch spec["type"].string ?? "" {
        case "NodePort": true
        case "LoadBalancer": spec["allocateLoadBalancerNodePorts"].bool != false
        default: false
        }
    }

    static func needsHealthPort(_ spec: JSON) -> Bool {
        spec["type"].string == "LoadBalancer" && spec["externalTrafficPolicy"].string == "Local"
    }

    private static func hasNodePorts(_ spec: JSON) -> Bool {
        ["NodePort", "LoadBalancer"].contains(spec["type"].string ?? "")
    }

    /// An update that leaves out what was allocated keeps it; one that changes the type lets go of what the new type
    /// does not have.
    static func carryOver(_ spec: inout JSON, from old: JSON) {
        if needsAddress(old), needsAddress(spec) {
            if (spec["clusterIP"].string ?? "").isEmpty, spec["clusterIPs"].elements.isEmpty {
                for field in ["clusterIP", "clusterIPs"] where !old[field].isNull { spec[field] = old[field] }
            }
            for field in ["ipFamilies", "ipFamilyPolicy"] where spec[field].isNull && !old[field].isNull {
                spec[field] = old[field]
            }
        } else if needsAddress(old) {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] where spec[field] == old[field] {
                spec.removeMember(field)
            }
        }
        if hasNodePorts(old), hasNodePorts(spec) {
            var known: [String: JSON] = [:]
            for port in old["ports"].elements where (port["nodePort"].int ?? 0) != 0 {
                known["\(port["protocol"].string ?? "")/\(port["port"].int ?? 0)"] = port["nodePort"]
            }
            let taken = Set(spec["ports"].elements.compactMap { $0["nodePort"].int })
            for index in spec["ports"].elements.indices where (spec["ports"][index]["nodePort"].int ?? 0) == 0 {
                let port = spec["ports"][index]
                if let number = known["\(port["protocol"].string ?? "")/\(port["port"].int ?? 0)"],
                    !taken.contains(number.int ?? 0)
                {
                    spec["ports"][index]["nodePort"] = number
                }
            }
        } else if hasNodePorts(old) {
            let before = Set(old["ports"].elements.compactMap { $0["nodePort"].int })
            for index in spec["ports"].elements.indices {
                if let number = spec["ports"][index]["nodePort"].int, before.contains(number) {
                    spec["ports"][index].removeMember("nodePort")
                }
            }
            let external = spec["externalTrafficPolicy"]
            if external == old["externalTrafficPolicy"], spec["externalIPs"].elements.isEmpty {
                spec.removeMember("externalTrafficPolicy")
            }
            if spec["type"].string != "LoadBalancer" { spec.removeMember("allocateLoadBalancerNodePorts") }
        }
        if needsHealthPort(old), needsHealthPort(spec), (spec["healthCheckNodePort"].int ?? 0) == 0 {
            spec["healthCheckNodePort"] = old["healthCheckNodePort"]
        } else if needsHealthPort(old), !needsHealthPort(spec),
            spec["healthCheckNodePort"] == old["healthCheckNodePort"]
        {
            spec.removeMember("healthCheckNodePort")
        }
    }

    /// IP families and their policy: the cluster has IPv4.
    static func families(_ spec: inout JSON) -> [FieldError] {
        guard needsAddress(spec) else {
            for field in ["ipFamilies", "ipFamilyPolicy"] { spec.removeMember(field) }
            return []
        }
        var problems: [FieldError] = []
        let one = spec["clusterIP"].string ?? ""
        let many = spec["clusterIPs"].elements.compactMap(\.string)
        if let first = many.first, one.isEmpty {
            problems.append(.required("spec.clusterIP", "must be set because `clusterIPs` names \(first)"))
        } else if let first = many.first, first != one {
            problems.append(.invalid("spec.clusterIPs", spec["clusterIPs"], "first value must match `clusterIP`"))
        } else if many.isEmpty, !one.isEmpty {
            spec["clusterIPs"] = [.string(one)]
        }
        if many.count > 1 {
            problems.append(
                .invalid(
                    "spec.clusterIPs", spec["clusterIPs"],
                    "may only hold one address: this cluster is not configured for dual-stack services"))
        }
        for (index, family) in spec["ipFamilies"].elements.enumerated() where family.string != "IPv4" {
            problems.append(.invalid("spec.ipFamilies[\(index)]", family, "not configured on this cluster"))
        }
        if spec["ipFamilyPolicy"].string == "RequireDualStack" {
            problems.append(
                .invalid(
                    "spec.ipFamilyPolicy", spec["ipFamilyPolicy"],
                    "this cluster is not configured for dual-stack services"))
        }
        if let ip = IPAddress(one), ip.family == .ipv6 {
            problems.append(.invalid("spec.clusterIPs[0]", .string(one), "IPv6 is not configured on this cluster"))
        }
        if spec["ipFamilyPolicy"].isNull { spec["ipFamilyPolicy"] = "SingleStack" }
        if spec["ipFamilies"].isNull { spec["ipFamilies"] = ["IPv4"] }
        return problems
    }
}
