import JSON
import MesosModel
import ObjectModel

/// Makes the Jobs of a job.
struct JobMaker {
    let spec: JobSpec
    /// The definition's object, which owns what is made.
    let owner: Object
    /// The moment that the run is for.
    let due: Timestamp
    /// Further arguments of this run.
    var arguments: [String] = []

    /// - Parameter suffix: what the Job's name ends with: the same run has the same name.
    func job(suffix: String) -> JSON {
        let reference = OwnerReference(
            apiVersion: owner.kind.apiVersion, kind: owner.kind.kind, name: owner.name, uid: owner.uid)
        var jobSpec: JSON = ["backoffLimit": JSON(spec.json["retries"].int ?? 2), "template": template]
        if let seconds = spec.json["maxCompletionTime"].int, seconds > 0 {
            jobSpec["activeDeadlineSeconds"] = JSON(seconds)
        }
        return [
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": [
                "name": .string("\(ChronosNames.prefix(of: spec.name))-\(suffix)"),
                "namespace": .string(ChronosNames.namespace), "labels": labels,
                "annotations": [ChronosNames.jobAnnotation: .string(spec.name)],
                "ownerReferences": [reference.json],
            ],
            "spec": jobSpec,
        ]
    }

    private var labels: JSON {
        [ChronosNames.jobLabel: .string(MesosNames.labelValue(ChronosNames.objectName(of: spec.name)))]
    }
    private var image: String? { spec.json["container"]["image"].string }

    private var template: JSON {
        let json = spec.json
        let isProcess = image == nil
        var container: JSON = [
            "name": .string(MesosNames.taskContainer), "image": .string(image ?? MesosNames.hostImage),
            "env": .array(environment), "resources": resources,
        ]
        if json["container"]["forcePullImage"].bool == true { container["imagePullPolicy"] = "Always" }
        let command = json["command"].string ?? ""
        let words = json["arguments"].elements.compactMap(\.string) + arguments
        if !command.isEmpty {
            let line = spec.isShell ? ["/bin/sh", "-c", command] : [command] + words
            container["command"] = .array(line.map { .string(PodBuilder.literal($0)) })
            if !isProcess { container["workingDir"] = .string(MesosNames.sandboxPath) }
        } else if !words.isEmpty {
            container["args"] = .array(words.map { .string(PodBuilder.literal($0)) })
        }
        var volumes: [JSON] = []
        var mounts: [JSON] = []
        if !isProcess {
            volumes.append(["name": .string(MesosNames.sandboxVolume), "emptyDir": .object([:])])
            mounts.append(["name": .string(MesosNames.sandboxVolume), "mountPath": .string(MesosNames.sandboxPath)])
        }
        for (index, volume) in json["container"]["volumes"].elements.enumerated() {
            let path = volume["containerPath"].string ?? ""
            volumes.append(["name": .string("volume-\(index)"), "hostPath": ["path": volume["hostPath"]]])
            var mount: JSON = [
                "name": .string("volume-\(index)"),
                "mountPath": .string(path.hasPrefix("/") ? path : "\(MesosNames.sandboxPath)/\(path)"),
            ]
            if volume["mode"].string?.uppercased() == "RO" { mount["readOnly"] = true }
            mounts.append(mount)
        }
        if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
        var body: JSON = [
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 3, "automountServiceAccountToken": false,
            "enableServiceLinks": false,
        ]
        var annotations: JSON = [
            ChronosNames.jobAnnotation: .string(spec.name), MesosNames.roleAnnotation: "*",
        ]
        setUser(&container, &annotations)
        place(&annotations)
        body["containers"] = [container]
        if isProcess { body["runtimeClassName"] = .string(MesosNames.processRuntimeClass) }
        if !spec.hasOwnNetwork { body["hostNetwork"] = true }
        if !volumes.isEmpty { body["volumes"] = .array(volumes) }
        var pod: JSON = ["metadata": ["labels": labels, "annotations": annotations], "spec": body]
        spec.parameters.apply(to: &pod)
        return pod
    }

    private func setUser(_ container: inout JSON, _ annotations: inout JSON) {
        guard let user = spec.json["runAsUser"].string, user != "root" else { return }
        if let number = Int(user) {
            container["securityContext"] = ["runAsUser": JSON(number)]
        } else {
            let options: JSON = [MesosNames.taskContainer: ["user": .string(user)]]
            annotations[MesosNames.optionsAnnotation] = .string(options.description)
        }
    }

    /// Constraints, and what is fetched.
    private func place(_ annotations: inout JSON) {
        let constraints: [JSON] = spec.json["constraints"].elements.map { constraint in
            let word = constraint[1].string?.uppercased() ?? ""
            return [constraint[0], .string(word == "EQUALS" ? "IS" : word), constraint[2]]
        }
        if !constraints.isEmpty {
            annotations[ChronosNames.constraintsAnnotation] = .string(JSON.array(constraints).description)
        }
        let old: [JSON] = spec.json["uris"].elements.map { ["uri": $0, "extract": true] }
        let uris = (old + spec.json["fetch"].elements).map { fetch -> JSON in
            var uri: JSON = [
                "value": fetch["uri"], "extract": .bool(fetch["extract"].bool ?? true),
                "executable": .bool(fetch["executable"].bool ?? false), "cache": .bool(fetch["cache"].bool ?? false),
            ]
            if let file = fetch["output_file"].string ?? fetch["outputFile"].string, !file.isEmpty {
                uri["output_file"] = .string(file)
            }
            return uri
        }
        if !uris.isEmpty {
            let all: JSON = [MesosNames.taskContainer: .array(uris)]
            annotations[MesosNames.urisAnnotation] = .string(all.description)
        }
    }

    private var resources: JSON {
        let memory = Int(((spec.json["mem"].double ?? 0) * 1024).rounded())
        var requests: JSON = [
            "cpu": .string("\(max(1, Int(((spec.json["cpus"].double ?? 0) * 1000).rounded())))m"),
            "memory": .string("\(memory)Ki"),
        ]
        if let disk = spec.json["disk"].double, disk > 0 {
            requests["ephemeral-storage"] = .string("\(Int(disk.rounded(.up)))Mi")
        }
        // Mesos gives its executor 32 MB beside the task.
        return ["requests": requests, "limits": ["memory": .string("\(memory + 32 * 1024)Ki")]]
    }

    private var environment: [JSON] {
        var entries: [JSON] = []
        func set(_ name: String, _ value: String) {
            entries.removeAll { $0["name"].string == name }
            entries.append(["name": .string(name), "value": .string(PodBuilder.literal(value))])
        }
        for (name, path) in [("HOST", "status.hostIP"), ("mesos_task_id", "metadata.name")] {
            entries.append(["name": .string(name), "valueFrom": ["fieldRef": ["fieldPath": .string(path)]]])
        }
        if image != nil {
            set("MESOS_SANDBOX", MesosNames.sandboxPath)
            set("MESOS_DIRECTORY", MesosNames.sandboxPath)
        }
        set("CHRONOS_JOB_NAME", spec.name)
        set("CHRONOS_JOB_OWNER", spec.json["owner"].string ?? "")
        set("CHRONOS_JOB_RUN_TIME", String(due.microseconds / 1000))
        for (name, member) in [("CPU", "cpus"), ("MEM", "mem"), ("DISK", "disk")] {
            set("CHRONOS_RESOURCE_\(name)", (spec.json[member].double ?? 0).description)
        }
        for variable in spec.json["environmentVariables"].elements {
            guard let name = variable["name"].string, !name.contains("=") else { continue }
            set(name, variable["value"].string ?? variable["value"].description)
        }
        return entries
    }
}
