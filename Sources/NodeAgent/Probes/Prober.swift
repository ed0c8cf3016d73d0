import AsyncHTTPClient
import ContainerRuntime
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import JSON
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import ServiceLifecycle

/// Carries out probes and hooks: HTTP without certificate check, TCP, gRPC health, commands in the container.
struct Prober: Sendable {
    private static let bodyLimit = 10_240
    private let runtime: any Runtime
    private let http: HTTPClient
    private let userAgent: String

    /// - Parameter version: the node's version, for the user agent.
    init(runtime: any Runtime, version: String) {
        self.runtime = runtime
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.certificateVerification = .none
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow, decompression: .disabled)
        configuration.httpVersion = .http1Only
        // Every probe makes its own connection: an old one says nothing about new clients.
        configuration.connectionPool.idleTimeout = .milliseconds(1)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.maximumUsesPerConnection = 1
        http = HTTPClient(
            eventLoopGroupProvider: .shared(.singletonMultiThreadedEventLoopGroup), configuration: configuration)
        let parts = version.drop { !$0.isNumber }.split(separator: ".")
        userAgent = "kube-probe/\(parts.prefix(2).joined(separator: "."))"
    }

    func shutDown() async { try? await http.shutdown() }

    // MARK: Probes

    /// - Parameter address: the pod's address.
    /// - Returns: how it went, and the exit code or HTTP status that said so.
    func run(_ probe: Probe, container: ContainerSpec, id: String, address: String) async -> (ProbeOutcome, Int?) {
        let timeout = probe.timeout
        switch probe.handler {
        case .exec(let command):
            return await exec(command, id: id, timeout: timeout)
        case .http(let action):
            guard let port = Handler.port(action.port, of: container) else {
                return (.unknown("couldn't resolve port \(action.port)"), nil)
            }
            let url = Self.url(action, host: action.host.isEmpty ? address : action.host, port: port)
            return await get(url, action.headers, timeout: timeout)
        case .tcp(let host, let port):
            guard let number = Handler.port(port, of: container) else {
                return (.unknown("couldn't resolve port \(port)"), nil)
            }
            return (await connect(host.isEmpty ? address : host, number, timeout: timeout), nil)
        case .grpc(let port, let service):
            return (await health(address, port, service: service, timeout: timeout), nil)
        case .sleep:
            return (.unknown("missing probe handler for the container \(container.name)"), nil)
        }
    }

    static func url(_ action: Handler.HTTPAction, host: String, port: Int) -> String {
        let host = host.contains(":") ? "[\(host)]" : host
        let path = action.path.hasPrefix("/") ? action.path : "/" + action.path
        return "\(action.scheme.lowercased())://\(host):\(port)\(path)"
    }

    private func exec(_ command: [String], id: String, timeout: Duration) async -> (ProbeOutcome, Int?) {
        do {
            let result = try await runtime.execSync(id, command: command, timeout: timeout)
            let code = Int(result.exitCode)
            if code == 0 { return (.success, code) }
            let text = String(decoding: (result.output + result.errorOutput).prefix(Self.bodyLimit), as: UTF8.self)
            return (.failure(text.isEmpty ? "command exited with code \(code)" : text), code)
        } catch {
            if error.code == .timedOut {
                let text = command.joined(separator: " ").goQuoted
                return (.failure("command timed out: \(text) timed out after \(timeout.goText)"), nil)
            }
            return (.unknown(error.message), nil)
        }
    }

    private func get(_ url: String, _ headers: [(String, String)], timeout: Duration) async -> (ProbeOutcome, Int?) {
        var url = url
        let original = url
        let deadline = NIODeadline.now() + .nanoseconds(timeout.nanoseconds)
        for _ in 0..<10 {
            var request = HTTPClientRequest(url: url)
            var all = HTTPHeaders(headers)
            if !all.contains(name: "User-Agent") { all.add(name: "User-Agent", value: userAgent) }
            if !all.contains(name: "Accept") { all.add(name: "Accept", value: "*/*") }
            all.replaceOrAdd(name: "Connection", value: "close")
            request.headers = all
            do {
                let response = try await http.execute(request, deadline: deadline)
                // The body is only read for its end, and only so far.
                var body = 0
                for try await part in response.body {
                    body += part.readableBytes
                    if body > Self.bodyLimit { break }
                }
                let code = Int(response.status.code)
                if (300..<400).contains(code), let location = response.headers.first(name: "Location") {
                    guard let next = Self.follow(location, from: url) else {
                        return (.warning("Probe terminated redirects, Response body: "), code)
                    }
                    url = next
                    continue
                }
                if (200..<400).contains(code) { return (.success, code) }
                return (.failure("HTTP probe failed with statuscode: \(code)"), code)
            } catch {
                return (.failure("Get \"\(original)\": \(Self.text(error, url: url))"), nil)
            }
        }
        return (.failure("Get \"\(original)\": stopped after 10 redirects"), nil)
    }

    /// The next address of a redirect, nil when it leads to another host.
    private static func follow(_ location: String, from url: String) -> String? {
        guard let schemeEnd = url.range(of: "://") else { return nil }
        let afterScheme = url[schemeEnd.upperBound...]
        let authority = afterScheme.prefix { $0 != "/" }
        if location.hasPrefix("/"), !location.hasPrefix("//") {
            return "\(url[..<schemeEnd.upperBound])\(authority)\(location)"
        }
        guard let other = location.range(of: "://") else {
            return "\(url[..<schemeEnd.upperBound])\(authority)/\(location)"
        }
        let rest = location[other.upperBound...]
        let host: (Substring) -> Substring = { text in
            let end = text.lastIndex(of: ":") ?? text.endIndex
            return text[..<end]
        }
        return host(rest.prefix { $0 != "/" }) == host(authority) ? location : nil
    }

    private static func text(_ error: any Error, url: String) -> String {
        if let error = error as? HTTPClientError,
            error == .deadlineExceeded || error == .readTimeout || error == .connectTimeout
        {
            return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        }
        if let error = error as? NIOConnectionError {
            let cause = error.connectionErrors.first.map { "\($0.error)" } ?? "failed"
            return "dial tcp \(error.host):\(error.port): \(Self.system(cause))"
        }
        return Self.system("\(error)")
    }
    /// `connect: connection refused` for what the kernel says in its own way.
    private static func system(_ text: String) -> String {
        if text.contains("errno: 111") || text.contains("Connection refused") { return "connect: connection refused" }
        if text.contains("errno: 113") { return "connect: no route to host" }
        if text.contains("errno: 104") { return "read: connection reset by peer" }
        return text
    }

    private func connect(_ host: String, _ port: Int, timeout: Duration) async -> ProbeOutcome {
        do {
            let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connectTimeout(.nanoseconds(timeout.nanoseconds))
                .connect(host: host, port: port).get()
            try? await channel.close().get()
            return .success
        } catch let error as ChannelError {
            if case .connectTimeout = error { return .failure("dial tcp \(host):\(port): i/o timeout") }
            return .failure("dial tcp \(host):\(port): \(error)")
        } catch {
            return .failure(
                error is NIOConnectionError
                    ? Self.text(error, url: "") : "dial tcp \(host):\(port): \(Self.system("\(error)"))")
        }
    }

    private func health(_ host: String, _ port: Int, service: String, timeout: Duration) async -> ProbeOutcome {
        do {
            let status = try await HealthCheck.status(host: host, port: port, service: service, timeout: timeout)
            return status == 1
                ? .success : .failure("service unhealthy (responded with \"\(HealthCheck.name(status))\")")
        } catch let error as RPCError {
            switch error.code {
            case .unimplemented:
                return .failure(
                    "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): \(error.message)"
                )
            case .deadlineExceeded, .cancelled, .unavailable:
                return .failure(
                    "timeout: failed to connect service \"\(host):\(port)\" within \(timeout.goText): \(error.message)")
            default:
                return .failure("error: health rpc failed: \(error.message)")
            }
        } catch {
            return .failure("timeout: failed to connect service \"\(host):\(port)\" within \(timeout.goText): \(error)")
        }
    }

    // MARK: Hooks

    /// Runs a lifecycle hook.
    /// - Returns: nil when it succeeded, else why not.
    func hook(_ handler: Handler, container: ContainerSpec, id: String, address: String, timeout: Duration) async
        -> String?
    {
        switch handler {
        case .exec(let command):
            do {
                let result = try await runtime.execSync(id, command: command, timeout: timeout)
                if result.exitCode == 0 { return nil }
                let text = String(decoding: (result.output + result.errorOutput).prefix(Self.bodyLimit), as: UTF8.self)
                return "command '\(command.joined(separator: " "))' exited with \(result.exitCode): \(text)"
            } catch {
                return "command '\(command.joined(separator: " "))': \(error.message)"
            }
        case .http(let action):
            guard let port = Handler.port(action.port, of: container) else {
                return "couldn't resolve port \(action.port)"
            }
            let url = Self.url(action, host: action.host.isEmpty ? address : action.host, port: port)
            switch await get(url, action.headers, timeout: timeout).0 {
            case .success, .warning: return nil
            case .failure(let text), .unknown(let text): return text
            }
        case .sleep(let seconds):
            try? await Task.sleep(for: min(.seconds(seconds), timeout))
            return nil
        case .tcp(let host, let port):
            guard let number = Handler.port(port, of: container) else { return "couldn't resolve port \(port)" }
            if case .failure(let text) = await connect(host.isEmpty ? address : host, number, timeout: timeout) {
                return text
            }
            return nil
        case .grpc:
            return "invalid handler"
        }
    }
}

