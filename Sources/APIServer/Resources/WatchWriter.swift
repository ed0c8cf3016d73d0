import APIMachinery
import ClusterClient
import NIOCore
import ObjectModel
import Synchronization

/// One watch's way to its client. Told of news on its event loop, it takes the events, encodes them and writes them
/// there. The task that started it only waits, until the client is slow, objects have to be converted, or the watch ends.
final class WatchWriter: WatchReader {
    /// What the task has to do.
    enum Outcome: Sendable {
        /// Wait until the client takes more.
        case full
        /// Bring these into the watch's version.
        case foreign([WatchEvent])
        /// Tell the client.
        case failed(StatusError)
        /// The watch is over, its task was cancelled, or the client is gone.
        case ended
    }

    private let exchange: Exchange
    private let core: NIOLoopBoundBox<Core>

    var lane: any WatchLane { exchange.executor }

    init(_ subscription: WatchSubscription, _ frames: WatchFrames, _ exchange: Exchange, sent: RequestMetrics.Counter) {
        self.exchange = exchange
        core = .makeBoxSendingValue(Core(subscription, frames, sent), eventLoop: exchange.eventLoop)
    }

    /// Writes what there is, and what comes, until the task is needed.
    func run() async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                exchange.withHandler { [self] handler, serial in core.value.run(self, handler, serial, continuation) }
            }
        } onCancel: {
            exchange.withHandler { [self] _, _ in core.value.stop() }
        }
    }

    /// Converted events, to be written first when it runs again.
    func goOn(with events: [WatchEvent]) {
        exchange.withHandler { [self] _, _ in core.value.rest = events[...] }
    }

    func hasNews() {
        let (handler, serial) = exchange.handlerOnLoop
        core.value.write(self, handler, serial)
    }

    /// What lives on the event loop.
    private final class Core {
        private let subscription: WatchSubscription
        private var frames: WatchFrames
        private let sent: RequestMetrics.Counter
        /// Taken and in the right version, but not written yet.
        var rest: ArraySlice<WatchEvent> = []
        /// The task, while it is not needed. Nothing is written without it.
        private var waiter: CheckedContinuation<Outcome, Never>?
        private var isStopped = false
        /// Below the encoder of HTTP/1.1, when the answer goes past it.
        private var chunks: ChannelHandlerContext?

        init(_ subscription: WatchSubscription, _ frames: WatchFrames, _ sent: RequestMetrics.Counter) {
            self.subscription = subscription
            self.frames = frames
            self.sent = sent
        }

        func run(
            _ writer: WatchWriter, _ handler: RequestHandler, _ serial: UInt64,
            _ continuation: CheckedContinuation<Outcome, Never>
        ) {
            if isStopped { return continuation.resume(returning: .ended) }
            waiter = continuation
            chunks = handler.chunks(serial)
            write(writer, handler, serial)
        }

        func stop() {
            isStopped = true
            need(for: .ended)
        }

        /// Wakes the task; until it runs the writer again nothing more is taken.
        private func need(for outcome: Outcome) {
            subscription.channel.rest()
            waiter?.resume(returning: outcome)
            waiter = nil
        }

        func write(_ writer: WatchWriter, _ handler: RequestHandler, _ serial: UInt64) {
            var isAsked = false
            while waiter != nil {
                if rest.isEmpty {
                    // Whoever takes events is told of the next ones.
                    if isAsked { return }
                    switch subscription.channel.take(for: writer) {
                    case .nothing: return
                    case .ended: return need(for: .ended)
                    case .failed(let error): return need(for: .failed(error))
                    case .events(let events):
                        isAsked = true
                        sent.count.add(events.count, ordering: .relaxed)
                        guard subscription.isShown(events) else { return need(for: .foreign(events)) }
                        if let known = writer.exchange.executor.frames.value.find(
                            events[...], frames.sharing, subscription.kind, inChunk: chunks != nil)
                        {
                            send(known, handler, serial)
                            continue
                        }
                        rest = events[...]
                    }
                }
                let events = rest
                let buffer = frames.frame(&rest, inChunk: chunks != nil)
                if rest.isEmpty, frames.areShared, buffer.readableBytes <= WatchFrames.largeBytes {
                    writer.exchange.executor.frames.value.keep(
                        buffer, of: events, frames.sharing, subscription.kind, inChunk: chunks != nil)
                }
                send(buffer, handler, serial)
            }
        }

        private func send(_ buffer: ByteBuffer, _ handler: RequestHandler, _ serial: UInt64) {
            let outcome =
                chunks.map { handler.write(serial, chunk: buffer, below: $0) } ?? handler.write(serial, buffer)
            switch outcome {
            case .accepted: break
            case .full: need(for: .full)
            case .closed: stop()
            }
        }
    }
}
