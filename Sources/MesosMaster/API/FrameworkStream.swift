import DequeModule
public import HTTPWindow
public import JSON
public import MesosModel
import Synchronization

/// The open answer to a SUBSCRIBE: events wait here until the client takes them.
///
/// What waits is bounded. A client that does not read is cut off; nothing that matters is lost by that, because task
/// updates come again until they are acknowledged and offers are made anew.
public final class FrameworkStream: Sendable {
    /// Value of `Mesos-Stream-Id`.
    public let id: String
    /// JSON or protobuf, as the client asked.
    public let format: MesosFormat
    private let message: String
    private let maximum: Int

    private struct State {
        var events: Deque<JSON> = []
        var isClosed = false
        /// The connection must end even while a write waits.
        var isCut = false
        var reader: CheckedContinuation<Void, Never>?
        var cutter: CheckedContinuation<Void, Never>?
        /// Since when one write waits for the client; nil: none does.
        var writingSince: ContinuousClock.Instant?
    }
    private let state = Mutex(State())

    /// Events that may wait.
    public static let maximumEvents = 32_768
    /// Longest that one write may wait for the client.
    static let patience = Duration.seconds(60)

    /// - Parameter message: the type of its events, `mesos.v1.scheduler.Event` for frameworks.
    public init(
        id: String, format: MesosFormat, message: String = "mesos.v1.scheduler.Event",
        maximum: Int = FrameworkStream.maximumEvents
    ) {
        self.id = id
        self.format = format
        self.message = message
        self.maximum = maximum
    }

    /// Events that wait.
    public var count: Int { state.withLock { $0.events.count } }
    /// True once it ends, or has ended.
    public var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Adds an event.
    /// - Returns: false when the stream is closed, which it is after too many events that nobody took.
    @discardableResult
    public func push(_ event: JSON) -> Bool {
        let (taken, reader, cutter) = state.withLock {
            state -> (Bool, CheckedContinuation<Void, Never>?, CheckedContinuation<Void, Never>?) in
            guard !state.isClosed else { return (false, nil, nil) }
            guard state.events.count < maximum else {
                let cutter = Self.cut(&state)
                return (false, state.reader.take(), cutter)
            }
            state.events.append(event)
            return (true, state.reader.take(), nil)
        }
        reader?.resume()
        cutter?.resume()
        return taken
    }

    /// Ends the stream after what waits, and after a last event.
    public func close(with last: JSON? = nil) {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.isClosed else { return nil }
            if let last { state.events.append(last) }
            state.isClosed = true
            return state.reader.take()
        }
        reader?.resume()
    }

    /// Ends the stream at once.
    public func cut() {
        let (reader, cutter) = state.withLock { state in (state.reader.take(), Self.cut(&state)) }
        reader?.resume()
        cutter?.resume()
    }

    /// Cuts a stream whose client has not taken anything for too long.
    /// - Returns: true when it did.
    func cutIfStalled(_ now: ContinuousClock.Instant) -> Bool {
        let isStalled = state.withLock { state in
            state.writingSince.map { now - $0 > Self.patience } ?? false
        }
        if isStalled { cut() }
        return isStalled
    }

    private static func cut(_ state: inout State) -> CheckedContinuation<Void, Never>? {
        state.isClosed = true
        state.isCut = true
        state.events = []
        return state.cutter.take()
    }

    // MARK: Serving

    /// Writes events as records until the stream is closed or the client is gone.
    public func serve(_ writer: WindowWriter) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.write(writer) }
            group.addTask { await self.waitUntilCut() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func write(_ writer: WindowWriter) async throws {
        while !Task.isCancelled {
            let (events, isClosed) = take(atMost: 256)
            if events.isEmpty {
                if isClosed { return }
                await waitForEvents()
                continue
            }
            defer { state.withLock { $0.writingSince = nil } }
            var out: [UInt8] = []
            for event in events {
                out += RecordWriter.frame(try MesosCodec.encode(event, as: message, format: format))
            }
            try await writer.write(out)
        }
    }

    /// Takes the oldest events out, and says whether any more will come.
    func take(atMost count: Int) -> (events: [JSON], isClosed: Bool) {
        state.withLock { state in
            let events = Array(state.events.prefix(count))
            state.events.removeFirst(events.count)
            state.writingSince = events.isEmpty ? nil : .now
            return (events, state.isClosed)
        }
    }

    private func waitForEvents() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if !state.events.isEmpty || state.isClosed || Task.isCancelled { return true }
                    state.reader = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.reader.take() }?.resume()
        }
    }

    private func waitUntilCut() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isCut || Task.isCancelled { return true }
                    state.cutter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.cutter.take() }?.resume()
        }
    }
}
