import JSON
import MesosModel
import ObjectModel
import ScheduledJobs

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
        var jobSpec: JSON = ["backoffLimit": JSON(spec.json["retries"].int ?? 2), "template": template]
        if let seconds = spec.json["maxCompletionTime"].int, seconds > 0 {
            jobSpec["activeDeadlineSeconds"] = JSON(seconds)
        }
        let prefix = "\(MesosNames.dnsSafe(spec.name, maximum: 36))-\(MesosNames.hash("chronos", spec.name))"
        return [
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": JobNames.metadata(
                name: "\(prefix)-\(suffix)", labels: labels, annotations: annotations, owner: owner),
            "spec": jobSpec,
        ]
    }

    private var labels: JSON {
        [JobNames.chronos.label: .string(MesosNames.labelValue(JobNames.chronos.objectName(spec.name)))]
    }
    private var annotations: JSON { [JobNames.chronos.annotation: .string(spec.name)] }

    private var template: JSON {
        let json = spec.json
        var pod = JobPod(image: json["container"]["image"].string)
        pod.pullsAlways = json["container"]["forcePullImage"].bool == true
        pod.isOnHostNetwork = !spec.hasOwnNetwork
        let command = json["command"].string ?? ""
        let words = json["arguments"].elements.compactMap(\.string) + arguments
        if command.isEmpty {
            pod.arguments = words
        } else {
            pod.command = spec.isShell ? ["/bin/sh", "-c", command] : [command] + words
        }
        pod.user = json["runAsUser"].string
        (pod.cpus, pod.memory, pod.disk) = (number("cpus"), number("mem"), number("disk"))
        setEnvironment(&pod.environment)
        pod.mounts = json["container"]["volumes"].elements.map { volume in
            JobPod.Mount(
                ["hostPath": ["path": volume["hostPath"]]], at: volume["containerPath"].string ?? "",
                isReadOnly: volume["mode"].string?.uppercased() == "RO")
        }
        pod.constraints = json["constraints"].elements.map { constraint in
            let word = constraint[1].string?.uppercased() ?? ""
            return [constraint[0], .string(word == "EQUALS" ? "IS" : word), constraint[2]]
        }
        pod.uris = uris
        var template = pod.template(labels: labels, annotations: annotations)
        spec.parameters.apply(to: &template)
        return template
    }

    private func number(_ member: String) -> Double { spec.json[member].double ?? 0 }

    private var uris: [JSON] {
        let old: [JSON] = spec.json["uris"].elements.map { ["uri": $0, "extract": true] }
        return (old + spec.json["fetch"].elements).map { fetch in
            var uri: JSON = [
                "value": fetch["uri"], "extract": .bool(fetch["extract"].bool ?? true),
                "executable": .bool(fetch["executable"].bool ?? false), "cache": .bool(fetch["cache"].bool ?? false),
            ]
            if let file = fetch["output_file"].string ?? fetch["outputFile"].string, !file.isEmpty {
                uri["output_file"] = .string(file)
            }
            return uri
        }
    }

    private func setEnvironment(_ environment: inout JobEnvironment) {
        environment.setField("mesos_task_id", "metadata.name")
        environment.set("CHRONOS_JOB_NAME", spec.name)
        environment.set("CHRONOS_JOB_OWNER", spec.json["owner"].string ?? "")
        environment.set("CHRONOS_JOB_RUN_TIME", String(due.microseconds / 1000))
        for (name, member) in [("CPU", "cpus"), ("MEM", "mem"), ("DISK", "disk")] {
            environment.set("CHRONOS_RESOURCE_\(name)", number(member).description)
        }
        for variable in spec.json["environmentVariables"].elements {
            guard let name = variable["name"].string, !name.contains("=") else { continue }
            environment.set(name, variable["value"].string ?? variable["value"].description)
        }
    }
}
