import HTTPWindow
import JSON

/// A failure as Chronos's clients know it: a status and a message.
struct ChronosError: Error, Sendable {
    let status: Int
    let message: String

    init(_ status: Int, _ message: String) {
        self.status = status
        self.message = message
    }
    init(_ message: String) { self.init(400, message) }

    static func noJob(_ name: String) -> ChronosError { ChronosError("Job '\(name)' not found") }

    var response: WindowResponse {
        WindowResponse(status, json: ["status": .string(String(status)), "message": .string(message)])
    }
}
