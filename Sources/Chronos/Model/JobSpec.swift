import JSON
import MesosModel
import ObjectModel
import RegularExpression

/// A job's definition with everything that it leaves out filled in: what is stored.
struct JobSpec: Sendable {
    let name: String
    let json: JSON

    var schedule: String? { json["schedule"].string }
    var zone: String { json["scheduleTimeZone"].string ?? "" }
    var parents: [String] { json["parents"].elements.compactMap(\.string) }
    var isDisabled: Bool { json["disabled"].bool ?? false }
    var mayOverlap: Bool { json["concurrent"].bool ?? false }
    /// A failure counts as a success for the jobs that follow.
    var hasSoftErrors: Bool { json["softError"].bool ?? false }
    var isShell: Bool { json["shell"].bool ?? true }
    var interval: RepeatingInterval? { schedule.flatMap { try? RepeatingInterval($0, zone: zone) } }
    /// How late a run may start, in microseconds.
    var epsilon: Int64 { json["epsilon"].string.flatMap { ISODuration($0) }?.roughly ?? 60_000_000 }

    /// Reads what is stored.
    init(stored json: JSON, name: String) {
        self.name = json["name"].string ?? name
        self.json = json
    }

    /// Reads what a client sends.
    /// - Throws: `ChronosError` 400 that names the first thing wrong.
    init(_ document: JSON) throws(ChronosError) {
        guard document.object != nil else { throw ChronosError("the body has to be a JSON object") }
        guard let name = document["name"].string, !name.isEmpty, name.utf8.count <= 200,
            name.utf8.allSatisfy(Self.isWord)
        else {
            throw ChronosError(
                "the job's name is invalid. Allowed names: '([\\w\\.-]+)'")
        }
        self.name = name
        var json: JSON = ["name": .string(name)]
        for (member, standard) in Self.texts { json[member] = .string(document[member].string ?? standard) }
        for (member, standard) in Self.flags {
            guard let value = document[member].isNull ? standard : document[member].bool else {
                throw ChronosError("\(member) has to be true or false")
            }
            json[member] = .bool(value)
        }
        for (member, standard) in Self.numbers {
            let given = document[member]
            // Numbers come as texts, too.
            guard let value = given.isNull ? standard : given.double ?? given.string.flatMap({ Double($0) }),
                value >= 0,
                value < 1e9
            else { throw ChronosError("\(member) has to be a number that is not negative") }
            if let whole = Int64(exactly: value) {
                json[member] = .integer(whole)
            } else {
                json[member] = .number(JSONNumber(text: "\(value)"))
            }
        }
        for member in ["arguments", "uris", "fetch", "environmentVariables", "constraints"] {
            guard document[member].isNull || document[member].array != nil else {
                throw ChronosError("\(member) has to be a list")
            }
            json[member] = .array(document[member].elements)
        }
        if !document["container"].isNull { json["container"] = document["container"] }
        if let user = document["runAsUser"].string, !user.isEmpty { json["runAsUser"] = .string(user) }
        let parents = document["parents"].elements.compactMap(\.string)
        if let schedule = document["schedule"].string, !schedule.isEmpty {
            guard parents.isEmpty else { throw ChronosError("a job has a schedule or parents, not both") }
            json["schedule"] = .string(schedule)
            json["scheduleTimeZone"] = .string(document["scheduleTimeZone"].string ?? "")
        } else {
            guard !parents.isEmpty else { throw ChronosError("a job needs a schedule or parents") }
            json["parents"] = .array(Set(parents).sorted().map { .string($0) })
        }
        self.json = json
        try check()
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static let texts = [
        ("command", ""), ("description", ""), ("owner", ""), ("ownerName", ""), ("epsilon", "PT60S"), ("executor", ""),
        ("executorFlags", ""), ("taskInfoData", ""),
    ]
    private static let flags = [
        ("shell", true), ("disabled", false), ("concurrent", false), ("softError", false), ("highPriority", false),
        ("dataProcessingJobType", false),
    ]
    private static let numbers: [(String, Double)] = [
        ("retries", 2), ("cpus", 0.1), ("mem", 128), ("disk", 256), ("maxCompletionTime", 0),
    ]

    // MARK: Rules

    private func check() throws(ChronosError) {
        if let schedule { _ = try RepeatingInterval(schedule, zone: zone) }
        guard ISODuration(json["epsilon"].string ?? "") != nil else {
            throw ChronosError("epsilon '\(json["epsilon"].string ?? "")' is no duration of ISO 8601")
        }
        let image = json["container"]["image"].string ?? ""
        if (json["command"].string ?? "").isEmpty, image.isEmpty { throw ChronosError("the command is missing") }
        if !(json["executor"].string ?? "").isEmpty {
            throw ChronosError("executors of one's own are not supported: leave executor empty")
        }
        if (json["cpus"].double ?? 0) <= 0 { throw ChronosError("cpus have to be more than 0") }
        if !json["uris"].elements.isEmpty, !json["fetch"].elements.isEmpty {
            throw ChronosError("Tried to add both uri (deprecated) and fetch parameters on \(name)")
        }
        for uri in json["fetch"].elements where uri["uri"].string?.isEmpty ?? true {
            throw ChronosError("an entry of fetch has no uri")
        }
        for variable in json["environmentVariables"].elements where variable["name"].string?.isEmpty ?? true {
            throw ChronosError("an environment variable has no name")
        }
        for constraint in json["constraints"].elements {
            let parts = constraint.elements.compactMap(\.string)
            guard parts.count == 3, ["EQUALS", "LIKE", "UNLIKE"].contains(parts[1].uppercased()) else {
                throw ChronosError("a constraint has the form [ATTRIBUTE, EQUALS|LIKE|UNLIKE, VALUE]")
            }
            if parts[1].uppercased() != "EQUALS", (try? Pattern(parts[2])) == nil {
                throw ChronosError("'\(parts[2])' is not a valid regular expression")
            }
        }
        try checkContainer()
    }

    private func checkContainer() throws(ChronosError) {
        let container = json["container"]
        guard !container.isNull else { return }
        guard container["image"].string?.isEmpty == false else { throw ChronosError("the container has no image") }
        guard ["DOCKER", "MESOS"].contains(container["type"].string?.uppercased() ?? "DOCKER") else {
            throw ChronosError("the container's type is DOCKER or MESOS")
        }
        for volume in container["volumes"].elements {
            guard volume["external"].isNull else { throw ChronosError("external volumes are not supported") }
            guard volume["hostPath"].string?.isEmpty == false, volume["containerPath"].string?.isEmpty == false else {
                throw ChronosError("a volume needs hostPath and containerPath")
            }
        }
        if let problem = parameters.problems.first { throw ChronosError(problem.message) }
    }

    var hasOwnNetwork: Bool {
        let container = json["container"]
        let network = container["network"].string?.uppercased()
        return network == "BRIDGE" || network == "USER" || !container["networkInfos"].elements.isEmpty
    }
    var parameters: DockerParameters {
        DockerParameters(
            json["container"]["parameters"].elements, isHostNetwork: !hasOwnNetwork,
            hasShell: isShell && !(json["command"].string ?? "").isEmpty)
    }

    /// The same job with other parents, or with the schedule of another.
    func with(parents: [String]) -> JobSpec {
        var json = json
        json["parents"] = .array(Set(parents).sorted().map { .string($0) })
        return JobSpec(stored: json, name: name)
    }
    func with(scheduleOf other: JobSpec) -> JobSpec {
        var json = json
        json.removeMember("parents")
        json["schedule"] = other.json["schedule"]
        json["scheduleTimeZone"] = other.json["scheduleTimeZone"]
        return JobSpec(stored: json, name: name)
    }
}
