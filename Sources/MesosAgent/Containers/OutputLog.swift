import DequeModule
import Streaming
import Synchronization

/// What a nested container writes, for those who read it. Bounded: the reader of a session sets the pace of its program;
/// other readers that are too slow miss what is dropped.
final class OutputLog: Sendable {
    static let maximumBytes = 1 << 20

    private struct State {
        var pieces: Deque<ProcessOutput> = []
        /// Number of the first piece that is kept.
        var first = 0
        var bytes = 0
        /// Number of the piece that the pacing reader reads next.
        var position = 0
        var isPaced: Bool
        var isEnded = false
        var readers: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var writer: CheckedContinuation<Void, Never>?
        var nextID: UInt64 = 0

        mutating func trim() {
            while bytes > OutputLog.maximumBytes, let oldest = pieces.first, !isPaced || first < position {
                pieces.removeFirst()
                first += 1
                bytes -= oldest.bytes.count
            }
        }
    }
    private let state: Mutex<State>

    /// - Parameter isPaced: the writer waits for the reader that calls `next` with `isPacing`.
    init(isPaced: Bool) {
        state = Mutex(State(isPaced: isPaced))
    }

    func append(_ piece: ProcessOutput) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let (readers, mustWait): ([CheckedContinuation<Void, Never>], Bool) = state.withLock { state in
                if state.isEnded { return ([], false) }
                state.pieces.append(piece)
                state.bytes += piece.bytes.count
                let readers = Array(state.readers.values)
                state.readers = [:]
                state.trim()
                guard state.isPaced, state.bytes > Self.maximumBytes else { return (readers, false) }
                state.writer = continuation
                return (readers, true)
            }
            for reader in readers { reader.resume() }
            if !mustWait { continuation.resume() }
        }
    }

    /// The end of the output.
    func end() { release { $0.isEnded = true } }
    /// The pacing reader is gone.
    func unpace() { release { $0.isPaced = false } }

    private func release(_ change: (inout State) -> Void) {
        let (readers, writer) = state.withLock { state in
            change(&state)
            state.trim()
            defer {
                state.readers = [:]
                state.writer = nil
            }
            return (Array(state.readers.values), state.writer)
        }
        for reader in readers { reader.resume() }
        writer?.resume()
    }

    private enum Found {
        case piece(ProcessOutput, Int)
        case nothing(isEnded: Bool)
    }

    /// The next piece from a number on, and the number after it; nil at the end or when the task is cancelled.
    func next(from number: Int, isPacing: Bool) async -> (piece: ProcessOutput, next: Int)? {
        while !Task.isCancelled {
            let (found, writer): (Found, CheckedContinuation<Void, Never>?) = state.withLock { state in
                let at = max(number, state.first)
                if isPacing { state.position = max(state.position, at) }
                state.trim()
                var writer: CheckedContinuation<Void, Never>?
                if state.bytes <= Self.maximumBytes {
                    writer = state.writer
                    state.writer = nil
                }
                let index = max(at, state.first) - state.first
                guard index < state.pieces.count else { return (.nothing(isEnded: state.isEnded), writer) }
                return (.piece(state.pieces[index], state.first + index + 1), writer)
            }
            writer?.resume()
            switch found {
            case .piece(let piece, let next): return (piece, next)
            case .nothing(isEnded: true): return nil
            case .nothing: await more(than: number)
            }
        }
        return nil
    }

    private func more(than number: Int) async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isReady = state.withLock { state in
                    if state.isEnded || Task.isCancelled || state.first + state.pieces.count > number { return true }
                    state.readers[id] = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let reader = state.withLock { $0.readers.removeValue(forKey: id) }
            reader?.resume()
        }
    }
}

extension ProcessOutput {
    var bytes: [UInt8] {
        switch self {
        case .standardOutput(let bytes), .standardError(let bytes): bytes
        }
    }
}
