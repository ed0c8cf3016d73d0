import ClusterClient
import HTTPWindow
import JSON
import Logging
import ObjectModel
import ScheduledJobs

/// Answers requests to Metronome's window.
struct MetronomeAPI: Sendable {
    let configuration: Metronome.Configuration
    let state: JobState<Definition>
    let keeper: Keeper
    let client: ClusterClient
    let access: JobAccess
    let logger: Logger

    func answer(_ request: WindowRequest) async -> WindowResponse {
        do {
            return try await route(request)
        } catch let error as MetronomeError {
            return error.response
        } catch let error as WindowError {
            return WindowResponse(
                error.status, json: ["message": .string(error.message), "requestPath": .string(request.path)])
        } catch let error as StatusError {
            return WindowResponse(
                [403, 409, 422].contains(error.code) ? error.code : 503, json: ["message": .string(error.message)])
        } catch is CancellationError {
            return WindowResponse(503, json: ["message": "the server is shutting down"])
        } catch {
            logger.error("\(request.method) \(request.path): \(error)")
            return WindowResponse(500, json: ["message": .string("\(error)")])
        }
    }

    private func route(_ request: WindowRequest) async throws -> WindowResponse {
        let parts = request.path.split(separator: "/").map(String.init)
        func unknown() -> MetronomeError { .request(404, "Unknown route.", path: request.path) }
        switch parts {
        case ["ping"]: return WindowResponse(200, text: "pong")
        case ["info"]:
            return WindowResponse(json: [
                "version": .string(configuration.version), "libVersion": "1.11.24", "config": .object([:]),
            ])
        case ["leader"]:
            return WindowResponse(json: ["leader": .string("\(configuration.address):\(configuration.port)")])
        default: break
        }
        guard parts.count >= 2, parts[0] == "v1" || parts[0] == "v0" else { throw unknown() }
        await state.waitUntilSynced()
        let rest = Array(parts.dropFirst(2))
        switch (parts[0], parts[1]) {
        case ("v1", "metrics") where rest.isEmpty: return WindowResponse(json: metrics)
        case ("v1", "queue") where rest.isEmpty: return WindowResponse(json: await queue(request))
        case ("v0", "scheduled-jobs"), ("v1", "scheduled-jobs"):
            guard rest.count <= 1 else { throw unknown() }
            return try await job(request, rest.first, replacesSchedules: true)
        case ("v1", "jobs"): break
        default: throw unknown()
        }
        if let id = rest.first, !IDRule.job.matches(id) {
            throw MetronomeError.request(400, "Not a valid id: \(id)", path: request.path)
        }
        guard rest.count > 1 else { return try await job(request, rest.first, replacesSchedules: false) }
        switch (rest[1], rest.count) {
        case ("schedules", 2): return try await schedules(request, rest[0])
        case ("schedules", 3): return try await schedule(request, rest[0], rest[2])
        case ("runs", 2): return try await runs(request, rest[0])
        case ("runs", 3): return try await run(request, rest[0], rest[2])
        case ("runs", 5) where rest[3] == "actions" && rest[4] == "stop":
            return try await stop(request, rest[0], rest[2])
        default: throw unknown()
        }
    }

    static func notAllowed(_ request: WindowRequest) -> MetronomeError {
        .request(405, "\(request.method) is not allowed here", path: request.path)
    }

    /// The body as JSON.
    static func document(_ request: WindowRequest) async throws -> JSON {
        let bytes = try await request.body(limit: 1 << 20)
        do throws(JSONError) {
            return try JSON.parse(bytes)
        } catch {
            throw MetronomeError.request(400, "Invalid Json: \(error)", path: request.path)
        }
    }

    func definition(_ id: String) throws -> Definition {
        guard let found = state.definition(id) else { throw MetronomeError.noJob(id) }
        return found
    }

    // MARK: Documents of the whole

    private var metrics: JSON {
        let active = state.runs.all.filter { $0.finished == nil }.count
        func gauge(_ value: Int) -> JSON { ["value": JSON(value)] }
        return [
            "version": "3.0.0",
            "gauges": [
                "metronome.jobs.count": gauge(state.definitions.count),
                "metronome.jobs.scheduled.count": gauge(keeper.cronJobs.count),
                "metronome.runs.active.count": gauge(active),
            ], "counters": .object([:]), "histograms": .object([:]), "meters": .object([:]), "timers": .object([:]),
        ]
    }

    /// Runs that wait for a node.
    private func queue(_ request: WindowRequest) async -> JSON {
        let readable = await access.readable(Set(state.runs.all.map(\.job)), request)
        let waiting = state.runs.all.filter { $0.finished == nil && $0.status(state.tasks(of: $0)) == .starting }
        let byJob = Dictionary(grouping: waiting, by: \.job).sorted { $0.key < $1.key }
        return .array(
            byJob.filter { readable.contains($0.key) }.map { job, runs in
                [
                    "jobId": .string(job),
                    "runs": .array(runs.sorted { $0.created < $1.created }.map { ["runId": .string($0.id)] }),
                ]
            })
    }
}
