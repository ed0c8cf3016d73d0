import ClusterClient
import HTTPWindow
import JSON
import ObjectModel
import ScheduledJobs

extension ChronosAPI {
    /// A definition as clients are shown it: with its counts, and a schedule that says what is yet to come.
    static func shown(_ definition: Definition) -> JSON {
        let (spec, status) = (definition.spec, definition.record)
        var json = spec.json
        json["successCount"] = JSON(status.successCount)
        json["errorCount"] = JSON(status.errorCount)
        json["errorsSinceLastSuccess"] = JSON(status.errorsSinceLastSuccess)
        json["lastSuccess"] = .string(status.lastSuccess)
        json["lastError"] = .string(status.lastError)
        if spec.schedule != nil { json["schedule"] = .string(schedule(definition)) }
        return json
    }

    private static func schedule(_ definition: Definition) -> String {
        guard let text = definition.spec.schedule, let interval = definition.spec.interval,
            let plan = definition.record.plan(of: definition.spec)
        else { return definition.spec.schedule ?? "" }
        // With a zone of its own a start is a time on the clock there, as the client wrote it.
        if !definition.spec.zone.isEmpty, plan.next == interval.start, plan.left == interval.count { return text }
        let count = plan.left.map(String.init) ?? ""
        let start = plan.next.chronosText
        return "R\(count)/\(start)/\(interval.period.text)"
    }

    /// `jobs`, `jobs/search`, `jobs/summary`.
    func jobs(_ request: WindowRequest, _ rest: [String]) async throws -> WindowResponse {
        let all = await readable(request)
        switch rest {
        case []: return WindowResponse(json: .array(all.map(Self.shown)))
        case ["summary"]:
            return WindowResponse(json: [
                "jobs": .array(
                    all.map { definition in
                        [
                            "name": .string(definition.spec.name), "status": .string(Self.lastState(definition)),
                            "state": .string(state.word(of: definition.spec.name)),
                            "schedule": .string(Self.schedule(definition)),
                            "parents": .array(definition.spec.parents.map { .string($0) }),
                            "disabled": .bool(definition.spec.isDisabled),
                        ]
                    })
            ])
        case ["search"]:
            func term(_ name: String) -> String? {
                request.parameter(name).flatMap { $0.isEmpty ? nil : $0.lowercased() }
            }
            let (name, command, any) = (term("name"), term("command"), term("any"))
            let found = all.filter { definition in
                let ownName = definition.spec.name.lowercased()
                let ownCommand = (definition.spec.json["command"].string ?? "").lowercased()
                return (name.map { ownName.contains($0) } ?? true) && (command.map { ownCommand.contains($0) } ?? true)
                    && (any.map { ownName.contains($0) || ownCommand.contains($0) } ?? true)
            }
            func number(_ name: String, _ standard: Int) -> Int {
                max(0, request.parameter(name).flatMap { Int($0) } ?? standard)
            }
            let page = found.dropFirst(number("offset", 0)).prefix(number("limit", 10_000))
            return WindowResponse(json: .array(page.map(Self.shown)))
        default: throw ChronosError(404, "no such path: \(request.path)")
        }
    }

    /// `fresh`, `success` or `failure`.
    static func lastState(_ definition: Definition) -> String {
        let (success, error) = (definition.record.lastSuccess, definition.record.lastError)
        if success.isEmpty, error.isEmpty { return "fresh" }
        return success > error ? "success" : "failure"
    }

    // MARK: One job

    /// `job/NAME`: GET shows it, PUT starts it, DELETE removes it.
    func job(_ request: WindowRequest, _ name: String) async throws -> WindowResponse {
        switch request.method {
        case "GET", "HEAD":
            try await access.require("get", name, request)
            return WindowResponse(json: Self.shown(try definition(name)))
        case "PUT":
            try await access.require("update", name, request)
            let definition = try definition(name)
            if definition.spec.isDisabled { throw ChronosError("Job '\(name)' is disabled") }
            let arguments = definition.spec.isShell ? nil : request.parameter("arguments")
            try await keeper.start(
                definition, due: .now, suffix: "now-" + NameGenerator.suffix(length: 8),
                arguments: arguments?.split(separator: " ").map(String.init) ?? [])
            return Self.done
        case "DELETE":
            try await access.require("delete", name, request)
            try await remove(try definition(name))
            return Self.done
        default: throw ChronosError(405, "\(request.method) is not allowed at \(request.path)")
        }
    }

