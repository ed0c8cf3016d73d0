import JSON

extension ComputedDefaults {
    static let serviceSpec: ComputedDefault = { members in
        // The affinity's parameters exist only with it.
        if members["sessionAffinity"]?.string == "ClientIP" {
            if members["sessionAffinityConfig"]?["clientIP"]["timeoutSeconds"].isNull ?? true {
                members["sessionAffinityConfig", default: [:]]["clientIP"]["timeoutSeconds"] = 10_800
            }
        } else if members["sessionAffinity"]?.string ?? "None" == "None" {
            members.removeValue(forKey: "sessionAffinityConfig")
        }
        let type = members["type"]?.string ?? "ClusterIP"
        if type != "ExternalName" { members.fill("internalTrafficPolicy", "Cluster") }
        let hasExternalIPs = type == "ClusterIP" && !(members["externalIPs"]?.elements.isEmpty ?? true)
        if type == "NodePort" || type == "LoadBalancer" || hasExternalIPs {
            members.fillEmpty("externalTrafficPolicy", "Cluster")
        }
        if type == "LoadBalancer" { members.fill("allocateLoadBalancerNodePorts", true) }
    }

    static let servicePort: ComputedDefault = { members in
        switch members["targetPort"] {
        case nil, .integer(0)?, .string("")?:
            if let port = members["port"] { members["targetPort"] = port }
        default: break
        }
    }

    /// Addresses of a load balancer are of the kind that traffic is sent to.
    static let service: ComputedDefault = { members in
        guard members["spec"]?["type"].string == "LoadBalancer" else { return }
        let ingress = members["status"]?["loadBalancer"]["ingress"].elements ?? []
        for (index, entry) in ingress.enumerated() where !entry["ip"].isNull && entry["ipMode"].isNull {
            members["status", default: [:]]["loadBalancer"]["ingress"][index]["ipMode"] = "VIP"
        }
    }
}
