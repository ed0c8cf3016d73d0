import JSON
import MesosModel
import ObjectModel

/// A job's definition with everything that it leaves out filled in: what is stored and what clients are shown.
struct JobSpec: Sendable, Hashable {
    let id: String
    let json: JSON

    static func == (left: JobSpec, right: JobSpec) -> Bool { left.id == right.id && left.json == right.json }
    func hash(into hasher: inout Hasher) { hasher.combine(id) }

    /// - Parameters:
    ///   - document: as a client wrote it; what is not understood is left out.
    ///   - id: when another than the document says.
    init(_ document: JSON, id: String? = nil) {
        let id = id ?? document["id"].string ?? ""
        self.id = id
        var json: JSON = ["id": .string(id)]
        json.setMember("description", document["description"])
        if document["description"].isNull { json.removeMember("description") }
        json["dependencies"] = .array(
            document["dependencies"].elements.compactMap { $0["id"].string }.map { ["id": .string($0)] })
        json["labels"] = .object(document["labels"].members)
        json["schedules"] = .array(document["schedules"].elements.map { Self.schedule($0) })
        json["run"] = Self.run(document["run"])
        self.json = json
    }

    var run: JSON { json["run"] }
    /// Options of Docker's command line that the job has.
    var dockerParameters: DockerParameters {
        DockerParameters(
            run["docker"]["parameters"].elements,
            isHostNetwork: run["networks"].elements.allSatisfy { $0["mode"].string == "host" },
            hasShell: !run["cmd"].isNull)
    }
    var schedules: [JSON] { json["schedules"].elements }
    var dependencies: [String] { json["dependencies"].elements.compactMap { $0["id"].string } }
    func schedule(_ id: String) -> JSON? { schedules.first { $0["id"].string == id } }

    /// The same job with other schedules.
    func with(schedules: [JSON]) -> JobSpec {
        var json = json
        json["schedules"] = .array(schedules)
        return JobSpec(json)
    }

    /// A schedule with everything that it leaves out.
    static func schedule(_ document: JSON, id: String? = nil) -> JSON {
        [
            "id": id.map { .string($0) } ?? document["id"], "cron": document["cron"],
            "timezone": .string(document["timezone"].string ?? "UTC"),
            "startingDeadlineSeconds": JSON(document["startingDeadlineSeconds"].int ?? 900),
            "concurrencyPolicy": .string(document["concurrencyPolicy"].string ?? "ALLOW"),
            "enabled": .bool(document["enabled"].bool ?? true),
        ]
    }

    private static func run(_ run: JSON) -> JSON {
        var out: JSON = [
            "cpus": .plain(run["cpus"].double ?? 1), "mem": .plain(run["mem"].double ?? 128),
            "disk": .plain(run["disk"].double ?? 0), "gpus": JSON(run["gpus"].int ?? 0),
        ]
        for name in ["cmd", "args", "user"] where !run[name].isNull { out[name] = run[name] }
        out["env"] = .object(run["env"].members)
        out["placement"] = [
            "constraints": .array(
                run["placement"]["constraints"].elements.map { constraint in
                    var constraint = constraint
                    // An older name of the same.
                    if constraint["operator"].string == "EQ" { constraint["operator"] = "IS" }
                    return constraint
                })
        ]
        out["artifacts"] = .array(
            run["artifacts"].elements.map { artifact in
                [
                    "uri": artifact["uri"], "extract": .bool(artifact["extract"].bool ?? true),
                    "executable": .bool(artifact["executable"].bool ?? false),
                    "cache": .bool(artifact["cache"].bool ?? false),
                ]
            })
        out["maxLaunchDelay"] = JSON(run["maxLaunchDelay"].int ?? 3600)
        let docker = run["docker"]
        if !docker.isNull {
            out["docker"] = [
                "image": docker["image"], "privileged": .bool(docker["privileged"].bool ?? false),
                "parameters": .array(docker["parameters"].elements),
                "forcePullImage": .bool(docker["forcePullImage"].bool ?? false),
            ]
        }
        let ucr = run["ucr"]
        if !ucr.isNull {
            out["ucr"] = [
                "image": [
                    "id": ucr["image"]["id"], "kind": .string(ucr["image"]["kind"].string ?? "docker"),
                    "forcePull": .bool(ucr["image"]["forcePull"].bool ?? false),
                ],
                "privileged": .bool(ucr["privileged"].bool ?? false),
            ]
        }
        out["volumes"] = .array(run["volumes"].elements)
        var restart: JSON = ["policy": .string(run["restart"]["policy"].string ?? "NEVER")]
        if let seconds = run["restart"]["activeDeadlineSeconds"].int {
            restart["activeDeadlineSeconds"] = JSON(seconds)
        }
        out["restart"] = restart
        if let grace = run["taskKillGracePeriodSeconds"].double {
            out["taskKillGracePeriodSeconds"] = .integer(Int64(bounded: grace))
        }
        out["secrets"] = .object(run["secrets"].members)
        out["networks"] = .array(run["networks"].elements)
        return out
    }
}
