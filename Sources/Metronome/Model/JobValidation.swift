import HTTPWindow
import JSON
import ObjectModel
import RegularExpression

/// What Metronome asks of a definition beyond its form.
enum JobValidation {
    /// Reads a job.
    /// - Parameter id: of the path, when the request names one.
    /// - Throws: `MetronomeError` 422.
    static func job(_ document: JSON, id: String? = nil) throws(MetronomeError) -> JobSpec {
        var problems = Form.job.violations(document)
        guard problems.isEmpty else { throw .invalid(problems) }
        let spec = JobSpec(document, id: id)
        for (index, schedule) in spec.schedules.enumerated() {
            problems += scheduleProblems(schedule, "/schedules/\(index)")
        }
        problems += runProblems(spec.run)
        problems += spec.dockerParameters.problems.map {
            Violation(path: "/run/docker/parameters/\($0.index)", message: $0.message)
        }
        func wrong(_ path: String, _ message: String) { problems.append(Violation(path: path, message: message)) }
        if spec.schedules.count > 1 { wrong("/schedules", "has size \(spec.schedules.count), expected 1 or less") }
        if Set(spec.dependencies).count < spec.dependencies.count { wrong("/dependencies", "has double entries") }
        if !spec.schedules.isEmpty, !spec.dependencies.isEmpty {
            wrong("/", "Jobs may not have both dependencies and schedules specified")
        }
        guard problems.isEmpty else { throw .invalid(problems) }
        return spec
    }

    /// Reads a schedule by itself.
    static func schedule(_ document: JSON, id: String? = nil) throws(MetronomeError) -> JSON {
        var problems = Form.schedule.violations(document)
        guard problems.isEmpty else { throw .invalid(problems) }
        let schedule = JobSpec.schedule(document, id: id)
        problems = scheduleProblems(schedule, "")
        guard problems.isEmpty else { throw .invalid(problems) }
        return schedule
    }

    /// Refuses dependencies on jobs that do not exist, and circles.
    static func dependencies(_ spec: JobSpec, _ all: [String: JobSpec]) throws(MetronomeError) {
        let unknown = spec.dependencies.filter { all[$0] == nil }
        if !unknown.isEmpty {
            throw MetronomeError(
                422, "Dependencies contain unknown jobs. unknown=[\(unknown.joined(separator: ", "))]")
        }
        var seen: Set<String> = []
        var next = spec.dependencies
        while let id = next.popLast() {
            if id == spec.id { throw MetronomeError(422, "Dependencies have a cycle.") }
            if seen.insert(id).inserted { next += all[id]?.dependencies ?? [] }
        }
    }

    private static func scheduleProblems(_ schedule: JSON, _ path: String) -> [Violation] {
        var problems: [Violation] = []
        let cron = schedule["cron"].string ?? ""
        do {
            let parsed = try CronSchedule(parsing: CronText.standard(cron))
            if parsed.next(after: Timestamp.now.seconds) == nil {
                throw CronText.Problem(description: "it never comes")
            }
        } catch {
            problems.append(
                Violation(path: "\(path)/cron", message: "Can not read cron expression \"\(cron)\": \(error)"))
        }
        let zone = schedule["timezone"].string ?? ""
        if TimeZones.rules(zone) == nil {
            problems.append(
                Violation(path: "\(path)/timezone", message: "No time zone found with this id: \"\(zone)\""))
        }
        if let seconds = schedule["startingDeadlineSeconds"].int, seconds < 60 {
            problems.append(
                Violation(
                    path: "\(path)/startingDeadline",
                    message: "got \(seconds) seconds, expected 1 minute or more"))
        }
        return problems
    }

