import JSON
import MesosModel

/// The TaskInfo that the Mesos window shows for an instance.
extension PodBuilder {
    private func resources(_ json: JSON, role: String) -> JSON {
        .array(
            ["cpus", "mem", "disk", "gpus"].compactMap { name in
                guard let value = json[name].double, value > 0 else { return nil }
                return [
                    "name": .string(name), "type": "SCALAR", "role": .string(role), "scalar": ["value": .double(value)],
                ]
            })
    }

    private func labels(_ labels: [String: String]) -> JSON {
        [
            "labels": .array(
                labels.sorted { $0.key < $1.key }.map { ["key": .string($0.key), "value": .string($0.value)] })
        ]
    }

    func taskInfo(_ spec: RunSpec, taskID: String) -> JSON {
        let json = spec.json
        var command: JSON = ["shell": .bool(!json["cmd"].isNull)]
        command.setMember("value", json["cmd"])
        if !json["args"].isNull { command["arguments"] = json["args"] }
        command.setMember("user", json["user"])
        var info: JSON = [
            "name": .string(spec.id.hostForm), "task_id": ["value": .string(taskID)],
            "agent_id": ["value": ""], "resources": resources(json, role: spec.role), "command": command,
            "labels": labels(spec.labels),
        ]
        if let image = spec.image {
            info["container"] = [
                "type": "MESOS", "mesos": ["image": ["type": "DOCKER", "docker": ["name": .string(image)]]],
            ]
        }
        let networks = spec.json["networks"].elements.compactMap { $0["name"].string }
        if !networks.isEmpty {
            info["container"]["network_infos"] = .array(networks.map { ["name": .string($0)] })
        }
        let ports = spec.ports.map { port in
            let hasHostPort = spec.isHostNetwork || !port["hostPort"].isNull
            // 0 is a port that is chosen with the node.
            let number =
                spec.isHostNetwork
                ? (spec.json["requirePorts"].bool == true ? port["port"].int : 0)
                : (hasHostPort ? port["hostPort"].int : port["containerPort"].int)
            return discoveryPort(port, number: number ?? 0, scope: hasHostPort ? "host" : "container")
        }
        info["discovery"] = discovery(spec, ports)
        return info
    }

    private func discoveryPort(_ port: JSON, number: Int, scope: String) -> JSON {
        var labels = port["labels"].stringMap
        labels["network-scope"] = scope
        var entry: JSON = [
            "number": JSON(number), "protocol": .string(port["protocol"].string ?? "tcp"),
            "labels": self.labels(labels),
        ]
        entry.setMember("name", port["name"])
        return entry
    }

    private func discovery(_ spec: RunSpec, _ ports: [JSON]) -> JSON {
        ["visibility": "FRAMEWORK", "name": .string(spec.id.hostForm), "ports": ["ports": .array(ports)]]
    }

    func taskGroup(_ spec: RunSpec, instance: String, taskIDs: [String]) -> JSON {
        let tasks = spec.json["containers"].elements.enumerated().map { index, container -> JSON in
            let command = container["exec"]["command"]
            var info: JSON = [
                "name": container["name"], "task_id": ["value": .string(taskIDs[index])], "agent_id": ["value": ""],
                "resources": resources(container["resources"], role: spec.role),
                "labels": labels(spec.labels.merging(container["labels"].stringMap) { $1 }),
            ]
            if let shell = command["shell"].string {
                info["command"] = ["shell": true, "value": .string(shell)]
            } else if !command["argv"].isNull {
                info["command"] = ["shell": false, "arguments": command["argv"]]
            }
            if let image = container["image"]["id"].string {
                info["container"] = [
                    "type": "MESOS", "mesos": ["image": ["type": "DOCKER", "docker": ["name": .string(image)]]],
                ]
            }
            return info
        }
        return [
            "executor": [
                "type": "DEFAULT", "executor_id": ["value": .string(instance)],
                "framework_id": ["value": .string(frameworkID)],
                "resources": resources(spec.json["executorResources"], role: spec.role),
            ],
            "tasks": .array(tasks),
        ]
    }
}
