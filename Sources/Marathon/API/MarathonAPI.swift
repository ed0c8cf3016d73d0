import ClusterClient
import HTTPWindow
import JSON
import Logging
import ObjectModel

/// Answers requests to Marathon's window.
struct MarathonAPI: Sendable {
    let configuration: Marathon.Configuration
    let state: MarathonState
    let changes: Changes
    let executor: Executor
    let bus: EventBus
    let logger: Logger
    let info: AppInfo
    let cache: AppCache
    let access: WindowAccess
    let frameworkID: @Sendable () -> String

    private static let standardHeaders: [(name: String, value: String)] = [
        ("Cache-Control", "no-cache, no-store, must-revalidate"), ("Pragma", "no-cache"), ("Expires", "0"),
    ]

    func answer(_ request: WindowRequest) async -> WindowResponse {
        var response: WindowResponse
        do {
            response = try await route(request)
        } catch let error as MarathonError {
            response = error.response
        } catch let error as WindowError {
            response = WindowResponse(error.status, json: ["message": .string(error.message)])
        } catch let error as StatusError {
            response = WindowResponse(
                error.code == 422 || error.code == 403 ? error.code : 503, json: ["message": .string(error.message)])
        } catch is CancellationError {
            response = WindowResponse(503, json: ["message": "the server is shutting down"])
        } catch {
            logger.error("\(request.method) \(request.path): \(error)")
            response = WindowResponse(500, json: ["message": .string("\(error)")])
        }
        response.headers += Self.standardHeaders
        response.headers.append(("X-Marathon-Leader", "http://\(configuration.address):\(configuration.port)"))
        return response
    }

    static var noSuchURI: MarathonError { MarathonError(404, "URI not found") }
    static func notAllowed(_ method: String) -> MarathonError {
        MarathonError(405, "HTTP 405 Method Not Allowed: \(method)")
    }

    /// Sends a browser to the page of apps; nil for other clients, and when there is none.
    private func page(_ request: WindowRequest) -> WindowResponse? {
        guard let port = configuration.pagePort, request.method == "GET" || request.method == "HEAD",
            request.header("Accept")?.contains("text/html") ?? false
        else { return nil }
        // The machine as the browser knows it, without the port; an IPv6 address keeps its brackets.
        let known = request.authority
        let host = known.hasPrefix("[") ? known.prefix { $0 != "]" } + "]" : known.prefix { $0 != ":" }
        return WindowResponse(
            302, headers: [("Location", "http://\(host.isEmpty ? configuration.hostname[...] : host):\(port)/#/apps")])
    }

    private func route(_ request: WindowRequest) async throws -> WindowResponse {
        let segments = request.path.split(separator: "/").map(String.init)
        guard let first = segments.first else {
            return page(request) ?? WindowResponse(200, json: ["name": "marathon", "api": "/v2"])
        }
        switch first {
        case "ui":
            guard let page = page(request) else { throw Self.noSuchURI }
            return page
        // Whatever the client says it accepts: libraries that ask for JSON expect the word as well.
        case "ping": return WindowResponse(200, text: "pong")
        case "metrics": return segments.count > 1 ? prometheus() : WindowResponse(json: metrics())
        case "config": return WindowResponse(json: config())
        case "logging": return WindowResponse(json: ["loggers": ["ROOT": .string("\(logger.logLevel)")]])
        case "v2": break
        default: throw Self.noSuchURI
        }
        guard segments.count > 1 else { throw Self.noSuchURI }
        await state.waitUntilSynced()
        let rest = Array(segments.dropFirst(2))
        // Pods write what they mean behind `::`, which may stand right behind the word.
        if segments[1] == "pods" || segments[1].hasPrefix("pods::") {
            return try await pods(request, ([String(segments[1].dropFirst(4))] + rest).filter { !$0.isEmpty })
        }
        switch segments[1] {
        case "apps": return try await apps(request, rest)
        case "groups": return try await groups(request, rest)
        case "deployments": return try await deployments(request, rest)
        case "tasks": return try await tasks(request, rest)
        case "queue": return try await queue(request, rest)
        case "info": return WindowResponse(json: infoDocument())
        case "leader": return try leader(request)
        case "events": return try await events(request)
        case "plugins":
            guard rest.isEmpty else { throw MarathonError(404, "Plugin '\(rest[0])' does not exist") }
            return WindowResponse(json: ["plugins": []])
        default: throw Self.noSuchURI
        }
    }

    /// What the principal of a request may do.
    func permissions(_ request: WindowRequest) -> Permissions { Permissions(access, principal: request.principal) }

    static func result(_ result: Changes.Result, status: Int = 200, location: String? = nil) -> WindowResponse {
        var headers = [(name: "Marathon-Deployment-Id", value: result.deployment)]
        if let location { headers.append(("Location", location)) }
        return WindowResponse(status, headers: headers, json: result.json)
    }

    /// The client's address without its port.
    static func clientAddress(_ request: WindowRequest) -> String {
        String(request.remoteAddress.split(separator: ":").dropLast().joined(separator: ":"))
    }
}
