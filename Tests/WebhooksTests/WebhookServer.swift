import Glibc
import JSON
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import ObjectModel
import Security
import Synchronization
import Testing

/// A real HTTPS server that answers reviews, on a port of its own.
final class WebhookServer: Sendable {
    typealias Answer = @Sendable (_ path: String, _ review: JSON) async -> JSON

    private let channel: any Channel
    private let connected = Mutex(0)
    private let seen = Mutex<[(path: String, review: JSON)]>([])
    /// PEM of the authority that signed its certificate, in base64: a `caBundle`.
    let bundle: String
    let port: Int
    /// How many connections were made so far.
    var connections: Int { connected.withLock { $0 } }
    /// What was asked so far.
    var reviews: [(path: String, review: JSON)] { seen.withLock { $0 } }

    /// One for all servers: making keys takes time.
    private static let authority = Result {
        var template = Array("/tmp/apus-webhook-tests-XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        // The authority is in memory from then on.
        defer { removeFolder(directory) }
        return try ClusterPKI.loadOrCreate(directory: directory).authority
    }

    private static func removeFolder(_ path: String) {
        guard let folder = opendir(path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { unlink("\(path)/\(name)") }
        }
        closedir(folder)
        rmdir(path)
    }

    /// - Parameter names: DNS names of its certificate.
    init(names: [String] = ["hook.default.svc"], answer: @escaping Answer) async throws {
        let authority = try Self.authority.get()
        // An address in a certificate is enough for whoever connects to that address.
        let addresses = names == ["hook.default.svc"] ? [try #require(IPAddress("127.0.0.1"))] : []
        let key = try authority.issue(.server("hook", dnsNames: names, addresses: addresses))
        bundle = encodeBase64(Array(authority.certificatePEM.utf8))
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(key.certificatePEM.utf8)).map {
            NIOSSLCertificateSource.certificate($0)
        }
        let tls = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: chain,
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.privateKeyPEM.utf8), format: .pem))))
        let owner = Owner()
        channel = try await ServerBootstrap(group: NIOSingletons.posixEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    owner.server?.connected.withLock { $0 += 1 }
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        ReviewHandler { path, review in
                            owner.server?.seen.withLock { $0.append((path, review)) }
                            return await answer(path, review)
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
        owner.set(self)
    }

    private final class Owner: Sendable {
        private let box = Mutex<Weak>(Weak())
        private struct Weak: Sendable { weak var server: WebhookServer? }
        var server: WebhookServer? { box.withLock { $0.server } }
        func set(_ server: WebhookServer) { box.withLock { $0.server = server } }
    }

    func stop() async { try? await channel.close() }
}

private final class ReviewHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private let answer: WebhookServer.Answer
    private var path = ""
    private var body: [UInt8] = []

    init(_ answer: @escaping WebhookServer.Answer) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            path = head.uri
            body = []
        case .body(let buffer): body += Array(buffer.readableBytesView)
        case .end:
            let (path, body, answer, channel) = (path, body, answer, context.channel)
            Task {
                let review = (try? JSON.parse(body)) ?? .null
                let bytes = await answer(path, review).encoded()
                let head = HTTPResponseHead(
                    version: .http1_1, status: .ok,
                    headers: ["Content-Type": "application/json", "Content-Length": "\(bytes.count)"])
                channel.write(HTTPServerResponsePart.head(head), promise: nil)
                channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes))), promise: nil)
                channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
            }
        }
    }
}

/// The answer of a webhook to a review.
func allowed(_ review: JSON, patch: JSON? = nil, _ more: JSON = [:]) -> JSON {
    var response: JSON = ["uid": review["request"]["uid"], "allowed": true]
    if let patch {
        response["patchType"] = "JSONPatch"
        response["patch"] = .string(encodeBase64(patch.encoded()))
    }
    for (key, value) in more.members { response[key] = value }
    return ["apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response]
}

func denied(_ review: JSON, _ status: JSON) -> JSON {
    allowed(review, patch: nil, ["allowed": false, "status": status])
}

/// Standard base64 with padding.
func encodeBase64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    var text = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let part = Array(bytes[start..<min(start + 3, bytes.count)])
        let bits = part.enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element) << UInt32(16 - 8 * $1.offset) }
        for digit in 0..<4 {
            text.append(digit <= part.count ? alphabet[Int(bits >> UInt32(18 - 6 * digit) & 63)] : "=")
        }
    }
    return text
}
