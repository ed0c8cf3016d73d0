import HTTPWindow
import JSON
import ScheduledJobs

extension MetronomeAPI {
    /// `/v1/jobs/{id}/schedules`
    func schedules(_ request: WindowRequest, _ id: String) async throws -> WindowResponse {
        let isRead = request.method == "GET" || request.method == "HEAD"
        try await access.require(isRead ? "get" : "update", id, request)
        switch request.method {
        case "GET", "HEAD":
            return WindowResponse(json: .array(try definition(id).spec.schedules.map { Self.shown($0) }))
        case "POST":
            let schedule = try JobValidation.schedule(try await Self.document(request))
            let name = schedule["id"].string ?? ""
            let spec = try await change(id) { old in
                if old.schedule(name) != nil {
                    throw MetronomeError(409, "A schedule with id \(name) already exists")
                }
                guard old.schedules.isEmpty else {
                    throw MetronomeError(409, "Only one schedule supported at the moment")
                }
                return old.with(schedules: [schedule])
            }
            return WindowResponse(201, json: Self.shown(spec.schedule(name) ?? schedule))
        default: throw Self.notAllowed(request)
        }
    }

    /// `/v1/jobs/{id}/schedules/{schedule}`
    func schedule(_ request: WindowRequest, _ id: String, _ name: String) async throws -> WindowResponse {
        let isRead = request.method == "GET" || request.method == "HEAD"
        try await access.require(isRead ? "get" : "update", id, request)
        switch request.method {
        case "GET", "HEAD":
            guard let found = try definition(id).spec.schedule(name) else { throw MetronomeError.noSchedule(name) }
            return WindowResponse(json: Self.shown(found))
        case "PUT":
            let schedule = try JobValidation.schedule(try await Self.document(request), id: name)
            let spec = try await change(id) { old in
                guard old.schedule(name) != nil else { throw MetronomeError.noSchedule(name) }
                return old.with(schedules: [schedule] + old.schedules.filter { $0["id"].string != name })
            }
            return WindowResponse(json: Self.shown(spec.schedule(name) ?? schedule))
        case "DELETE":
            _ = try await change(id) { old in
                guard old.schedule(name) != nil else { throw MetronomeError.noSchedule(name) }
                return old.with(schedules: old.schedules.filter { $0["id"].string != name })
            }
            return WindowResponse(200)
        default: throw Self.notAllowed(request)
        }
    }
}
