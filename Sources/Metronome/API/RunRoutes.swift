import HTTPWindow
import JSON
import ObjectModel
import ScheduledJobs

extension MetronomeAPI {
    /// `/v1/jobs/{id}/runs`: those that go on; POST starts one.
    func runs(_ request: WindowRequest, _ id: String) async throws -> WindowResponse {
        try await access.require(request.method == "POST" ? "update" : "get", id, request)
        let definition = try definition(id)
        switch request.method {
        case "GET", "HEAD":
            return WindowResponse(
                json: .array(state.activeRuns(of: id).map { $0.json(state.tasks(of: $0)) }))
        case "POST":
            let made = try await client.create(
                .jobs, JobMaker(definition).job(suffix: NameGenerator.suffix(length: 10)))
            await state.show(made, in: state.runs)
            return WindowResponse(201, json: JobRun(made, .metronome).json([]))
        default: throw Self.notAllowed(request)
        }
    }

    /// `/v1/jobs/{id}/runs/{run}`: also one that ended, as long as the cluster has it.
    func run(_ request: WindowRequest, _ id: String, _ name: String) async throws -> WindowResponse {
        guard request.method == "GET" || request.method == "HEAD" else { throw Self.notAllowed(request) }
        try await access.require("get", id, request)
        guard let run = state.runs(of: id).first(where: { $0.id == name }) else {
            throw MetronomeError.noRun(name, of: id)
        }
        return WindowResponse(json: run.json(state.tasks(of: run)))
    }

    /// `/v1/jobs/{id}/runs/{run}/actions/stop`
    func stop(_ request: WindowRequest, _ id: String, _ name: String) async throws -> WindowResponse {
        guard request.method == "POST" else { throw Self.notAllowed(request) }
        try await access.require("update", id, request)
        _ = try definition(id)
        guard let run = state.runs(of: id).first(where: { $0.id == name }), run.finished == nil else {
            throw MetronomeError.noRun(name, of: id)
        }
        try await keeper.jobs.stop(run, because: "a client asked for it")
        var json = run.json(state.tasks(of: run))
        json["status"] = .string(JobRun.Status.failed.rawValue)
        return WindowResponse(json: json)
    }
}
