import NIOCore
import Synchronization

/// Hands elements from senders to one receiver and holds senders back while the receiver is behind.
///
/// An element is always taken; its sender is then suspended until what waits costs less than the limit again. So the
/// memory is bounded by the limit plus one element per concurrent sender.
package final class BoundedQueue<Element: Sendable>: Sendable {
    private struct State {
        var elements = CircularBuffer<(element: Element, cost: Int)>()
        var cost = 0
        var end: Result<Void, any Error>?
        /// The receiver lost interest: whatever is sent is dropped.
        var isAbandoned = false
        var receiver: CheckedContinuation<Element?, any Error>?
        var senders: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var lastSender: UInt64 = 0

        mutating func takeSenders() -> [CheckedContinuation<Void, Never>] {
            defer { senders = [:] }
            return Array(senders.values)
        }
    }

    private enum Answer {
        case element(Element)
        case end(Result<Void, any Error>)
        case wait
    }

    private let limit: Int
    private let state = Mutex(State())

    package init(limit: Int) {
        self.limit = limit
    }

    /// - Returns: false when nobody will receive the element, or the sending task was cancelled.
    @discardableResult
    package func send(_ element: Element, cost: Int = 1) async -> Bool {
        guard offer(element, cost: cost, always: true) else { return false }
        let id: UInt64? = state.withLock { state in
            guard state.cost > limit, !state.isAbandoned, state.end == nil else { return nil }
            state.lastSender += 1
            return state.lastSender
        }
        guard let id else { return true }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isFree = state.withLock { state in
                    if state.cost <= limit || state.isAbandoned || state.end != nil || Task.isCancelled { return true }
                    state.senders[id] = continuation
                    return false
                }
                if isFree { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.senders.removeValue(forKey: id) }?.resume()
        }
        return !Task.isCancelled && !state.withLock { $0.isAbandoned }
    }

    /// Adds an element without waiting.
    /// - Parameter always: also when the queue is full; else a full queue refuses.
    /// - Returns: whether it was taken.
    @discardableResult
    package func offer(_ element: Element, cost: Int = 1, always: Bool = false) -> Bool {
        let (isTaken, receiver) = state.withLock { state -> (Bool, CheckedContinuation<Element?, any Error>?) in
            guard state.end == nil, !state.isAbandoned, always || state.cost < limit else { return (false, nil) }
            if let receiver = state.receiver {
                state.receiver = nil
                return (true, receiver)
            }
            state.elements.append((element, cost))
            state.cost += cost
            return (true, nil)
        }
        receiver?.resume(returning: element)
        return isTaken
    }

    /// No more elements will come; those that wait are still received. The first call counts.
    package func finish(throwing error: (any Error)? = nil) {
        let (receiver, senders) = state.withLock { state in
            guard state.end == nil else {
                return (nil as CheckedContinuation<Element?, any Error>?, [CheckedContinuation<Void, Never>]())
            }
            state.end = error.map { .failure($0) } ?? .success(())
            defer { state.receiver = nil }
            return (state.receiver, state.takeSenders())
        }
        if let error { receiver?.resume(throwing: error) } else { receiver?.resume(returning: nil) }
        for sender in senders { sender.resume() }
    }

    /// The receiver wants no more: what waits is dropped, senders go on.
    package func abandon() {
        let (receiver, senders) = state.withLock { state in
            state.isAbandoned = true
            state.elements.removeAll()
            state.cost = 0
            defer { state.receiver = nil }
            return (state.receiver, state.takeSenders())
        }
        receiver?.resume(returning: nil)
        for sender in senders { sender.resume() }
    }

    /// The next element; nil at the end. Only one task may wait at a time.
    package func next() async throws -> Element? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (answer, senders) = state.withLock { state -> (Answer, [CheckedContinuation<Void, Never>]) in
                    if let first = state.elements.popFirst() {
                        state.cost -= first.cost
                        return (.element(first.element), state.cost <= limit ? state.takeSenders() : [])
                    }
                    if state.isAbandoned { return (.end(.success(())), []) }
                    if let end = state.end { return (.end(end), []) }
                    if Task.isCancelled { return (.end(.failure(CancellationError())), []) }
                    precondition(state.receiver == nil, "two receivers wait on one queue")
                    state.receiver = continuation
                    return (.wait, [])
                }
                for sender in senders { sender.resume() }
                switch answer {
                case .element(let element): continuation.resume(returning: element)
                case .end(.success): continuation.resume(returning: nil)
                case .end(.failure(let error)): continuation.resume(throwing: error)
                case .wait: break
                }
            }
        } onCancel: {
            let receiver = state.withLock { state in
                defer { state.receiver = nil }
                return state.receiver
            }
            receiver?.resume(throwing: CancellationError())
        }
    }

    /// The queue as a stream for one reader: it takes an element when it is asked for one.
    package var stream: AsyncThrowingStream<Element, any Error> {
        AsyncThrowingStream { try await self.next() }
    }
}

/// A value that is set once and awaited by any number of tasks.
final class OnceValue<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiters: [UInt64: CheckedContinuation<Value, any Error>] = [:]
        var lastWaiter: UInt64 = 0
    }
    private let state = Mutex(State())

    /// Only the first call counts.
    func set(_ value: Value) {
        let waiters = state.withLock { state in
            guard state.value == nil else { return [CheckedContinuation<Value, any Error>]() }
            state.value = value
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    func get() async throws -> Value {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let answer = state.withLock { state -> Result<Value, any Error>? in
                    if let value = state.value { return .success(value) }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[id] = continuation
                    return nil
                }
                if let answer { continuation.resume(with: answer) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }
}
