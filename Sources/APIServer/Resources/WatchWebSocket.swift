import APIMachinery
import ClusterClient
import NIOCore
import ObjectModel
import Streaming

extension Dispatcher {
    /// The events as messages of a WebSocket, one each: what consoles in browsers use.
    ///
    /// JSON comes as text; protobuf as binary messages, without the length that precedes each in a stream.
    /// - Parameter watch: an error is told in the first message.
    /// - Returns: when the watch is over.
    func watchByWebSocket(
        _ call: Call, _ watch: Result<WatchSubscription, StatusError>, _ frames: WatchFrames, _ time: TimeAmount,
        _ sent: RequestMetrics.Counter
    ) async throws -> Answer {
        defer { if case .success(let subscription) = watch { subscription.cancel() } }
        let (upgrade, headers) = try negotiated(
            try upgradeRequest(call), webSocket: StreamNegotiation.watchWebSocket, spdy: { _ in nil }, spdyVersions: [])
        let channel = try await call.exchange.upgrade(headers) { channel in
            try UpgradedChannel(synchronously: channel, upgrade)
        }
        await ByteStreamServer(logger: logger).run(channel) { send in
            do {
                let subscription = try watch.get()
                let end = channel.channel.eventLoop.scheduleTask(in: time) { subscription.cancel() }
                defer { end.cancel() }
                var frames = frames
                for try await events in subscription.events {
                    sent.count.add(events.count, ordering: .relaxed)
                    for event in events { try await send(frames.message(event)) }
                }
            } catch let error as StatusError {
                try await send(frames.message(error))
            }
        }
        return .upgraded
    }
}

extension WatchFrames {
    fileprivate mutating func message(_ event: WatchEvent) -> ByteStreamServer.Message {
        var one = [event][...]
        return message(frame(&one, inChunk: false))
    }

    fileprivate func message(_ error: StatusError) -> ByteStreamServer.Message { message(frame(error)) }

    private func message(_ frame: ByteBuffer) -> ByteStreamServer.Message {
        guard isBinary else { return .text(frame) }
        var frame = frame
        frame.moveReaderIndex(forwardBy: MemoryLayout<UInt32>.size)
        return .binary(frame)
    }
}
