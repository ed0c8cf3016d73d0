import APIMachinery
import Compression
import Logging
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema
import Security

/// The life of one request: who, may they, route, answer, count.
final class Dispatcher: RequestService {
    let configuration: APIServerConfiguration
    let backend: any APIBackend
    let authenticator: any Authenticator
    let authorizer: any Authorizer
    let nodes: any NodeDirectory
    let logger: Logger
    let connections: Connections
    let metrics = RequestMetrics()
    let inFlight: InFlight
    let credentials: Credentials
    let discovery = DiscoveryCache()
    let openAPI = OpenAPICache()
    private let commonHeaders: HTTPHeaders

    init(
        configuration: APIServerConfiguration, backend: any APIBackend, authenticator: any Authenticator,
        authorizer: any Authorizer, nodes: any NodeDirectory, connections: Connections, logger: Logger
    ) {
        self.configuration = configuration
        self.backend = backend
        self.authenticator = authenticator
        self.authorizer = authorizer
        self.nodes = nodes
        self.connections = connections
        self.logger = logger
        inFlight = InFlight(configuration.limits)
        credentials = Credentials(authenticator: authenticator, authorizer: authorizer)
        commonHeaders = [
            "Cache-Control": "no-cache, private",
            "X-Kubernetes-Pf-Flowschema-Uid": randomUUID(),
            "X-Kubernetes-Pf-Prioritylevel-Uid": randomUUID(),
        ]
    }

    /// Reads of one object as it is, which are the most frequent requests: certificate, roles and cache are at hand, so
    /// they need no task. Whatever is unusual about a request leaves it to `handle`, and so do all refusals.
    func answerAtOnce(_ request: Request) -> Response? {
        guard request.method == .GET, request.query.isEmpty, let user = credentials.userAtOnce(of: request) else {
            return nil
        }
        let started = ContinuousClock.now
        let info = RequestInfo(method: request.method, path: request.path, query: request.query)
        guard info.isResource, info.verb == "get", info.subresource.isEmpty, info.group != NodeMetrics.group,
            let definition = backend.catalog.resource(info.gvr), definition.isNamespaced != info.namespace.isEmpty,
            backend.catalog.custom(definition.kind)?.deprecationWarning == nil,
            let form = try? Representation(request, protobuf: Protobuf.has(definition.kind)),
            form.shape == .whole, form.encoding != .yaml, !form.isPretty,
            case .allowed? = authorizer.authorizeAtOnce(info.attributes(for: user)),
            let object = backend.getAtOnce(definition, ObjectKey(namespace: info.namespace, name: info.name))
        else { return nil }
        var response: Response
        if form.encoding == .protobuf {
            guard let document = object.protobufDocument else { return nil }
            response = Response(protobuf: document)
        } else {
            response = Response(json: object.bytes)
        }
        finish(&response, request, isCompressible: true)
        metrics.record(
            info, request, code: response.status.code, duration: ContinuousClock.now - started,
            bytes: response.body.readableBytes)
        return response
    }

    func handle(_ request: Request, _ exchange: Exchange) async {
        let started = ContinuousClock.now
        let info = RequestInfo(method: request.method, path: request.path, query: request.query)
        let isLongRunning = info.isLongRunning
        let longRunning = isLongRunning ? connections.addLongRunning { exchange.cancel() } : nil
        if isLongRunning { metrics.longRunningStarted(info) }
        let (code, bytes) = await respond(request, exchange, info, isLongRunning: isLongRunning)
        if let longRunning {
            connections.removeLongRunning(longRunning)
            metrics.longRunningEnded(info)
        }
        metrics.record(info, request, code: code, duration: ContinuousClock.now - started, bytes: bytes)
        logger.trace(
            "request", metadata: ["method": "\(request.method)", "path": "\(request.path)", "code": "\(code)"])
    }

