import JSON
import Ledger
import MesosModel
import ObjectModel

/// A task that is a pod of Marathon's or Kubernetes's: what the operator APIs show of it.
struct PodTask: Sendable {
    let id: String
    let frameworkID: String
    let agentID: String
    let role: String
    let state: String
    let startSeconds: Double
    private let pod: MasterPod
    /// Its place among the tasks of the pod, and their number.
    private let index: Int
    private let count: Int

    /// The tasks of a pod and what they hold: one for each task of a group, otherwise one.
    ///
    /// They do not keep their TaskInfo, which is read again when they are written.
    static func tasks(of pod: MasterPod, _ state: MasterState) -> [(task: PodTask, resources: Resources)] {
        let annotations = pod.object.tree["metadata"]["annotations"]
        let agentID = state.agent(onNode: pod.node)?.id ?? annotations[MesosNames.agentAnnotation].string ?? ""
        let role = annotations[MesosNames.roleAnnotation].string ?? state.role(ofNamespace: pod.key.namespace)
        let framework = framework(of: pod)
        let infos = infos(of: pod, annotations)
        return infos.enumerated().map { index, info in
            let task = PodTask(
                id: info["task_id"]["value"].string ?? pod.key.name, frameworkID: framework.id, agentID: agentID,
                role: role, state: Self.state(of: pod), startSeconds: pod.createdSeconds, pod: pod, index: index,
                count: infos.count)
            return (task, (try? Resources(trees: task.resources(info, annotations))) ?? Resources())
        }
    }

    private static func infos(of pod: MasterPod, _ annotations: JSON) -> [JSON] {
        func parse(_ name: String) -> JSON? { annotations[name].string.flatMap { try? JSON.parse($0) } }
        var infos: [JSON] = []
        if let info = parse(MesosNames.taskAnnotation) {
            infos = [info]
        } else if let group = parse(MesosNames.taskGroupAnnotation) {
            infos = group["tasks"].elements
        }
        if !infos.isEmpty { return infos }
        let name = annotations[MesosNames.metronomeJobAnnotation].string ?? pod.key.name
        return [["name": .string(name), "task_id": ["value": .string("\(pod.key.name).\(pod.key.namespace)")]]]
    }

    private func resources(_ info: JSON, _ annotations: JSON) -> [JSON] {
        let own = info["resources"].elements
        let ports = AssignedPorts.resource(info, annotations).map { [$0] } ?? []
        return own.isEmpty ? Self.resources(of: pod, parts: count) + ports : own + ports
    }

    /// The framework that a pod is shown under.
    static func framework(of pod: MasterPod) -> (id: String, name: String) {
        if !pod.marathonApp.isEmpty { return (pod.labels[MesosNames.frameworkLabel] ?? "marathon", "marathon") }
        let name = pod.labels[MesosNames.metronomeJobLabel] == nil ? "kubernetes" : "metronome"
        return (name, name)
    }

    private static func state(of pod: MasterPod) -> String {
        switch pod.phase {
        case "Succeeded": "TASK_FINISHED"
        case "Failed": pod.isTerminating ? "TASK_KILLED" : "TASK_FAILED"
        case "Running": pod.isTerminating ? "TASK_KILLING" : "TASK_RUNNING"
        default: pod.isTerminating ? "TASK_KILLING" : "TASK_STAGING"
        }
    }

    private static func scalar(_ name: String, _ value: Double) -> JSON {
        ["name": .string(name), "type": "SCALAR", "scalar": ["value": Message.double(value)]]
    }

    /// What a pod requests, divided among its tasks.
    private static func resources(of pod: MasterPod, parts: Int) -> [JSON] {
        let part = Double(max(parts, 1))
        var all: [JSON] = []
        if pod.requests.milliCPU > 0 { all.append(scalar("cpus", Double(pod.requests.milliCPU) / 1000 / part)) }
        if pod.requests.memory > 0 { all.append(scalar("mem", Double(pod.requests.memory) / 1_048_576 / part)) }
        if pod.requests.ephemeralStorage > 0 {
            all.append(scalar("disk", Double(pod.requests.ephemeralStorage) / 1_048_576 / part))
        }
        return all
    }

    /// `mesos.v1.Task`.
    var json: JSON {
        let tree = pod.object.tree
        let annotations = tree["metadata"]["annotations"]
        let infos = Self.infos(of: pod, annotations)
        let info = infos.indices.contains(index) ? infos[index] : [:]
        var task: JSON = [
            "name": info["name"].isNull ? .string(id) : info["name"], "task_id": Message.id(id),
            "framework_id": Message.id(frameworkID), "agent_id": Message.id(agentID), "state": .string(state),
            "resources": .array(
                resources(info, annotations).map { resource in
                    var resource = resource
                    resource["allocation_info"] = ["role": .string(role)]
                    return resource
                }), "statuses": [status(tree)],
        ]
        task["status_update_state"] = .string(state)
        for name in ["container", "health_check"] { task.setMember(name, info[name]) }
        task.setMember("discovery", AssignedPorts.resolve(info["discovery"], annotations))
        task.setMember("user", info["command"]["user"])
        var labels = info["labels"]["labels"].elements
        if info["labels"].isNull {
            labels = pod.labels.sorted { $0.key < $1.key }.map { ["key": .string($0.key), "value": .string($0.value)] }
        }
        if !labels.isEmpty { task["labels"] = ["labels": .array(labels)] }
        return task
    }

    private func status(_ pod: JSON) -> JSON {
        let tree = pod["status"]
        let container = tree["containerStatuses"][0]
        let moments = [
            container["state"]["running"]["startedAt"], container["state"]["terminated"]["finishedAt"],
            tree["startTime"],
        ]
        let moment = moments.compactMap(\.string).compactMap { Timestamp($0) }.first
        var status: JSON = [
            "task_id": Message.id(id), "state": .string(state), "source": "SOURCE_EXECUTOR",
            "agent_id": Message.id(agentID),
            "timestamp": Message.double(moment.map { Double($0.microseconds) / 1e6 } ?? startSeconds),
        ]
        let addresses = tree["podIPs"].elements.compactMap { $0["ip"].string }
        if !addresses.isEmpty {
            status["container_status"] = [
                "container_id": Message.id(pod["metadata"]["uid"].string ?? ""),
                "network_infos": [
                    [
                        "ip_addresses": .array(
                            addresses.map {
                                ["protocol": $0.contains(":") ? "IPv6" : "IPv4", "ip_address": .string($0)]
                            })
                    ]
                ],
            ]
        }
        let hasProbe = pod["spec"]["containers"].elements.contains {
            $0["readinessProbe"].object != nil || $0["livenessProbe"].object != nil
        }
        if hasProbe, state == "TASK_RUNNING", let isReady = container["ready"].bool {
            status["healthy"] = .bool(isReady)
        }
        return status
    }
}