    /// Those that follow a removed job follow what it followed, or take over its schedule.
    private func remove(_ definition: Definition) async throws {
        let spec = definition.spec
        for child in state.children(of: spec.name) {
            let rest = child.spec.parents.filter { $0 != spec.name } + spec.parents
            let new = rest.isEmpty ? child.spec.with(scheduleOf: spec) : child.spec.with(parents: rest)
            let written = try await client.modify(JobNames.chronos.definitions, child.object.key) { tree in
                tree["spec"] = new.json
                return true
            }
            if let written { await state.show(written, in: state.definitions) }
        }
        try await client.delete(
            JobNames.chronos.definitions, definition.object.key,
            options: DeleteOptions(uid: definition.object.uid, propagation: .background))
        try await state.showRemoval(of: definition)
    }

    /// `iso8601` and `dependency`: makes a job, or puts another in its place.
    func put(_ request: WindowRequest, isDependency: Bool) async throws -> WindowResponse {
        let bytes = try await request.body(limit: 1 << 20)
        let document: JSON
        do throws(JSONError) {
            document = try JSON.parse(bytes)
        } catch {
            throw ChronosError("Invalid JSON: \(error)")
        }
        let spec = try JobSpec(document)
        if isDependency, spec.parents.isEmpty { throw ChronosError("a dependent job needs parents") }
        if !isDependency, spec.schedule == nil { throw ChronosError("a scheduled job needs a schedule") }
        let known = state.definition(spec.name)
        try await access.require(known == nil ? "create" : "update", spec.name, request)
        try checkParents(spec)
        let written: Object
        if known == nil {
            written = try await client.create(
                JobNames.chronos.definitions,
                [
                    "apiVersion": "chronos.apus.dev/v1", "kind": "ChronosJob",
                    "metadata": [
                        "name": .string(JobNames.chronos.objectName(spec.name)),
                        "namespace": .string(JobNames.namespace),
                    ],
                    "spec": spec.json,
                ])
        } else {
            let changed = try await client.modify(JobNames.chronos.definitions, JobNames.chronos.key(spec.name)) {
                tree in
                tree["spec"] = spec.json
                return true
            }
            guard let changed else { throw ChronosError.noJob(spec.name) }
            written = changed
        }
        await state.show(written, in: state.definitions)
        return Self.done
    }

    private func checkParents(_ spec: JobSpec) throws {
        for parent in spec.parents where parent != spec.name {
            guard state.definition(parent) != nil else {
                throw ChronosError("the parent '\(parent)' is not known")
            }
        }
        var seen: Set<String> = []
        var next = spec.parents
        while let name = next.popLast() {
            if name == spec.name { throw ChronosError("the job would follow itself") }
            if seen.insert(name).inserted { next += state.definition(name)?.spec.parents ?? [] }
        }
    }

    /// `job/success/NAME`: counts a success that there was no run for.
    func markSuccess(_ request: WindowRequest, _ name: String) async throws -> WindowResponse {
        try await access.require("update", name, request)
        let definition = try definition(name)
        let written = try await client.modify(JobNames.chronos.definitions, definition.object.key) { tree in
            var status = JobStatus(tree["status"])
            status.succeeded(at: .now)
            tree["status"] = status.json
            return true
        }
        if let written { await state.show(written, in: state.definitions) }
        return WindowResponse(200, text: "marked job \(name) as successful: \(written != nil)")
    }

    /// `task/kill/NAME`: ends all that runs of a job.
    func kill(_ request: WindowRequest, _ name: String) async throws -> WindowResponse {
        try await access.require("update", name, request)
        _ = try definition(name)
        for run in state.activeRuns(of: name) { try await keeper.jobs.stop(run, because: "a client asked for it") }
        return Self.done
    }
}
