import HTTPWindow
import JSON

/// A failure as Metronome's clients know it: a status and a JSON body.
struct MetronomeError: Error, Sendable, CustomStringConvertible {
    let status: Int
    let body: JSON

    init(_ status: Int, _ message: String) {
        self.status = status
        body = ["message": .string(message)]
    }
    init(status: Int, body: JSON) {
        self.status = status
        self.body = body
    }

    var description: String {
        let details = Violation.text(body["details"])
        let message = body["message"].string ?? ""
        return details.isEmpty ? message : "\(message) (\(details))"
    }
    var response: WindowResponse { WindowResponse(status, json: body) }

    /// 422: the document has another form than it should, or values that are not allowed.
    static func invalid(_ violations: [Violation]) -> MetronomeError {
        MetronomeError(
            status: 422, body: ["message": "Object is not valid", "details": Violation.details(violations)])
    }
    static func noJob(_ id: String) -> MetronomeError {
        MetronomeError(status: 404, body: ["id": .string(id), "message": "Job not found"])
    }
    static func noSchedule(_ id: String) -> MetronomeError {
        MetronomeError(status: 404, body: ["id": .string(id), "message": "Schedule not found"])
    }
    static func noRun(_ id: String, of job: String) -> MetronomeError {
        MetronomeError(
            status: 404, body: ["jobSpec": .string(job), "id": .string(id), "message": "Job Run not found"])
    }
    /// Errors of requests that reach no handler name the path.
    static func request(_ status: Int, _ message: String, path: String) -> MetronomeError {
        MetronomeError(status: status, body: ["message": .string(message), "requestPath": .string(path)])
    }
}
