import ClusterClient
import HTTPWindow
import JSON
import ObjectModel
import ScheduledJobs

/// What an answer shall hold of a job besides its definition.
private struct Embedding {
    var activeRuns = false
    var history = false
    var summary = false

    init(_ request: WindowRequest) throws(MetronomeError) {
        for (name, value) in request.query where name == "embed" {
            for word in value.split(separator: ",") {
                switch word {
                case "activeRuns": activeRuns = true
                case "history": history = true
                case "historySummary": summary = true
                case "schedules": continue
                default:
                    throw .request(
                        400,
                        "Unknown embed options. Valid options are: activeRuns, schedules, history, historySummary",
                        path: request.path)
                }
            }
        }
    }
}

extension MetronomeAPI {
    /// `/v1/jobs` and `/v1/jobs/{id}`; with the schedules inline at `/v0/scheduled-jobs`.
    func job(_ request: WindowRequest, _ id: String?, replacesSchedules: Bool) async throws -> WindowResponse {
        switch (request.method, id) {
        case ("GET", nil), ("HEAD", nil):
            let embedding = try Embedding(request)
            let readable = await access.readable(state.definitions.all.map(\.spec.id), request)
            let all = state.definitions.all.filter { readable.contains($0.spec.id) }.sorted { $0.spec.id < $1.spec.id }
            return WindowResponse(json: .array(all.map { info($0, embedding) }))
        case ("POST", nil): return try await create(request)
        case ("GET", let id?), ("HEAD", let id?):
            try await access.require("get", id, request)
            return WindowResponse(json: info(try definition(id), try Embedding(request)))
        case ("PUT", let id?): return try await update(request, id, replacesSchedules: replacesSchedules)
        case ("DELETE", let id?): return try await delete(request, id)
        default: throw Self.notAllowed(request)
        }
    }

    /// A definition as clients are shown it: schedules say when they come next.
    static func shown(_ spec: JobSpec) -> JSON {
        var json = spec.json
        json["schedules"] = .array(spec.schedules.map(shown))
        return json
    }
    static func shown(_ schedule: JSON) -> JSON {
        var schedule = schedule
        if let next = CronText.next(schedule) { schedule["nextRunAt"] = .string(next.metronomeText) }
        return schedule
    }

    private func info(_ definition: Definition, _ embedding: Embedding) -> JSON {
        var json = Self.shown(definition.spec)
        if embedding.activeRuns {
            json["activeRuns"] = .array(
                state.activeRuns(of: definition.spec.id).map { $0.json(state.tasks(of: $0)) })
        }
        if embedding.history { json["history"] = definition.record.whole }
        if embedding.summary { json["historySummary"] = definition.record.summary }
        return json
    }

    private var allSpecs: [String: JobSpec] {
        Dictionary(state.definitions.all.map { ($0.spec.id, $0.spec) }) { first, _ in first }
    }

    /// Lets the cluster judge what the runs would be, so that a job that could never run is refused at once.
    private func tryOut(_ spec: JobSpec) async throws {
        do {
            _ = try await client.transport.create(
                .jobs, JobMaker(trying: spec).job(suffix: "trying"),
                options: WriteOptions(isDryRun: true, fieldManager: client.component))
        } catch let error as StatusError where error.code == 422 || error.code == 400 {
            throw MetronomeError.invalid([Violation(path: "/run", message: error.message)])
        } catch let error as StatusError where error.code == 403 || error.reason == .alreadyExists {
            // A quota that is full today may not be so when the job runs.
            return
        }
    }

    private func create(_ request: WindowRequest) async throws -> WindowResponse {
        let spec = try JobValidation.job(try await Self.document(request))
        try await access.require("create", spec.id, request)
        try JobValidation.dependencies(spec, allSpecs)
        if state.definition(spec.id) == nil { try await tryOut(spec) }
        do {
            let made = try await client.create(
                JobNames.metronome.definitions,
                [
                    "apiVersion": "metronome.apus.dev/v1", "kind": "MetronomeJob",
                    "metadata": ["name": .string(spec.id), "namespace": .string(JobNames.namespace)],
                    "spec": spec.json,
                ])
            await state.show(made, in: state.definitions)
        } catch let error as StatusError where error.reason == .alreadyExists {
            throw MetronomeError(409, "Job with this id already exists")
        }
        return WindowResponse(201, json: Self.shown(spec))
    }

    private func update(_ request: WindowRequest, _ id: String, replacesSchedules: Bool) async throws -> WindowResponse
    {
        try await access.require("update", id, request)
        let spec = try JobValidation.job(try await Self.document(request), id: id)
        _ = try definition(id)
        try JobValidation.dependencies(spec, allSpecs)
        try await tryOut(spec)
        let result = try await change(id) { old in
            replacesSchedules ? spec : spec.with(schedules: old.schedules)
        }
        return WindowResponse(json: Self.shown(result))
    }

    /// Changes a definition, and waits until it is seen here.
    func change(_ id: String, _ edit: @Sendable (JobSpec) throws -> JobSpec) async throws -> JobSpec {
        let written = try await client.modify(JobNames.metronome.definitions, JobNames.metronome.key(id)) { tree in
            let new = try edit(JobSpec(tree["spec"], id: id))
            if !new.schedules.isEmpty, !new.dependencies.isEmpty {
                throw MetronomeError.invalid([
                    Violation(
                        path: "/", message: "Jobs may not have both dependencies and schedules specified")
                ])
            }
            tree["spec"] = new.json
            return true
        }
        guard let written else { throw MetronomeError.noJob(id) }
        await state.show(written, in: state.definitions)
        return JobSpec(written.tree["spec"], id: id)
    }

    private func delete(_ request: WindowRequest, _ id: String) async throws -> WindowResponse {
        try await access.require("delete", id, request)
        let definition = try definition(id)
        let isForced = request.parameter("stopCurrentJobRuns")?.lowercased() == "true"
        let active = state.activeRuns(of: id)
        if !active.isEmpty, !isForced {
            throw MetronomeError(409, "There are active job runs. Override with stopCurrentJobRuns=true")
        }
        let children = state.children(of: id).map(\.spec.id)
        if !children.isEmpty {
            throw MetronomeError(
                409, "There are jobs with a dependency on \(id). children=[\(children.joined(separator: ", "))]")
        }
        // Its CronJob and its runs are its own, and go with it.
        try await client.delete(
            JobNames.metronome.definitions, definition.object.key,
            options: DeleteOptions(uid: definition.object.uid, propagation: .background))
        try await state.showRemoval(of: definition)
        return WindowResponse(json: Self.shown(definition.spec))
    }
}