    private static func runProblems(_ run: JSON) -> [Violation] {
        var problems: [Violation] = []
        func wrong(_ path: String, _ message: String) {
            problems.append(Violation(path: "/run" + path, message: message))
        }
        let hasDocker = !run["docker"].isNull
        let hasUCR = !run["ucr"].isNull
        if run["cmd"].isNull, !hasUCR, run["docker"]["image"].string?.isEmpty ?? true {
            wrong("", "Cmd, Docker or UCR image must be specified")
        }
        if hasDocker, hasUCR { wrong("", "Either Docker or UCR should be provided, but not both") }
        if run["ucr"]["image"]["kind"].string == "appc" { wrong("/ucr/image/kind", "AppC images are not supported") }
        if let gpus = run["gpus"].int, gpus > 0 {
            wrong("/gpus", hasDocker ? "GPUs are not supported with Docker" : "GPUs are not supported")
        }
        problems += networkProblems(run["networks"].elements, hasDocker: hasDocker, hasUCR: hasUCR)
        var used: Set<String> = []
        for value in run["env"].members.values { if let name = value["secret"].string { used.insert(name) } }
        for (index, volume) in run["volumes"].elements.enumerated() {
            if let name = volume["secret"].string {
                used.insert(name)
                if hasDocker { wrong("/volumes", "File based secrets are only supported by UCR") }
            } else if volume["hostPath"].isNull || volume["mode"].isNull {
                wrong("/volumes/\(index)", "expected a volume with hostPath and mode, or with a secret")
            }
        }
        let defined = Set(run["secrets"].members.keys)
        let undefined = used.subtracting(defined).sorted().joined(separator: ", ")
        let unused = defined.subtracting(used).sorted().joined(separator: ", ")
        var message = ""
        if !undefined.isEmpty {
            message +=
                "The following secrets are referenced, but undefined: \(undefined). Please add them to the secrets field."
        }
        if !unused.isEmpty {
            message +=
                "The following secrets are defined, but not referenced: \(unused). Please remove them from the secrets "
                + "field."
        }
        if !message.isEmpty { wrong("", message) }
        for (index, constraint) in run["placement"]["constraints"].elements.enumerated() {
            guard ["LIKE", "UNLIKE"].contains(constraint["operator"].string) else { continue }
            let source = constraint["value"].string ?? ""
            if (try? Pattern(source)) == nil {
                wrong("/placement/constraints/\(index)/value", "'\(source)' is not a valid regular expression")
            }
        }
        return problems
    }

    private static func networkProblems(_ networks: [JSON], hasDocker: Bool, hasUCR: Bool) -> [Violation] {
        var problems: [Violation] = []
        func wrong(_ message: String, _ index: Int? = nil, _ member: String = "") {
            let path = index.map { "/run/networks/\($0)\(member)" } ?? "/run/networks"
            problems.append(Violation(path: path, message: message))
        }
        let modes = Set(networks.compactMap { $0["mode"].string })
        if modes.count > 1 {
            wrong("You may not mix host, container, or container/bridge networking. Only define one kind of network.")
        }
        if !hasDocker, !hasUCR {
            if modes.contains(where: { $0 != "host" }) {
                wrong("Only containers may join container or bridge networks")
            }
        } else if hasDocker, modes == ["container"], networks.count > 1 {
            wrong("Docker does not allow specification of multiple networks")
        }
        if modes.contains(where: { $0 != "container" }), networks.count > 1 {
            wrong("Only one host or container/bridge network modes are allowed")
        }
        let names = networks.compactMap { $0["name"].string }
        if Set(names).count < names.count { wrong("network names must be unique") }
        for (index, network) in networks.enumerated() {
            let hint = ["host": "host network", "container": "container networks"]
            let kind = network["mode"].string ?? ""
            if kind == "container" {
                if network["name"].string?.isEmpty ?? true {
                    wrong("must not be empty for container networks", index, "/name")
                }
            } else if network["name"].string != nil {
                wrong("must be empty for \(hint[kind] ?? "container/bridge networks")", index, "/name")
            }
            if kind == "host", !network["labels"].members.isEmpty {
                wrong("must be empty for host network", index, "/labels")
            }
        }
        return problems
    }
}
