import ClusterClient
import HTTPWindow
import JSON
import Logging
import ObjectModel
import ScheduledJobs

/// Answers requests to Chronos's window.
struct ChronosAPI: Sendable {
    let configuration: Chronos.Configuration
    let state: JobState<Definition>
    let keeper: Keeper
    let client: ClusterClient
    let access: JobAccess
    let logger: Logger

    func answer(_ request: WindowRequest) async -> WindowResponse {
        do {
            return try await route(request)
        } catch let error as ChronosError {
            return error.response
        } catch let error as WindowError {
            return ChronosError(error.status, error.message).response
        } catch let error as StatusError {
            return ChronosError([403, 409, 422].contains(error.code) ? 400 : 503, error.message).response
        } catch is CancellationError {
            return ChronosError(503, "the server is shutting down").response
        } catch {
            logger.error("\(request.method) \(request.path): \(error)")
            return ChronosError(500, "\(error)").response
        }
    }

    private func route(_ request: WindowRequest) async throws -> WindowResponse {
        var parts = request.path.split(separator: "/").map(String.init)
        if parts.first == "v1" { parts.removeFirst() }
        switch parts {
        case ["ping"]: return WindowResponse(200, text: "pong")
        case ["leader"], ["scheduler", "leader"]:
            return WindowResponse(json: ["leader": .string("\(configuration.address):\(configuration.port)")])
        case ["metrics"]: return WindowResponse(json: metrics)
        default: break
        }
        guard parts.count >= 2, parts[0] == "scheduler" else {
            throw ChronosError(404, "no such path: \(request.path)")
        }
        await state.waitUntilSynced()
        let rest = Array(parts.dropFirst())
        let isRead = request.method == "GET" || request.method == "HEAD"
        switch (rest[0], rest.count) {
        case ("jobs", _) where isRead: return try await jobs(request, Array(rest.dropFirst()))
        case ("graph", 2) where isRead: return try await graph(request, rest[1])
        case ("stats", 2) where isRead: return try await statistics(request, rest[1])
        case ("iso8601", 1), ("dependency", 1):
            guard request.method == "POST" || request.method == "PUT" else { throw Self.notAllowed(request) }
            return try await put(request, isDependency: rest[0] == "dependency")
        case ("job", 2): return try await job(request, rest[1])
        case ("job", 3) where rest[1] == "stat" && isRead: return try await statistic(request, rest[2])
        case ("job", 3) where rest[1] == "success" && request.method == "PUT":
            return try await markSuccess(request, rest[2])
        case ("task", 3) where rest[1] == "kill" && request.method == "DELETE": return try await kill(request, rest[2])
        case ("job", 5) where rest[2] == "task" && rest[4] == "progress":
            throw ChronosError(501, "progress of tasks is not kept")
        case ("task", 2) where request.method == "PUT":
            throw ChronosError(501, "asynchronous jobs are not supported: a task ends with its program")
        default: throw isRead ? ChronosError(404, "no such path: \(request.path)") : Self.notAllowed(request)
        }
    }

    private static func notAllowed(_ request: WindowRequest) -> ChronosError {
        ChronosError(405, "\(request.method) is not allowed at \(request.path)")
    }

    static var done: WindowResponse { WindowResponse(204) }

    /// The jobs that a principal may read, by name.
    func readable(_ request: WindowRequest) async -> [Definition] {
        let all = state.all
        let readable = await access.readable(all.map(\.name), request)
        return all.filter { readable.contains($0.name) }
    }

    func definition(_ name: String) throws -> Definition {
        guard let found = state.definition(name) else { throw ChronosError.noJob(name) }
        return found
    }

    private var metrics: JSON {
        func gauge(_ value: Int) -> JSON { ["value": JSON(value)] }
        return [
            "version": "3.0.0",
            "gauges": [
                "chronos.jobs": gauge(state.definitions.count),
                "chronos.runs.active": gauge(state.runs.all.count { $0.finished == nil }),
            ], "counters": .object([:]), "histograms": .object([:]), "meters": .object([:]), "timers": .object([:]),
        ]
    }
}
