import NIOCore
import Synchronization

/// Tells a stream that its client closed its side, which nobody would notice before the next write: while a stream is
/// written nobody reads. (The library's own way to notice ends the process when the request's body was read before.)
final class CloseWatcher: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = NIOAny
    typealias InboundOut = NIOAny

    private enum State: Sendable {
        case open(AsyncStream<Void>.Continuation?)
        case closed
    }
    private let state = Mutex(State.open(nil))

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { closed() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        closed()
        context.fireChannelInactive()
    }

    private func closed() {
        let waiter = state.withLock { state -> AsyncStream<Void>.Continuation? in
            guard case .open(let waiter) = state else { return nil }
            state = .closed
            return waiter
        }
        waiter?.finish()
    }

    /// Runs something that is cancelled when the client closes its side.
    func cancelWhenClosed(_ operation: @escaping @Sendable () async throws -> Void) async throws {
        let (signal, continuation) = AsyncStream<Void>.makeStream()
        let isClosed = state.withLock { state in
            if case .closed = state { return true }
            state = .open(continuation)
            return false
        }
        if isClosed { throw CancellationError() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in signal {}
                throw CancellationError()
            }
            group.addTask { try await operation() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
