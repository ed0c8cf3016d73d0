import HTTPWindow
import JSON

/// Makes pod definitions whole, and says what is wrong with them.
enum PodNormalization {
    /// The definition with every default.
    static func complete(_ definition: JSON, id: PathID, role: String) -> JSON {
        var pod = definition.withoutNulls
        for key in pod.members.keys where Shapes.podMembers[key] == nil { pod.removeMember(key) }
        pod["id"] = .string(id.text)
        func fill(_ json: inout JSON, _ values: [(String, JSON)]) {
            for (key, value) in values where json[key].isNull { json[key] = value }
        }
        fill(&pod, [("networks", [["mode": "host"]]), ("role", .string(role))])
        var scaling = pod["scaling"]
        fill(&scaling, [("kind", "fixed"), ("instances", 1)])
        pod["scaling"] = scaling
        var scheduling = pod["scheduling"]
        var backoff = scheduling["backoff"]
        fill(&backoff, [("backoff", 1), ("backoffFactor", .double(1.15)), ("maxLaunchDelay", 300)])
        scheduling["backoff"] = backoff
        var upgrade = scheduling["upgrade"]
        let isResident = pod["volumes"].elements.contains { !$0["persistent"].isNull }
        fill(
            &upgrade,
            [
                ("minimumHealthCapacity", isResident ? .double(0.5) : 1),
                ("maximumOverCapacity", isResident ? 0 : 1),
            ])
        scheduling["upgrade"] = upgrade
        fill(&scheduling, [("killSelection", "YOUNGEST_FIRST")])
        if scheduling["unreachableStrategy"].string == nil {
            var unreachable = scheduling["unreachableStrategy"]
            fill(&unreachable, [("inactiveAfterSeconds", 0), ("expungeAfterSeconds", 0)])
            scheduling["unreachableStrategy"] = isResident ? "disabled" : unreachable
        }
        pod["scheduling"] = scheduling
        var executor = pod["executorResources"]
        fill(&executor, [("cpus", .double(0.1)), ("mem", 32), ("disk", 10)])
        pod["executorResources"] = executor
        pod["containers"] = .array(
            pod["containers"].elements.map { container in
                var container = container
                var resources = container["resources"]
                fill(&resources, [("cpus", 1), ("mem", 128), ("disk", 0), ("gpus", 0)])
                container["resources"] = resources
                if !container["healthCheck"].isNull {
                    var check = container["healthCheck"]
                    fill(
                        &check,
                        [
                            ("gracePeriodSeconds", 300), ("intervalSeconds", 60), ("maxConsecutiveFailures", 3),
                            ("timeoutSeconds", 20),
                        ])
                    if check["delaySeconds"].int == AppNormalization.standardDelay {
                        check.removeMember("delaySeconds")
                    }
                    container["healthCheck"] = check
                }
                container["endpoints"] = .array(
                    container["endpoints"].elements.map { endpoint in
                        var endpoint = endpoint
                        if endpoint["protocol"].elements.isEmpty { endpoint["protocol"] = ["tcp"] }
                        return endpoint
                    })
                if container["endpoints"].elements.isEmpty { container.removeMember("endpoints") }
                return container
            })
        return pod
    }

    /// - Throws: `MarathonError` 422 that names everything wrong.
    static func check(_ pod: RunSpec, networks: Set<String>) throws(MarathonError) {
        var violations: [Violation] = []
        func fail(_ path: String, _ message: String) { violations.append(Violation(path: path, message: message)) }
        if pod.id.isRoot { fail("/id", "must not be empty") }
        if let problem = pod.id.problem { fail("/id", problem) }
        let containers = pod.json["containers"].elements
        if containers.isEmpty { fail("/containers", "must not be empty") }
        var names: Set<String> = []
        var endpoints: Set<String> = []
        var mounted: Set<String> = []
        let volumes = Set(pod.json["volumes"].elements.compactMap { $0["name"].string })
        for (index, container) in containers.enumerated() {
            let path = "/containers(\(index))"
            let name = container["name"].string ?? ""
            if PathID(name).problem != nil || name.contains("/") || name.contains(".") || name.isEmpty {
                fail("\(path)/name", "must contain only alphanumeric chars or hyphens, and must begin with a letter")
            }
            if !names.insert(name).inserted { fail("/containers", "container names must be unique") }
            if (container["resources"]["cpus"].double ?? 0) < 0.001 {
                fail("\(path)/resources/cpus", "must be greater than or equal to 0.001")
            }
            if container["exec"].isNull, container["image"].isNull {
                fail(path, "needs an image or a command to execute")
            }
            if container["image"]["kind"].string == "APPC" {
                fail("\(path)/image/kind", "AppC images are not supported")
            }
            if !container["check"].isNull { fail("\(path)/check", "generic checks are not supported: use healthCheck") }
            for (number, endpoint) in container["endpoints"].elements.enumerated() {
                let at = "\(path)/endpoints(\(number))"
                if !endpoints.insert(endpoint["name"].string ?? "").inserted {
                    fail(at, "endpoint names must be unique across all containers")
                }
                if pod.isHostNetwork, !endpoint["containerPort"].isNull {
                    fail("\(at)/containerPort", "is not allowed when using host-mode networking")
                }
                if !pod.isHostNetwork, endpoint["containerPort"].isNull {
                    fail("\(at)/containerPort", "is required when using container-mode networking")
                }
            }
            let own = Set(container["endpoints"].elements.compactMap { $0["name"].string })
            for word in ["http", "tcp"] {
                if let name = container["healthCheck"][word]["endpoint"].string, !own.contains(name) {
                    fail("\(path)/healthCheck/\(word)/endpoint", "contained in the container endpoints")
                }
            }
            for (number, mount) in container["volumeMounts"].elements.enumerated() {
                let volume = mount["name"].string ?? ""
                mounted.insert(volume)
                if !volumes.contains(volume) {
                    fail("\(path)/volumeMounts(\(number))/name", "Referenced Volume in VolumeMount should exist")
                }
            }
        }
        for name in volumes.subtracting(mounted).sorted() {
            fail("/volumes", "volume must be referenced by at least one container: \(name)")
        }
        for (index, volume) in pod.json["volumes"].elements.enumerated() where !volume["persistent"].isNull {
            if (volume["persistent"]["size"].int ?? 0) < 1 {
                fail("/volumes(\(index))/persistent/size", "must be greater than 0")
            }
        }
        if pod.isResident, pod.maximumOverCapacity != 0 {
            fail("/scheduling/upgrade/maximumOverCapacity", "must be 0 for pods with persistent volumes")
        }
        if pod.instances < 0 { fail("/scaling/instances", "must be at least 0") }
        var validation = AppValidation()
        validation.networkNames(pod, networks)
        let hasImage = containers.contains { !$0["image"].isNull }
        validation.linux(pod.json["linuxInfo"], "/linuxInfo", hasImage: hasImage)
        for (index, container) in containers.enumerated() {
            let path = "/containers(\(index))/linuxInfo"
            validation.linux(container["linuxInfo"], path, hasImage: hasImage)
            if container["linuxInfo"]["ipcInfo"]["mode"].string == "PRIVATE", containers.count > 1 {
                fail("\(path)/ipcInfo/mode", "the containers of a pod share one IPC namespace: set it for the pod")
            }
        }
        validation.constraints(pod.constraints, "/scheduling/placement/constraints")
        validation.secrets(pod.json["environment"], pod.json["secrets"], "/environment")
        violations += validation.violations
        guard violations.isEmpty else { throw .invalid(violations) }
    }
}
