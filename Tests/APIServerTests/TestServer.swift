import APIMachinery
import AsyncHTTPClient
import Glibc
import JSON
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import ObjectModel
import Security
import ServiceLifecycle
import Testing

@testable import APIServer

/// A running server with its own authority, and clients for it.
struct TestServer: Sendable {
    let port: Int
    let backend: MemoryBackend
    let stop: @Sendable () -> Void

    static let pki: ClusterPKI = {
        var template = Array("/tmp/apiserver-tests-XXXXXX".utf8CString)
        let directory = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/apiserver-tests"
        do {
            return try ClusterPKI.loadOrCreate(directory: directory)
        } catch {
            fatalError("no authority: \(error)")
        }
    }()

    /// Runs a server, hands it to the test, and stops it.
    static func run(
        limits: APIServerConfiguration.Limits = .init(), nodes: any NodeDirectory = FixedNodes(),
        backend: MemoryBackend = MemoryBackend(), machinery: (any APIBackend)? = nil,
        adjust: (inout APIServerConfiguration) -> Void = { _ in },
        _ test: @Sendable (TestServer) async throws -> Void
    ) async throws {
        var configuration = try Self.configuration()
        configuration.limits = limits
        adjust(&configuration)
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let server = APIServer(
            configuration: configuration, backend: machinery ?? backend, authenticator: TestAuthenticator(),
            authorizer: TestAuthorizer(), nodes: nodes, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: server, successTerminationBehavior: .ignore)], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let port = try await server.listeningPort
            let stop: @Sendable () -> Void = { Task { await group.triggerGracefulShutdown() } }
            try await test(TestServer(port: port, backend: backend, stop: stop))
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    private static let serverKey = Result { try pki.serverCertificate(names: [], addresses: []) }
    private static let adminKey = Result { try pki.adminCertificate() }

    static func configuration() throws -> APIServerConfiguration {
        let server = try serverKey.get()
        return APIServerConfiguration(
            bindAddress: "127.0.0.1", port: 0, certificateChainPEM: server.certificatePEM,
            privateKeyPEM: server.privateKeyPEM, clientAuthorityPEM: pki.authority.certificatePEM)
    }

    /// TLS as a client with the administrator's certificate, or none.
    static func tls(admin: Bool) throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        // A server that is answering does not read, so it would not see our goodbye.
        tls.shutdownTimeout = .milliseconds(50)
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(pki.authority.certificatePEM.utf8)))
        guard admin else { return tls }
        let certificate = try adminKey.get()
        tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.certificatePEM.utf8)).map {
            .certificate($0)
        }
        tls.privateKey = .privateKey(
            try NIOSSLPrivateKey(bytes: Array(certificate.privateKeyPEM.utf8), format: .pem))
        return tls
    }

    /// Runs a test with an HTTP client.
    func withClient(
        admin: Bool = true, http1: Bool = false, _ test: @Sendable (Client) async throws -> Void
    ) async throws {
        try await withClient(Self.tls(admin: admin), http1: http1, test)
    }

    func withClient(
        _ tls: TLSConfiguration, http1: Bool = false, _ test: @Sendable (Client) async throws -> Void
    ) async throws {
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls)
        // The machine may be busy with all the other tests.
        configuration.timeout.connect = .seconds(60)
        configuration.httpVersion = http1 ? .http1Only : .automatic
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            try await test(Client(http: client, port: port))
        } catch {
            try await client.shutdown()
            throw error
        }
        try await client.shutdown()
    }
}

/// A small HTTP client.
struct Client: Sendable {
    struct Answer {
        var code: UInt
        var headers: HTTPHeaders
        var bytes: [UInt8]
        var version: HTTPVersion
        var text: String { String(decoding: bytes, as: UTF8.self) }
        var json: JSON { (try? JSON.parse(text)) ?? .null }
    }
    let http: HTTPClient
    let port: Int

    func request(_ method: HTTPMethod, _ path: String, _ headers: HTTPHeaders = [:], body: String? = nil)
        -> HTTPClientRequest
    {
        var request = HTTPClientRequest(url: "https://127.0.0.1:\(port)\(path)")
        request.method = method
        request.headers = headers
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        return request
    }

    func send(_ method: HTTPMethod, _ path: String, _ headers: HTTPHeaders = [:], body: String? = nil) async throws
        -> Answer
    {
        let response = try await http.execute(request(method, path, headers, body: body), timeout: .seconds(120))
        let bytes = try await response.body.collect(upTo: 256 << 20)
        return Answer(
            code: response.status.code, headers: response.headers, bytes: Array(buffer: bytes),
            version: response.version)
    }
    func get(_ path: String, _ headers: HTTPHeaders = [:]) async throws -> Answer {
        try await send(.GET, path, headers)
    }
    func post(_ path: String, _ body: String, _ headers: HTTPHeaders = ["Content-Type": "application/json"])
        async throws
        -> Answer
    {
        try await send(.POST, path, headers, body: body)
    }
}

struct TestAuthenticator: Authenticator {
    func authenticate(token: String, audiences: [String]) async throws -> TokenIdentity {
        guard token.hasPrefix("user-") else { throw StatusError.unauthorized() }
        return TokenIdentity(user: UserInfo(name: String(token.dropFirst(5))), audiences: audiences)
    }
}

/// Administrators may do everything, `reader` may read, everybody sees public information.
struct TestAuthorizer: Authorizer {
    func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
        if attributes.user.groups.contains("system:masters") { return .allowed() }
        if attributes.resource == nil, ["/healthz", "/livez", "/readyz", "/version"].contains(attributes.path) {
            return .allowed()
        }
        if attributes.user.name == "reader", ["get", "list", "watch"].contains(attributes.verb) { return .allowed() }
        return .denied()
    }
    func rules(for user: UserInfo, namespace: String) async -> AuthorizationRules {
        AuthorizationRules(resourceRules: [["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]]])
    }
}

/// A raw TLS connection, HTTP/1.1 by hand.
final class RawClient: Sendable {
    private let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

    static func connect(_ server: TestServer, admin: Bool = true) async throws -> RawClient {
        let context = try NIOSSLContext(configuration: TestServer.tls(admin: admin))
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: server.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: nil))
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return RawClient(channel)
    }

    private init(_ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>) {
        self.channel = channel
    }

    /// Sends text and reads until it says enough, or the server closes.
    func exchange(_ text: String, until isEnough: @escaping @Sendable (String) -> Bool = { _ in false }) async throws
        -> String
    {
        try await exchange([Array(text.utf8)], until: isEnough)
    }

    func exchange(_ parts: [[UInt8]], until isEnough: @escaping @Sendable (String) -> Bool) async throws -> String {
        try await channel.executeThenClose { inbound, outbound in
            // The server may close before it read everything.
            for part in parts { try? await outbound.write(ByteBuffer(bytes: part)) }
            var received: [UInt8] = []
            do {
                for try await buffer in inbound {
                    received += Array(buffer.readableBytesView)
                    if isEnough(String(decoding: received, as: UTF8.self)) { break }
                }
            } catch {}
            return String(decoding: received, as: UTF8.self)
        }
    }
}

/// Waits for a state that must come about.
func eventually(_ what: String, _ condition: @Sendable () async throws -> Bool) async throws {
    for _ in 0..<4800 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("never happened: \(what)")
}
