import JSON

/// The status that a simulated node gives a pod, made of nothing but its specification.
enum SimulatedPod {
    /// Everything runs and is ready.
    static func running(_ pod: JSON, node: SimulatedNode, address: String, now: String) -> JSON {
        let ip = pod["spec"]["hostNetwork"].bool == true ? node.address : address
        var status: JSON = [
            "phase": "Running", "hostIP": .string(node.address), "hostIPs": [["ip": .string(node.address)]],
            "podIP": .string(ip), "podIPs": [["ip": .string(ip)]], "startTime": .string(now),
            "conditions": conditions(pod, isReady: true, now: now),
            "containerStatuses": .array(
                pod["spec"]["containers"].elements.map {
                    container($0, pod, isReady: true, ["running": ["startedAt": .string(now)]])
                }),
        ]
        let initial = pod["spec"]["initContainers"].elements
        if !initial.isEmpty {
            status["initContainerStatuses"] = .array(
                initial.map { definition in
                    let goesOn = definition["restartPolicy"].string == "Always"
                    let state: JSON =
                        goesOn
                        ? ["running": ["startedAt": .string(now)]]
                        : ["terminated": ended(code: 0, "Completed", started: now, now: now)]
                    return container(definition, pod, isReady: true, state)
                })
        }
        return ["status": status]
    }

    /// Everything ended: by itself with success, or because it was told to.
    static func ended(_ pod: JSON, isKilled: Bool, now: String) -> JSON {
        let started = pod["status"]["startTime"].string ?? now
        let state = ended(
            code: isKilled ? 143 : 0, isKilled ? "Error" : "Completed", started: started, now: now)
        return [
            "status": [
                "phase": isKilled ? "Failed" : "Succeeded", "conditions": conditions(pod, isReady: false, now: now),
                "containerStatuses": .array(
                    pod["spec"]["containers"].elements.map {
                        container($0, pod, isReady: false, ["terminated": state])
                    }),
            ]
        ]
    }

    /// It ran and ended with success before its first status was written.
    static func cameAndWent(_ pod: JSON, node: SimulatedNode, address: String, now: String) -> JSON {
        var all = running(pod, node: node, address: address, now: now)
        for (name, value) in ended(pod, isKilled: false, now: now)["status"].members { all["status"][name] = value }
        return all
    }

    private static func ended(code: Int, _ reason: String, started: String, now: String) -> JSON {
        [
            "exitCode": JSON(code), "reason": .string(reason), "startedAt": .string(started),
            "finishedAt": .string(now),
        ]
    }

    private static func container(_ definition: JSON, _ pod: JSON, isReady: Bool, _ state: JSON) -> JSON {
        let name = definition["name"].string ?? ""
        return [
            "name": .string(name), "image": definition["image"], "imageID": "", "ready": .bool(isReady),
            "started": .bool(isReady), "restartCount": 0, "state": state,
            "containerID": .string("simulated://\(pod["metadata"]["uid"].string ?? "")/\(name)"),
        ]
    }

    /// A merge patch replaces the list: what others wrote stays.
    private static func conditions(_ pod: JSON, isReady: Bool, now: String) -> JSON {
        let own = ["PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"]
        let others = pod["status"]["conditions"].elements.filter { !own.contains($0["type"].string ?? "") }
        let mine: [JSON] = own.map { type in
            let isTrue = isReady || type == "Initialized"
            return [
                "type": .string(type), "status": isTrue ? "True" : "False", "lastTransitionTime": .string(now),
            ]
        }
        return .array(others + mine)
    }
}