    /// Answers, and says with which code and how many bytes (nil when they were written in pieces).
    private func respond(
        _ request: Request, _ exchange: Exchange, _ info: RequestInfo, isLongRunning: Bool
    ) async -> (UInt, Int?) {
        do {
            if !isLongRunning { exchange.setTimeout(try timeout(request, info), isError: true) }
            let call = Call(
                request: request, exchange: exchange, info: info, user: try await credentials.user(of: request))
            let limit = isLongRunning ? nil : inFlight.limit(isMutating: info.isMutating)
            try await limit?.enter(call.user.name)
            defer { limit?.leave(call.user.name) }
            try await authorizer.require(info.attributes(for: call.user))
            switch try await route(call) {
            case .response(var response):
                finish(&response, call.request, isCompressible: info.verb == "get" || info.verb == "list")
                exchange.respond(response)
                return (response.status.code, response.body.readableBytes)
            case .streamed(var response, let body):
                finish(&response, call.request, isCompressible: false)
                exchange.start(response)
                do {
                    try await body(exchange)
                    exchange.end()
                } catch is ConnectionClosed {
                } catch is CancellationError {
                } catch {
                    // The head is sent: closing the connection is the only way left to say that it failed.
                    logger.debug(
                        "a streamed answer failed", metadata: ["path": "\(request.path)", "error": "\(error)"])
                }
                return (response.status.code, nil)
            case .upgraded:
                return (101, nil)
            case .answered(let code):
                return (code, nil)
            }
        } catch let error as UnsupportedStreamProtocol {
            var response = error.response
            finish(&response, request, isCompressible: false)
            exchange.respond(response)
            return (response.status.code, nil)
        } catch {
            let status = statusError(error)
            if status.code == 500 {
                logger.warning(
                    "request failed", metadata: ["path": "\(request.path)", "error": "\(status.message)"])
            }
            var response = Response(error: status, request)
            finish(&response, request, isCompressible: false)
            exchange.respond(response)
            return (response.status.code, nil)
        }
    }

    /// How long a request may take: the server's limit, or less when the client says so.
    private func timeout(_ request: Request, _ info: RequestInfo) throws -> Duration {
        let limit = info.isMutating ? configuration.limits.writeTimeout : configuration.limits.readTimeout
        guard let text = request.query["timeout"], !text.isEmpty else { return limit }
        guard let asked = GoDuration(text) else {
            throw StatusError.badRequest("invalid timeout specified in the request URL - \(text)")
        }
        guard asked.nanoseconds > 0 else { return limit }
        return min(limit, .nanoseconds(asked.nanoseconds))
    }

    private func finish(_ response: inout Response, _ request: Request, isCompressible: Bool) {
        let given = request.headers.first(name: "audit-id") ?? ""
        response.headers.add(name: "Audit-Id", value: (1...64).contains(given.utf8.count) ? given : randomUUID())
        if response.headers.contains(name: "Cache-Control") {
            for (name, value) in commonHeaders where name != "Cache-Control" {
                response.headers.add(name: name, value: value)
            }
        } else {
            response.headers.add(contentsOf: commonHeaders)
        }
        response.headers.add(name: "Date", value: HTTPDate.now)
        guard isCompressible, response.body.readableBytes > 128 * 1024,
            !response.headers.contains(name: "Content-Encoding"),
            request.acceptsGzip, let packed = Gzip.compress(Array(response.body.readableBytesView))
        else { return }
        response.body = packed
        response.headers.add(name: "Content-Encoding", value: "gzip")
        response.headers.add(name: "Vary", value: "Accept-Encoding")
    }

    private func route(_ call: Call) async throws -> Answer {
        if call.info.isResource {
            if call.info.group == NodeMetrics.group { return try await nodeMetrics(call) }
            return deprecated(call, try await resource(call))
        }
        return try await nonResource(call)
    }
}

/// Runs long CPU work away from the event loop that the request came in on.
func inCommonPool<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
    try await withTaskExecutorPreference(globalConcurrentExecutor) { try await body() }
}
