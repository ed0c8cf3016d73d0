import NIOCore
import NIOPosix

/// Dials the streaming server of a container runtime (or of a kubelet without TLS) and runs an exec or attach session
/// over SPDY/3.1.
public enum RemoteCommandClient {
    /// - Parameters:
    ///   - url: `http://host:port/path?query`, as the runtime's Exec or Attach call gives it.
    ///   - options: which streams to open; the command is in the URL already.
    /// - Throws: `StreamingError` when the server cannot be reached or refuses; its answer is in the message.
    public static func connect(url: String, options: ExecOptions) async throws -> any ProcessSession {
        let target = try HTTPTarget(url)
        return try await Timeout.run(StreamLimits.streamCreationTimeout) {
            let upgrading = try await dial(target)
            do {
                try await upgrade(upgrading, target)
                return try await SPDYProcessSession.start(upgrading.bytes, options: options)
            } catch {
                try? await upgrading.channel.close()
                throw error
            }
        }
    }

    private static func dial(_ target: HTTPTarget) async throws -> Upgrading {
        do {
            return try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connectTimeout(.seconds(10))
                .connect(host: target.host, port: target.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let head = channel.eventLoop.makePromise(of: String.self)
                        try channel.pipeline.syncOperations.addHandler(UpgradeHead(head))
                        return Upgrading(
                            channel: channel, head: head.futureResult,
                            bytes: try NIOAsyncChannel(wrappingChannelSynchronously: channel))
                    }
                }
        } catch {
            throw StreamingError("cannot reach the streaming server at \(target.host):\(target.port): \(error)")
        }
    }

    private struct Upgrading: Sendable {
        var channel: any Channel
        var head: EventLoopFuture<String>
        var bytes: NIOAsyncChannel<ByteBuffer, ByteBuffer>
    }

    private static func upgrade(_ upgrading: Upgrading, _ target: HTTPTarget) async throws {
        let request = """
            POST \(target.path) HTTP/1.1\r
            Host: \(target.host):\(target.port)\r
            Connection: Upgrade\r
            Upgrade: SPDY/3.1\r
            X-Stream-Protocol-Version: v4.channel.k8s.io\r
            Content-Length: 0\r
            \r

            """
        try await upgrading.channel.writeAndFlush(ByteBuffer(string: request))
        let answer = try await upgrading.head.get()
        let status = answer.split(separator: "\r\n").first ?? ""
        guard status.split(separator: " ").dropFirst().first == "101" else {
            throw StreamingError("the streaming server refuses: \(status)")
        }
    }
}

/// The parts of an `http://` URL.
struct HTTPTarget: Sendable, Hashable {
    var host: String
    var port: Int
    /// Path and query.
    var path: String

    init(_ url: String) throws(StreamingError) {
        let scheme = "http://"
        guard url.hasPrefix(scheme), url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw StreamingError("not an http URL: \(url)")
        }
        let rest = url.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end]
        path = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
        if authority.hasPrefix("["), let close = authority.firstIndex(of: "]") {
            host = String(authority[authority.index(after: authority.startIndex)..<close])
            port = Int(authority[close...].dropFirst(2)) ?? 80
        } else {
            let parts = authority.split(separator: ":", maxSplits: 1)
            host = parts.first.map(String.init) ?? ""
            port = parts.count == 2 ? Int(parts[1]) ?? 80 : 80
        }
        guard !host.isEmpty else { throw StreamingError("no host in \(url)") }
    }
}

/// Takes the head of the HTTP answer off a connection; what follows passes through untouched.
final class UpgradeHead: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let limit = 16 * 1024
    private var promise: EventLoopPromise<String>?
    private var pending = ByteBuffer()
    private var isDone = false

    /// - Parameter promise: gets the head, or why it did not come.
    init(_ promise: EventLoopPromise<String>) {
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        guard !isDone else { return context.fireChannelRead(data) }
        pending.writeBuffer(&buffer)
        let view = pending.readableBytesView
        let end = view.firstRange(of: Array("\r\n\r\n".utf8))
        guard let end else {
            if pending.readableBytes > Self.limit {
                fail(StreamingError("the answer's head is larger than \(Self.limit) bytes"))
                context.close(promise: nil)
            }
            return
        }
        isDone = true
        let head = pending.readString(length: end.upperBound - view.startIndex) ?? ""
        promise?.succeed(head)
        promise = nil
        if pending.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(pending)) }
        pending = ByteBuffer()
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(StreamingError("the server closed the connection"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.fireErrorCaught(error)
    }

    func handlerRemoved(context: ChannelHandlerContext) { fail(StreamingError("the connection was closed")) }

    private func fail(_ error: any Error) {
        promise?.fail(error)
        promise = nil
    }
}
