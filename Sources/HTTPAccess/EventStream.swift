public import JSON
import NIOCore
import NIOHTTP1

/// A watch whose events are read: each is given to a closure on the connection's event loop.
public struct EventStream: Sendable {
    private let channel: any Channel

    /// Connects, shakes hands (at most 5 s), and asks for the watch.
    public static func open(
        _ access: ClusterAccess, tls: HTTPConnection.TLSContext, path: String, take: @escaping @Sendable (JSON) -> Void
    ) async throws -> EventStream {
        let channel = try await HTTPConnection.connect(access, tls: tls) { channel in
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHTTPClientHandlers()
            try pipeline.addHandler(EventReader(take))
        }
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: path)
        head.headers.add(name: "host", value: "\(access.host):\(access.port)")
        head.headers.add(name: "accept", value: "application/json")
        head.headers.add(name: "user-agent", value: "apus")
        if let token = access.token { head.headers.add(name: "authorization", value: "Bearer \(token)") }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        try await channel.writeAndFlush(HTTPClientRequestPart.end(nil)).get()
        return EventStream(channel: channel)
    }

    public func close() async {
        try? await channel.close()
    }

    /// Waits until the connection ends, whoever ended it.
    public func waitUntilClosed() async {
        try? await channel.closeFuture.get()
    }
}

/// Cuts a body into lines, each one event.
private final class EventReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let take: @Sendable (JSON) -> Void
    private var rest = ByteBuffer()

    init(_ take: @escaping @Sendable (JSON) -> Void) {
        self.take = take
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .body(var part) = unwrapInboundIn(data) else { return }
        rest.writeBuffer(&part)
        while let end = rest.readableBytesView.firstIndex(of: 0x0A) {
            let line = rest.readBytes(length: end - rest.readerIndex + 1) ?? []
            if let event = try? JSON.parse(line) { take(event) }
        }
        rest.discardReadBytes()
    }
}