extension Duration {
    /// Whole nanoseconds.
    var nanoseconds: Int64 {
        components.seconds.multipliedSaturated(by: 1_000_000_000)
            .addingSaturated(components.attoseconds / 1_000_000_000)
    }
    /// Seconds with their fraction.
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

/// One call of `grpc.health.v1.Health/Check`, messages written by hand: a string in, an enum out.
private enum HealthCheck {
    static func status(host: String, port: Int, service: String, timeout: Duration) async throws -> Int {
        let isV6 = host.contains(":")
        let target: any ResolvableTarget = isV6 ? .ipv6(address: host, port: port) : .ipv4(address: host, port: port)
        let transport = try HTTP2ClientTransport.Posix(target: target, transportSecurity: .plaintext)
        var options = CallOptions.defaults
        options.timeout = timeout
        options.waitForReady = true
        let final = options
        var request: [UInt8] = []
        if !service.isEmpty {
            request = [0x0a, UInt8(truncatingIfNeeded: min(service.utf8.count, 127))] + service.utf8.prefix(127)
        }
        let message = request
        return try await withGRPCClient(transport: transport) { client in
            try await client.unary(
                request: ClientRequest(message: message),
                descriptor: MethodDescriptor(fullyQualifiedService: "grpc.health.v1.Health", method: "Check"),
                serializer: Raw(), deserializer: Raw(), options: final
            ) { response in
                let bytes = try response.message
                // Field 1, varint: the serving status.
                guard bytes.count >= 2, bytes[0] == 0x08 else { return 0 }
                return Int(bytes[1])
            }
        }
    }
    static func name(_ status: Int) -> String {
        switch status {
        case 1: "SERVING"
        case 2: "NOT_SERVING"
        case 3: "SERVICE_UNKNOWN"
        default: "UNKNOWN"
        }
    }
    struct Raw: MessageSerializer, MessageDeserializer {
        func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes { Bytes(message) }
        func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
            bytes.withUnsafeBytes { Array($0) }
        }
    }
}
