import JSON
import MesosModel
import ObjectModel

/// Makes the Jobs and CronJobs of a job.
struct JobMaker {
    let spec: JobSpec
    /// The definition's object, which owns what is made; nil for trying out.
    let owner: Object?

    init(_ definition: Definition) {
        spec = definition.spec
        owner = definition.object
    }

    /// Makes Jobs that nobody owns.
    init(trying spec: JobSpec) {
        self.spec = spec
        owner = nil
    }

    /// A run that starts now.
    /// - Parameter suffix: what its name ends with.
    func job(suffix: String) -> JSON {
        [
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": metadata("\(MetronomeNames.prefix(of: spec.id))-\(suffix)", annotations(schedule: nil)),
            "spec": jobSpec,
        ]
    }

    /// What keeps the schedule; nil when there is none.
    var cronJob: JSON? {
        guard let schedule = spec.schedules.first, let cron = try? CronText.standard(schedule["cron"].string ?? "")
        else { return nil }
        let cronSpec: JSON = [
            "schedule": .string(cron), "timeZone": schedule["timezone"],
            "startingDeadlineSeconds": schedule["startingDeadlineSeconds"],
            "concurrencyPolicy": schedule["concurrencyPolicy"].string == "FORBID" ? "Forbid" : "Allow",
            "suspend": .bool(schedule["enabled"].bool == false),
            // What ended is removed when it is in the history.
            "successfulJobsHistoryLimit": 1000, "failedJobsHistoryLimit": 1000,
            "jobTemplate": [
                "metadata": ["labels": labels, "annotations": annotations(schedule: schedule)], "spec": jobSpec,
            ],
        ]
        let digest: JSON = [
            MetronomeNames.jobAnnotation: .string(spec.id),
            MetronomeNames.digestAnnotation: .string(MesosNames.uuid(of: cronSpec.description)),
        ]
        return [
            "apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": metadata(MetronomeNames.cronJob(of: spec.id), digest), "spec": cronSpec,
        ]
    }

    private var labels: JSON { [MetronomeNames.jobLabel: .string(MesosNames.labelValue(spec.id))] }

    private func metadata(_ name: String, _ annotations: JSON) -> JSON {
        var metadata: JSON = [
            "name": .string(name), "namespace": .string(MetronomeNames.namespace), "labels": labels,
            "annotations": annotations,
        ]
        if let owner {
            let reference = OwnerReference(
                apiVersion: owner.kind.apiVersion, kind: owner.kind.kind, name: owner.name, uid: owner.uid)
            metadata["ownerReferences"] = [reference.json]
        }
        return metadata
    }

    private func annotations(schedule: JSON?) -> JSON {
        var delay = spec.run["maxLaunchDelay"].int ?? 3600
        if let most = schedule?["startingDeadlineSeconds"].int { delay = min(delay, most) }
        var annotations: JSON = [
            MetronomeNames.jobAnnotation: .string(spec.id), MetronomeNames.delayAnnotation: .string(String(delay)),
        ]
        if isRetried, let seconds = spec.run["restart"]["activeDeadlineSeconds"].int {
            annotations[MetronomeNames.retryAnnotation] = .string(String(seconds))
        }
        return annotations
    }

    private var isRetried: Bool { spec.run["restart"]["policy"].string == "ON_FAILURE" }

    private var jobSpec: JSON {
        ["backoffLimit": JSON(isRetried ? Int(Int32.max) : 0), "template": template]
    }

    // MARK: The pod

    private var image: String? { spec.run["docker"]["image"].string ?? spec.run["ucr"]["image"]["id"].string }

    private var template: JSON {
        let run = spec.run
        let isProcess = image == nil
        var container: JSON = [
            "name": .string(MesosNames.taskContainer), "image": .string(image ?? MesosNames.hostImage),
            "env": .array(environment), "resources": resources,
        ]
        if run["docker"]["forcePullImage"].bool == true || run["ucr"]["image"]["forcePull"].bool == true {
            container["imagePullPolicy"] = "Always"
        }
        if run["docker"]["privileged"].bool == true || run["ucr"]["privileged"].bool == true {
            container["securityContext"] = ["privileged": true]
        }
        if let command = run["cmd"].string {
            container["command"] = ["/bin/sh", "-c", .string(PodBuilder.literal(command))]
            if !isProcess { container["workingDir"] = .string(MesosNames.sandboxPath) }
        } else if let arguments = run["args"].array, !arguments.isEmpty {
            container["args"] = .array(arguments.map { .string(PodBuilder.literal($0.string ?? "")) })
        }
        let (volumes, mounts) = volumes(isProcess: isProcess)
        if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
        let grace = run["taskKillGracePeriodSeconds"].int ?? 3
        var body: JSON = [
            "restartPolicy": "Never", "terminationGracePeriodSeconds": JSON(max(0, grace)),
            "automountServiceAccountToken": false, "enableServiceLinks": false, "containers": [container],
        ]
        if isProcess { body["runtimeClassName"] = .string(MesosNames.processRuntimeClass) }
        let networks = run["networks"].elements
        if networks.allSatisfy({ $0["mode"].string == "host" }) { body["hostNetwork"] = true }
        if !volumes.isEmpty { body["volumes"] = .array(volumes) }
        var pod: JSON = ["metadata": ["labels": podLabels, "annotations": podAnnotations], "spec": body]
        spec.dockerParameters.apply(to: &pod)
        return pod
    }

