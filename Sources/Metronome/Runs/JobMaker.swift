import JSON
import MesosModel
import ObjectModel
import ScheduledJobs

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
            "metadata": JobNames.metadata(
                name: "\(MetronomeNames.prefix(of: spec.id))-\(suffix)", labels: labels,
                annotations: annotations(schedule: nil), owner: owner),
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
        var annotations = named
        annotations[MetronomeNames.digestAnnotation] = .string(MesosNames.uuid(of: cronSpec.description))
        return [
            "apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": JobNames.metadata(
                name: MetronomeNames.cronJob(of: spec.id), labels: labels, annotations: annotations, owner: owner),
            "spec": cronSpec,
        ]
    }

    private var labels: JSON { [JobNames.metronome.label: .string(MesosNames.labelValue(spec.id))] }
    private var named: JSON { [JobNames.metronome.annotation: .string(spec.id)] }

    private func annotations(schedule: JSON?) -> JSON {
        var delay = spec.run["maxLaunchDelay"].int ?? 3600
        if let most = schedule?["startingDeadlineSeconds"].int { delay = min(delay, most) }
        var annotations = named
        annotations[MetronomeNames.delayAnnotation] = .string(String(delay))
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

    private var template: JSON {
        let run = spec.run
        var pod = JobPod(image: run["docker"]["image"].string ?? run["ucr"]["image"]["id"].string)
        pod.pullsAlways =
            run["docker"]["forcePullImage"].bool == true || run["ucr"]["image"]["forcePull"].bool == true
        pod.isPrivileged = run["docker"]["privileged"].bool == true || run["ucr"]["privileged"].bool == true
        pod.isOnHostNetwork = run["networks"].elements.allSatisfy { $0["mode"].string == "host" }
        if let command = run["cmd"].string {
            pod.command = ["/bin/sh", "-c", command]
        } else {
            pod.arguments = run["args"].elements.map { $0.string ?? "" }
        }
        pod.gracePeriod = run["taskKillGracePeriodSeconds"].int ?? 3
        pod.user = run["user"].string
        (pod.cpus, pod.memory, pod.disk) = (run["cpus"].double ?? 0, run["mem"].double ?? 0, run["disk"].double ?? 0)
        setEnvironment(&pod.environment)
        pod.mounts = mounts
        pod.constraints = run["placement"]["constraints"].elements.map { constraint in
            [constraint["attribute"], constraint["operator"], .string(constraint["value"].string ?? "")]
        }
        pod.uris = run["artifacts"].elements.map { artifact in
            [
                "value": artifact["uri"], "extract": artifact["extract"], "executable": artifact["executable"],
                "cache": artifact["cache"],
            ]
        }
        var template = pod.template(labels: podLabels, annotations: named)
        spec.dockerParameters.apply(to: &template)
        return template
    }

    /// The job's labels select pods where they can.
    private var podLabels: JSON {
        var all: JSON = .object([:])
        for (name, value) in spec.json["labels"].stringMap
        where Names.qualifiedNameProblems(name).isEmpty && Names.labelValueProblems(value).isEmpty {
            all[name] = .string(value)
        }
        for (name, value) in labels.members { all[name] = value }
        return all
    }

    private func setEnvironment(_ environment: inout JobEnvironment) {
        let run = spec.run
        environment.setField("METRONOME_TASK", "metadata.name")
        // The id that the Mesos window shows.
        environment.setReference("MESOS_TASK_ID", "$(METRONOME_TASK).\(JobNames.namespace)")
        environment.set("METRONOME_JOB_ID", spec.id)
        for (name, value) in run["env"].members where !name.isEmpty && !name.contains("=") {
            if let text = value.string {
                environment.set(name, text)
            } else if let source = run["secrets"][value["secret"].string ?? ""]["source"].string {
                let (object, key) = Self.secret(source)
                environment.setSecret(name, object, key: key)
            }
        }
    }

    private var mounts: [JobPod.Mount] {
        spec.run["volumes"].elements.compactMap { volume in
            let path = volume["containerPath"].string ?? ""
            if let host = volume["hostPath"].string {
                return JobPod.Mount(
                    ["hostPath": ["path": .string(host)]], at: path, isReadOnly: volume["mode"].string == "RO")
            }
            guard let source = spec.run["secrets"][volume["secret"].string ?? ""]["source"].string else { return nil }
            let (object, key) = Self.secret(source)
            // A secret is one file, at the path itself.
            return JobPod.Mount(
                ["secret": ["secretName": .string(object), "items": [["key": .string(key), "path": "value"]]]],
                at: path, subPath: "value")
        }
    }

    /// A secret's source `NAME/KEY` is a key of a Secret in the namespace; without a key it is `value`.
    private static func secret(_ source: String) -> (name: String, key: String) {
        let parts = source.split(separator: "/").map(String.init)
        guard parts.count > 1, let key = parts.last else { return (source, "value") }
        return (parts.dropLast().joined(separator: "-"), key)
    }
}
