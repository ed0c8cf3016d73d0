import JSON
import ObjectModel

/// Tasks as the API answers them.
enum TaskJSON {
    /// Where a task is reached by itself: the address of the pod.
    static func addresses(_ instance: Instance) -> JSON {
        let address = instance.podIP
        guard !address.isEmpty, instance.isBound else { return [] }
        return [["ipAddress": .string(address), "protocol": address.contains(":") ? "IPv6" : "IPv4"]]
    }

    static func task(_ task: Instance.Task, of instance: Instance, _ spec: RunSpec?, _ state: MarathonState) -> JSON {
        var json: JSON = [
            "ipAddresses": addresses(instance), "stagedAt": .string(instance.stagedAt.milliText),
            "state": .string(task.state), "ports": .array(instance.ports.map { JSON($0) }),
            "version": .string(instance.version), "id": .string(task.id), "appId": .string(instance.spec.text),
            "slaveId": .string(state.agentID(of: instance)), "host": .string(state.host(of: instance)),
            "role": .string(instance.role),
            "servicePorts": .array((spec?.servicePorts ?? []).map { JSON($0) }),
            "localVolumes": .array(instance.localVolumes),
        ]
        if let started = task.startedAt { json["startedAt"] = .string(started.milliText) }
        let node = state.nodes[ObjectKey(name: instance.node)]
        json.setMember("region", node?.region.map(JSON.string))
        json.setMember("zone", node?.zone.map(JSON.string))
        if let spec {
            let results = instance.healthResults(spec)
            if !results.isEmpty { json["healthCheckResults"] = .array(results) }
        }
        return json
    }

    /// The last failure among instances that ended, as apps embed it.
    static func lastFailure(_ instances: [Instance], _ state: MarathonState) -> JSON? {
        var found: (at: Timestamp, instance: Instance, task: Instance.Task)?
        for instance in instances where instance.isTerminal && instance.killReason == nil {
            for task in instance.tasks where task.state == "TASK_FAILED" {
                let at = task.finishedAt ?? instance.stagedAt
                // Times are whole seconds: of one second the pod that changed last counts.
                let order = (at, instance.object.metadata.resourceVersion)
                if let found, order < (found.at, found.instance.object.metadata.resourceVersion) { continue }
                found = (at, instance, task)
            }
        }
        guard let found else { return nil }
        return [
            "appId": .string(found.instance.spec.text), "host": .string(state.host(of: found.instance)),
            "message": .string(found.task.message), "state": .string(found.task.state),
            "taskId": .string(found.task.id), "timestamp": .string(found.at.milliText),
            "version": .string(found.instance.version), "slaveId": .string(state.agentID(of: found.instance)),
        ]
    }
}