    /// The job's labels select pods where they can.
    private var podLabels: JSON {
        var labels = labels
        for (name, value) in spec.json["labels"].stringMap
        where Names.qualifiedNameProblems(name).isEmpty && Names.labelValueProblems(value).isEmpty {
            labels[name] = .string(value)
        }
        labels[MetronomeNames.jobLabel] = .string(MesosNames.labelValue(spec.id))
        return labels
    }

    private var podAnnotations: JSON {
        let run = spec.run
        var annotations: JSON = [
            MetronomeNames.jobAnnotation: .string(spec.id), MesosNames.roleAnnotation: "*",
        ]
        let constraints: [JSON] = run["placement"]["constraints"].elements.map { constraint in
            [constraint["attribute"], constraint["operator"], .string(constraint["value"].string ?? "")]
        }
        func annotate(_ name: String, _ value: JSON) { annotations[name] = .string(value.description) }
        if !constraints.isEmpty { annotate(MetronomeNames.constraintsAnnotation, .array(constraints)) }
        let uris = run["artifacts"].elements.map { artifact -> JSON in
            [
                "value": artifact["uri"], "extract": artifact["extract"], "executable": artifact["executable"],
                "cache": artifact["cache"],
            ]
        }
        if !uris.isEmpty { annotate(MesosNames.urisAnnotation, [MesosNames.taskContainer: .array(uris)]) }
        if let user = run["user"].string {
            annotate(MesosNames.optionsAnnotation, [MesosNames.taskContainer: ["user": .string(user)]])
        }
        return annotations
    }

    private var resources: JSON {
        let run = spec.run
        let memory = Int(((run["mem"].double ?? 0) * 1024).rounded())
        var requests: JSON = [
            "cpu": .string("\(max(1, Int(((run["cpus"].double ?? 0) * 1000).rounded())))m"),
            "memory": .string("\(memory)Ki"),
        ]
        if let disk = run["disk"].double, disk > 0 {
            requests["ephemeral-storage"] = .string("\(Int(disk.rounded(.up)))Mi")
        }
        // Mesos gives its executor 32 MB beside the task.
        return ["requests": requests, "limits": ["memory": .string("\(memory + 32 * 1024)Ki")]]
    }

    private var environment: [JSON] {
        let run = spec.run
        var entries: [JSON] = []
        func set(_ name: String, _ value: String) { entries.append(["name": .string(name), "value": .string(value)]) }
        func field(_ name: String, _ path: String) {
            entries.append(["name": .string(name), "valueFrom": ["fieldRef": ["fieldPath": .string(path)]]])
        }
        let own = Set(run["env"].members.keys)
        field("METRONOME_TASK", "metadata.name")
        // The id that the Mesos window shows.
        if !own.contains("MESOS_TASK_ID") { set("MESOS_TASK_ID", "$(METRONOME_TASK).\(MetronomeNames.namespace)") }
        field("HOST", "status.hostIP")
        if image != nil {
            set("MESOS_SANDBOX", MesosNames.sandboxPath)
            set("MESOS_DIRECTORY", MesosNames.sandboxPath)
        }
        set("METRONOME_JOB_ID", spec.id)
        for (name, value) in run["env"].members where !name.isEmpty && !name.contains("=") {
            entries.removeAll { $0["name"].string == name }
            if let text = value.string {
                set(name, PodBuilder.literal(text))
            } else if let source = run["secrets"][value["secret"].string ?? ""]["source"].string {
                let (object, key) = Self.secret(source)
                entries.append([
                    "name": .string(name),
                    "valueFrom": ["secretKeyRef": ["name": .string(object), "key": .string(key)]],
                ])
            }
        }
        return entries
    }

    private func volumes(isProcess: Bool) -> (volumes: [JSON], mounts: [JSON]) {
        var volumes: [JSON] = []
        var mounts: [JSON] = []
        if !isProcess {
            volumes.append(["name": .string(MesosNames.sandboxVolume), "emptyDir": .object([:])])
            mounts.append([
                "name": .string(MesosNames.sandboxVolume), "mountPath": .string(MesosNames.sandboxPath),
            ])
        }
        for (index, volume) in spec.run["volumes"].elements.enumerated() {
            let name = "volume-\(index)"
            let path = volume["containerPath"].string ?? ""
            var mount: JSON = [
                "name": .string(name),
                "mountPath": .string(path.hasPrefix("/") ? path : "\(MesosNames.sandboxPath)/\(path)"),
            ]
            if let host = volume["hostPath"].string {
                volumes.append(["name": .string(name), "hostPath": ["path": .string(host)]])
                if volume["mode"].string == "RO" { mount["readOnly"] = true }
            } else if let source = spec.run["secrets"][volume["secret"].string ?? ""]["source"].string {
                let (object, key) = Self.secret(source)
                volumes.append([
                    "name": .string(name),
                    "secret": ["secretName": .string(object), "items": [["key": .string(key), "path": "value"]]],
                ])
                // A secret is one file, at the path itself.
                mount["subPath"] = "value"
            } else {
                continue
            }
            mounts.append(mount)
        }
        return (volumes, mounts)
    }

    /// A secret's source `NAME/KEY` is a key of a Secret in the namespace; without a key it is `value`.
    private static func secret(_ source: String) -> (name: String, key: String) {
        let parts = source.split(separator: "/").map(String.init)
        guard parts.count > 1, let key = parts.last else { return (source, "value") }
        return (parts.dropLast().joined(separator: "-"), key)
    }
}
