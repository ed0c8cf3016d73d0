import HTTPWindow
import JSON

/// A failure as Marathon's clients know it: a status and a JSON body.
struct MarathonError: Error, Sendable, CustomStringConvertible {
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

    var message: String { body["message"].string ?? "" }
    var description: String {
        let details = Violation.text(body["details"])
        return details.isEmpty ? message : "\(message) (\(details))"
    }
    var response: WindowResponse { WindowResponse(status, json: body) }

    /// 400: the document has another form than it should.
    static func malformed(_ violations: [Violation]) -> MarathonError {
        MarathonError(status: 400, body: ["message": "Invalid JSON", "details": Violation.details(violations)])
    }
    /// 400: no JSON at all.
    static func unparsable(_ problem: String) -> MarathonError {
        MarathonError(status: 400, body: ["message": "Invalid JSON", "details": .string(problem)])
    }
    /// 422: the document's values are not allowed.
    static func invalid(_ violations: [Violation]) -> MarathonError {
        MarathonError(status: 422, body: ["message": "Object is not valid", "details": Violation.details(violations)])
    }
    static func invalid(_ path: String, _ message: String) -> MarathonError {
        invalid([Violation(path: path, message: message)])
    }
    static func noApp(_ id: PathID, version: String? = nil) -> MarathonError {
        MarathonError(404, "App '\(id)' does not exist" + (version.map { " in version \($0)" } ?? ""))
    }
    static func noPod(_ id: PathID, version: String? = nil) -> MarathonError {
        MarathonError(404, "Pod '\(id)' does not exist" + (version.map { " in version \($0)" } ?? ""))
    }
    static func noGroup(_ id: PathID, version: String? = nil) -> MarathonError {
        MarathonError(404, "Group '\(id)' does not exist" + (version.map { " in version \($0)" } ?? ""))
    }
    static func locked(_ what: String, by deployments: [String]) -> MarathonError {
        MarathonError(
            status: 409,
            body: [
                "message": .string(
                    "\(what) is locked by one or more deployments. Override with the option '?force=true'. View details "
                        + "at '/v2/deployments/<DEPLOYMENT_ID>'."),
                "deployments": .array(deployments.map { ["id": .string($0)] }),
            ])
    }
}
