import JSON

/// Values in error messages that name Go's structures by their Go members, as upstream prints them.
enum GoForm {
    /// A deployment's or daemon set's strategy without details.
    static func strategy(_ strategy: JSON) -> JSON {
        ["Type": strategy["type"].isNull ? "" : strategy["type"], "RollingUpdate": strategy["rollingUpdate"]]
    }

    static func disruptionBudget(_ spec: JSON) -> JSON {
        [
            "MinAvailable": spec["minAvailable"], "Selector": spec["selector"],
            "MaxUnavailable": spec["maxUnavailable"],
            "UnhealthyPodEvictionPolicy": spec["unhealthyPodEvictionPolicy"],
        ]
    }

    /// A port of a service that stands twice: only what makes it the same.
    static func servicePort(_ port: JSON) -> JSON {
        [
            "Name": "", "Protocol": port["protocol"], "AppProtocol": .null, "Port": port["port"], "TargetPort": 0,
            "NodePort": 0,
        ]
    }

    static func taint(_ taint: JSON) -> JSON {
        [
            "Key": taint["key"], "Value": taint["value"].isNull ? "" : taint["value"], "Effect": taint["effect"],
            "TimeAdded": taint["timeAdded"],
        ]
    }
}
