import Glibc
public import NIOCore

/// One watch of a load run: looks for a marker in what comes and takes the number behind it, without reading the events.
public final class WatchConnection: ChannelInboundHandler {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// Where the numbers go. Called on event loops.
    public protocol Sink: AnyObject, Sendable {
        func received(_ numbers: [UInt64])
    }

    private let marker: [UInt8]
    private let sink: any Sink
    private var rest = ByteBuffer()

    init(marker: String, sink: any Sink) {
        self.marker = Array(marker.utf8)
        self.sink = sink
    }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        if rest.readableBytes == 0 { rest = part } else { rest.writeBuffer(&part) }
        var numbers: [UInt64] = []
        let used = rest.withUnsafeReadableBytes { Self.scan($0, for: marker, into: &numbers) }
        rest.moveReaderIndex(forwardBy: used)
        if rest.readableBytes == 0 { rest.clear() } else { rest.discardReadBytes() }
        if !numbers.isEmpty { sink.received(numbers) }
    }

    /// - Returns: how many bytes are done with; the others may be the beginning of a marker and its number.
    static func scan(_ bytes: UnsafeRawBufferPointer, for marker: [UInt8], into numbers: inout [UInt64]) -> Int {
        guard let start = bytes.baseAddress else { return 0 }
        var index = 0
        while let found = memchr(start + index, Int32(marker[0]), bytes.count - index) {
            let begin = UnsafeRawPointer(found) - start
            guard begin + marker.count <= bytes.count else { return begin }
            guard memcmp(found, marker, marker.count) == 0 else {
                index = begin + 1
                continue
            }
            var end = begin + marker.count
            var value: UInt64 = 0
            while end < bytes.count, (0x30...0x39).contains(bytes[end]) {
                value = value &* 10 &+ UInt64(bytes[end] - 0x30)
                end += 1
            }
            if end == bytes.count { return begin }
            numbers.append(value)
            index = end
        }
        return bytes.count
    }
}

/// A connection with a watch on it, usable from any task.
public struct WatchChannel: Sendable {
    private let channel: any Channel

    /// Connects, shakes hands (at most 5 s), and asks for the watch.
    public static func open(
        _ access: ClusterAccess, tls: HTTPConnection.TLSContext, path: String, marker: String,
        sink: any WatchConnection.Sink
    ) async throws -> WatchChannel {
        let channel = try await HTTPConnection.connect(access, tls: tls) { channel in
            try channel.pipeline.syncOperations.addHandler(WatchConnection(marker: marker, sink: sink))
        }
        let token = access.token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        let request =
            "GET \(path) HTTP/1.1\r\nHost: \(access.host):\(access.port)\r\nAccept: application/json\r\n"
            + "User-Agent: apus\r\n\(token)\r\n"
        try await channel.writeAndFlush(ByteBuffer(string: request)).get()
        return WatchChannel(channel: channel)
    }

    /// Starts to close the connection. It is not waited for: a server that answers a watch may not look at what comes, and the
    /// end of TLS takes its 5 s then.
    public func close() {
        channel.close(promise: nil)
    }
}
