import JSON
import MesosModel

/// The TaskInfo that the Mesos window shows for an instance.
extension PodBuilder {
    /// Resources that are not reserved: which role they are allocated to follows from the pod.
    private func resources(_ json: JSON) -> JSON {
        .array(
            ["cpus", "mem", "disk", "gpus"].compactMap { name in
                guard let value = json[name].double, value > 0 else { return nil }
                return ["name": .string(name), "type": "SCALAR", "scalar": ["value": .double(value)]]
            })
    }

    /// Null when there is nothing to say of it.
    private func containerInfo(image: String?, hasTerminal: Bool) -> JSON {
        var container = JSON.null
        if let image {
            container["mesos"] = ["image": ["type": "DOCKER", "docker": ["name": .string(image)]]]
        }
        if hasTerminal { container["tty_info"] = [:] }
        if container.object != nil { container["type"] = "MESOS" }
        return container
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
            "agent_id": ["value": ""], "resources": resources(json), "command": command,
            "labels": labels(spec.labels),
        ]
        var container = containerInfo(image: spec.image, hasTerminal: json["tty"].bool == true)
        let networks = json["networks"].elements.compactMap { $0["name"].string }
        if !networks.isEmpty {
            container["type"] = "MESOS"
            container["network_infos"] = .array(networks.map { ["name": .string($0)] })
        }
        if container.object != nil { info["container"] = container }
        let ports = zip(spec.ports, Self.assignedIndexes(spec)).flatMap { port, place in
            published(port, protocols: port["protocol"].string ?? "tcp", place: place, spec)
        }
        info["discovery"] = discovery(spec, ports)
        return info
    }

    /// A port as DiscoveryInfo says it, once for each protocol.
    /// - Parameter place: among the assigned ports; nil for one that only the container's network has.
    private func published(_ port: JSON, protocols: String, place: Int?, _ spec: RunSpec) -> [JSON] {
        var labels = port["labels"].stringMap
        if place == nil {
            labels["network-scope"] = "container"
            labels["network-name"] =
                port["networkNames"][0].string ?? spec.json["networks"].elements.compactMap { $0["name"].string }.first
        } else if !spec.isHostNetwork {
            labels["network-scope"] = "host"
        }
        return protocols.split(separator: ",").map { word in
            var entry: JSON = [
                "number": JSON(place == nil ? port["containerPort"].int ?? 0 : 0),
                "protocol": .string(word.filter { $0 != " " }), "labels": self.labels(labels),
            ]
            if let place { entry[AssignedPorts.place] = JSON(place) }
            entry.setMember("name", port["name"])
            return entry
        }
    }

    private func discovery(_ spec: RunSpec, _ ports: [JSON]) -> JSON {
        ["visibility": "FRAMEWORK", "name": .string(spec.id.hostForm), "ports": ["ports": .array(ports)]]
    }

    func taskGroup(_ spec: RunSpec, instance: String, taskIDs: [String]) -> JSON {
        let endpoints = Self.endpoints(spec)
        let tasks = spec.json["containers"].elements.enumerated().map { index, container -> JSON in
            let command = container["exec"]["command"]
            var info: JSON = [
                "name": container["name"], "task_id": ["value": .string(taskIDs[index])], "agent_id": ["value": ""],
                "resources": resources(container["resources"]),
                "labels": labels(spec.labels.merging(container["labels"].stringMap) { $1 }),
            ]
            if let shell = command["shell"].string {
                info["command"] = ["shell": true, "value": .string(shell)]
            } else if !command["argv"].isNull {
                info["command"] = ["shell": false, "arguments": command["argv"]]
            }
            let shown = containerInfo(
                image: container["image"]["id"].string, hasTerminal: container["tty"].bool == true)
            if shown.object != nil { info["container"] = shown }
            // Every task of a pod is published under the pod's name, with the endpoints of its own.
            let own = zip(
                container["endpoints"].elements, endpoints.filter { $0.container == container["name"].string })
            info["discovery"] = discovery(
                spec, own.flatMap { published($0, protocols: $1.protocols, place: $1.assigned, spec) })
            return info
        }
        return [
            "executor": [
                "type": "DEFAULT", "executor_id": ["value": .string(instance)],
                "framework_id": ["value": .string(frameworkID)],
                "resources": resources(spec.json["executorResources"]),
            ],
            "tasks": .array(tasks),
        ]
    }
}
