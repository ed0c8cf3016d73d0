public import Logging
import NIOCore
import NIOWebSocket

/// Joins an upgraded port-forward connection to TCP ports of a pod.
///
/// Serves SPDY/3.1 (plain, or tunnelled in WebSocket messages as `SPDY/3.1+portforward.k8s.io`) and the older
/// `v4.channel.k8s.io` WebSocket form.
public struct PortForwardServer: Sendable {
    let logger: Logger

    public init(logger: Logger) {
        self.logger = logger
    }

    /// Serves the connection until the client closes it, or the task is cancelled; then the channel is closed.
    ///
    /// - Parameters:
    ///   - ports: the `ports` query of the old WebSocket form, in order (`ports=80,81` or repeated); empty otherwise.
    ///   - connect: opens a connection to a port of the pod; its error's text is written to the error stream.
    public func run(
        _ channel: UpgradedChannel, ports: [Int],
        connect: @escaping @Sendable (Int) async throws -> any ByteConnection
    ) async {
        do {
            switch channel.carrier {
            case .bytes(let bytes):
                let connection = SPDYConnection(role: .server)
                try await connection.run(bytes) { try await serve(connection, connect) }
            case .frames(let frames):
                guard case .webSocket(let subprotocol) = channel.upgrade else { break }
                try await PortForwardChannels(ChannelCodec(subprotocol: subprotocol), ports, frames.channel.allocator)
                    .serve(frames, connect)
            }
        } catch {
            logger.debug("port-forward connection ended early", metadata: ["error": "\(error)"])
        }
        try? await channel.channel.close()
    }

    /// The two streams of one local connection of the client.
    private struct Pair {
        var error: SPDYStream?
        var data: SPDYStream?
        var deadline: ContinuousClock.Instant
    }

    private func serve(
        _ connection: SPDYConnection, _ connect: @escaping @Sendable (Int) async throws -> any ByteConnection
    ) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            var pairs: [String: Pair] = [:]
            while let stream = try await connection.accepted.next() {
                let now = ContinuousClock.now
                for (id, pair) in pairs where pair.deadline < now {
                    pair.error?.abort()
                    pair.data?.abort()
                    pairs[id] = nil
                }
                guard let type = stream.headers["streamtype"], type == "error" || type == "data",
                    let port = stream.headers["port"].flatMap({ Int($0) }), (1...65535).contains(port)
                else {
                    stream.abort()
                    continue
                }
                // Old clients send no requestID: their data stream follows the error stream.
                let id = stream.headers["requestid"] ?? "\(type == "error" ? stream.id : stream.id &- 2)"
                var pair = pairs[id] ?? Pair(deadline: now + StreamLimits.streamCreationTimeout)
                if type == "error" { pair.error = stream } else { pair.data = stream }
                try await stream.reply()
                guard let error = pair.error, let data = pair.data else {
                    pairs[id] = pair
                    continue
                }
                pairs[id] = nil
                group.addTask { await forward(data, error, port, connect) }
            }
            group.cancelAll()
        }
    }

    private func forward(
        _ data: SPDYStream, _ error: SPDYStream, _ port: Int,
        _ connect: @Sendable (Int) async throws -> any ByteConnection
    ) async {
        do {
            let remote = try await connect(port)
            do {
                try await Self.copy(data, remote)
            } catch {
                await remote.close()
                throw error
            }
            await remote.close()
            try await error.finish()
        } catch is SPDYStreamReset {
            // kubectl resets the data stream when either side of a connection has ended. That is how it hangs up, no
            // failure: anything written to the error stream would make it close every other connection too.
            try? await error.finish()
            data.abort()
        } catch let problem where !Task.isCancelled {
            logger.debug("port-forward failed", metadata: ["port": "\(port)", "error": "\(problem)"])
            let text = "error forwarding port \(port): \(problem)"
            try? await error.write(Array(text.utf8))
            try? await error.finish()
            try? await data.finish()
            data.incoming.abandon()
        } catch {
            data.abort()
        }
    }

    /// Copies both ways until both sides have ended.
    private static func copy(_ stream: SPDYStream, _ remote: any ByteConnection) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while let bytes = try await stream.incoming.next() {
                    do {
                        try await remote.write(bytes)
                    } catch {
                        // The pod does not read any more: what it still says is worth hearing.
                        stream.incoming.abandon()
                        return
                    }
                }
                try await remote.closeOutput()
            }
            group.addTask {
                for try await bytes in remote.input { try await stream.write(bytes) }
                // The input of a cancelled task ends too.
                try Task.checkCancellation()
                try await stream.finish()
                // Nothing can come back any more; do not wait for a client that keeps its side open.
                stream.incoming.abandon()
            }
            do {
                while try await group.next() != nil {}
            } catch {
                // A pod that waits for more from a client that hung up would keep the other direction open for ever.
                group.cancelAll()
                await remote.close()
                throw error
            }
        }
    }
}
