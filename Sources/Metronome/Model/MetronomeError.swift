import HTTPWindow
import JSON

/// What is wrong with one member of a document.
struct Violation: Sendable, Hashable {
    /// For example `/run/cpus`.
    var path: String
    var message: String
}

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
        let details = body["details"].elements.map { "\($0["path"].string ?? ""): \($0["errors"][0].string ?? "")" }
        let message = body["message"].string ?? ""
        return details.isEmpty ? message : "\(message) (\(details.joined(separator: "; ")))"
    }
    var response: WindowResponse { WindowResponse(status, json: body) }

    /// 422: the document has another form than it should, or values that are not allowed.
    static func invalid(_ violations: [Violation]) -> MetronomeError {
        var order: [String] = []
        var byPath: [String: [JSON]] = [:]
        for violation in violations {
            if byPath[violation.path] == nil { order.append(violation.path) }
            byPath[violation.path, default: []].append(.string(violation.message))
        }
        return MetronomeError(
            status: 422,
            body: [
                "message": "Object is not valid",
                "details": .array(order.map { ["path": .string($0), "errors": .array(byPath[$0] ?? [])] }),
            ])
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
