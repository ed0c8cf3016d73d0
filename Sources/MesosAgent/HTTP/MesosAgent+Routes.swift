public import HTTPWindow
import JSON
import MesosModel

extension MesosAgent {
    /// Answers a request to the window.
    public func handle(_ request: WindowRequest) async throws -> WindowResponse {
        let path = Self.route(request.path)
        switch path {
        case "/api/v1/executor": return try await executorCalls.handle(request)
        case "/api/v1", "/api/v1/operator": return try await operatorCalls.handle(request)
        case "/api/v1/resource_provider":
            throw WindowError(501, "there are no resource providers here; storage is Kubernetes's volumes")
        case "/health": return WindowResponse(200)
        default: break
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            throw WindowError(405, "Expecting one of { 'GET', 'HEAD' }, but received '\(request.method)'")
        }
        if path == "/logging/toggle" { return try LogVerbosity.toggle(request) { DurationText.duration($0) } }
        if path.hasPrefix("/files/") {
            guard caches.areSynced else { throw WindowError(503, "Agent has not finished recovery") }
            return try await files.handle(request, String(path.dropFirst("/files/".count)))
        }
        guard let json = try await legacy.answer(path, request) else {
            throw WindowError(404, "there is no \(request.path) here")
        }
        guard let callback = request.parameter("jsonp") else { return WindowResponse(json: json) }
        guard callback.utf8.allSatisfy({ Self.isIdentifier($0) }) else {
            throw WindowError(400, "jsonp must be the name of a function")
        }
        return WindowResponse(
            200, headers: [("Content-Type", "text/javascript")],
            bytes: Array("\(callback)(".utf8) + json.encoded() + Array(");".utf8))
    }

    private static func isIdentifier(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "$"):
            true
        default: false
        }
    }

    /// The path without what is the same thing: the process's prefix, `.json`, a slash at the end.
    static func route(_ path: String) -> String {
        var route = path[...]
        if route.hasPrefix("/slave(1)/") { route = route.dropFirst("/slave(1)".count) }
        while route.count > 1, route.hasSuffix("/") { route = route.dropLast() }
        if route.hasSuffix(".json") { route = route.dropLast(5) }
        return String(route)
    }
}
