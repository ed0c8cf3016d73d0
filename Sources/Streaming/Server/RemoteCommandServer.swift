public import Logging
import NIOCore
import NIOWebSocket

/// Joins an upgraded exec or attach connection to a `ProcessSession`.
///
/// Speaks `v5.channel.k8s.io`, `v4.channel.k8s.io`, `channel.k8s.io` and their base64 forms over WebSocket, and
/// `v4.channel.k8s.io` … `channel.k8s.io` over SPDY/3.1 (KEP-4006 and the remotecommand protocol of Kubernetes).
public struct RemoteCommandServer: Sendable {
    let logger: Logger

    public init(logger: Logger) {
        self.logger = logger
    }

    /// Serves the connection until the program ended, the client went away or the task is cancelled; then the session
    /// and the channel are closed.
    ///
    /// - Parameters:
    ///   - options: the query of the request; says which channels exist. With `tty`, stderr is not a channel.
    ///   - open: starts the program; an error it throws (a `StatusError` or any other) is sent to the client as the
    ///     final status.
    public func run(
        _ channel: UpgradedChannel, options: ExecOptions,
        open: @escaping @Sendable () async throws -> any ProcessSession
    ) async {
        do {
            switch (channel.carrier, channel.upgrade) {
            case (.frames(let frames), .webSocket(let subprotocol)):
                try await serve(frames, ChannelCodec(subprotocol: subprotocol), options, open)
            case (.bytes(let bytes), .spdy(let version)):
                try await serve(bytes, version: version, options, open)
            case (_, .webSocket(let subprotocol)), (_, .spdy(let subprotocol)):
                throw StreamingError("subprotocol \(subprotocol) is not one of remote commands")
            }
        } catch {
            logger.debug("remote command connection ended early", metadata: ["error": "\(error)"])
        }
        try? await channel.channel.close()
    }

    private func serve(
        _ channel: NIOAsyncChannel<WebSocketFrame, WebSocketFrame>, _ codec: ChannelCodec, _ options: ExecOptions,
        _ open: @escaping @Sendable () async throws -> any ProcessSession
    ) async throws {
        let allocator = channel.channel.allocator
        try await channel.executeThenClose { inbound, _ in
            let peer = WebSocketPeer(codec, ChannelWriter(channel.channel), allocator, options: options)
            try await peer.greet(options: options)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await peer.read(inbound)
                    return true
                }
                group.addTask {
                    try await join(peer, open)
                    return false
                }
                defer { group.cancelAll() }
                guard try await group.next() == false else { return }
                // Closing at once could throw away output that is still on its way: the client closes first.
                try await Timeout.run(.seconds(5)) { try await peer.drained() }
            }
        }
    }

    private func serve(
        _ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>, version: String, _ options: ExecOptions,
        _ open: @escaping @Sendable () async throws -> any ProcessSession
    ) async throws {
        let connection = SPDYConnection(role: .server)
        try await connection.run(channel) {
            let peer = try await SPDYPeer.accept(connection, version: version, options: options)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    // Nothing is accepted any more; the queue ends when the client goes away.
                    while let extra = try await connection.accepted.next() { extra.abort() }
                    return true
                }
                group.addTask {
                    try await join(peer, open)
                    return false
                }
                defer { group.cancelAll() }
                guard try await group.next() == false else { return }
                _ = try? await Timeout.run(.seconds(5)) { try await connection.ended() }
            }
        }
    }

    /// Copies in all directions until the program ends, then tells the client how.
    private func join(
        _ peer: any RemoteCommandPeer, _ open: @Sendable () async throws -> any ProcessSession
    ) async throws {
        let session: any ProcessSession
        do {
            session = try await open()
        } catch {
            try Task.checkCancellation()
            peer.standardInput.abandon()
            try await peer.finish(status: ExitStatus.message(error, isStructured: peer.hasStatus))
            return
        }
        let result: Result<ProcessExit, any Error>
        do {
            result = .success(try await copy(peer, session))
        } catch {
            result = .failure(error)
        }
        await session.close()
        // Whatever the client still types has no reader.
        peer.standardInput.abandon()
        try Task.checkCancellation()
        switch result {
        case .success(let exit):
            try await peer.finish(status: ExitStatus.message(exit, isStructured: peer.hasStatus))
        case .failure(let error):
            try await peer.finish(status: ExitStatus.message(error, isStructured: peer.hasStatus))
        }
    }

    private func copy(_ peer: any RemoteCommandPeer, _ session: any ProcessSession) async throws -> ProcessExit {
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                // A program that closed its input, or ended, is no error: its output and exit say what happened.
                do {
                    while let bytes = try await peer.standardInput.next() { try await session.write(bytes) }
                    try await session.closeInput()
                } catch {
                    peer.standardInput.abandon()
                }
            }
            group.addTask {
                for await size in peer.sizes { try? await session.resize(width: size.width, height: size.height) }
            }
            for try await piece in session.output { try await peer.write(piece) }
            return try await session.exit()
        }
    }
}
