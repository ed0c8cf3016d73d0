import DequeModule
import JSON
import ObjectModel
import Synchronization

/// Where events go to those that listen. Every listener has a queue of bounded length; one that is too slow is cut off.
final class EventBus: Sendable {
    /// Events that wait for one listener at most.
    static let limit = 10_000
    /// Listeners at a time at most.
    static let maximumListeners = 500

    private struct Listener {
        var types: Set<String>
        var continuation: AsyncStream<[UInt8]>.Continuation
    }
    private struct State {
        var listeners: [UInt64: Listener] = [:]
        var next: UInt64 = 0
    }
    private let state = Mutex(State())

    /// Whether somebody asked for a type of events.
    func isHeard(_ type: String) -> Bool {
        state.withLock { state in state.listeners.values.contains { $0.types.isEmpty || $0.types.contains(type) } }
    }

    /// Sends an event to those who asked for its type.
    func publish(_ type: String, _ members: JSON) {
        guard isHeard(type) else { return }
        let bytes = Self.frame(type, members)
        state.withLock { state in
            for (id, listener) in state.listeners where listener.types.isEmpty || listener.types.contains(type) {
                if case .dropped = listener.continuation.yield(bytes) {
                    listener.continuation.finish()
                    state.listeners.removeValue(forKey: id)
                }
            }
        }
    }

    /// An event as a server-sent one.
    static func frame(_ type: String, _ members: JSON) -> [UInt8] {
        var json = members
        json["eventType"] = .string(type)
        json["timestamp"] = .string(Timestamp.now.milliText)
        var bytes = Array("event: \(type)\ndata: ".utf8)
        json.encode(into: &bytes)
        bytes += [0x0d, 0x0a, 0x0d, 0x0a]
        return bytes
    }

    /// Events from now on; nil when too many listen already.
    /// - Parameter types: the wanted types; empty: all.
    func listen(_ types: Set<String>) -> (id: UInt64, events: AsyncStream<[UInt8]>)? {
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream(bufferingPolicy: .bufferingOldest(Self.limit))
        return state.withLock { state in
            guard state.listeners.count < Self.maximumListeners else { return nil }
            state.next += 1
            state.listeners[state.next] = Listener(types: types, continuation: continuation)
            return (state.next, stream)
        }
    }

    /// Sends something to one listener: an event about itself, or an empty line that keeps the connection.
    func send(_ bytes: [UInt8], to id: UInt64) {
        state.withLock { state in _ = state.listeners[id]?.continuation.yield(bytes) }
    }

    func leave(_ id: UInt64) {
        let listener = state.withLock { $0.listeners.removeValue(forKey: id) }
        listener?.continuation.finish()
    }

    func closeAll() {
        let all = state.withLock { state in
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in all { listener.continuation.finish() }
    }

    func beat() {
        state.withLock { state in
            for listener in state.listeners.values { listener.continuation.yield([0x0d, 0x0a]) }
        }
    }
}
