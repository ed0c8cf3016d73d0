import ObjectModel
import Synchronization

/// How many requests of each sort are being handled, and who is next; long-running ones are not counted.
final class InFlight: Sendable {
    let reads: FairLimit
    let writes: FairLimit

    init(_ limits: APIServerConfiguration.Limits) {
        reads = FairLimit(limits.readsInFlight, waitingPerUser: limits.waitingPerUser)
        writes = FairLimit(limits.writesInFlight, waitingPerUser: limits.waitingPerUser)
    }

    func limit(isMutating: Bool) -> FairLimit { isMutating ? writes : reads }
}

/// A bound on requests handled at once that users share fairly. While there is room, everybody enters at once. Then
/// requests wait, each user's in a queue of its own, and users take turns: who floods the server waits for themselves.
/// One user never holds more than three quarters of the places, so that slow requests of one do not shut out the rest.
final class FairLimit: Sendable {
    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }
    private struct State {
        var running: [String: Int] = [:]
        var total = 0
        var queues: [String: [Waiter]] = [:]
        /// Users with a queue, the next to be served first.
        var turns: [String] = []
        var waiting = 0
        var nextID: UInt64 = 0
    }
    private let state = Mutex(State())
    private let maximum: Int
    private let share: Int
    /// Waiting requests of one user, and of all together.
    private let maximumQueue: Int
    private let maximumWaiting: Int

    init(_ maximum: Int, waitingPerUser: Int) {
        self.maximum = maximum
        share = max(1, maximum - maximum / 4)
        maximumQueue = waitingPerUser
        maximumWaiting = 20 * waitingPerUser
    }

    var runningCount: Int { state.withLock { $0.total } }
    var waitingCount: Int { state.withLock { $0.waiting } }

    private enum Outcome {
        case entered
        case queued
        case refused
    }

    /// Waits for a place; `leave` gives it back.
    ///
    /// - Throws: `StatusError` 429 when the user, or everybody, has too many waiting; `CancellationError`.
    func enter(_ user: String) async throws {
        switch state.withLock({ admit(user, &$0) }) {
        case .entered: return
        case .refused: throw StatusError.tooManyRequests("too many requests, please try again later")
        case .queued: break
        }
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Outcome = state.withLock { state in
                    let outcome = admit(user, &state)
                    guard outcome == .queued else { return outcome }
                    if state.queues[user] == nil { state.turns.append(user) }
                    state.queues[user, default: []].append(Waiter(id: id, continuation: continuation))
                    state.waiting += 1
                    return .queued
                }
                switch outcome {
                case .entered: continuation.resume()
                case .refused:
                    continuation.resume(
                        throwing: StatusError.tooManyRequests("too many requests, please try again later"))
                case .queued:
                    // A cancellation before the request waited found nobody.
                    if Task.isCancelled { abandon(id, user) }
                }
            }
        } onCancel: {
            abandon(id, user)
        }
    }

    /// Gives a place back, to the next who waits.
    func leave(_ user: String) {
        let next: [Waiter] = state.withLock { state in
            state.total -= 1
            let left = (state.running[user] ?? 1) - 1
            state.running[user] = left > 0 ? left : nil
            return serve(&state)
        }
        for waiter in next { waiter.continuation.resume() }
    }

    private func admit(_ user: String, _ state: inout State) -> Outcome {
        if state.total < maximum, state.running[user, default: 0] < share, state.queues[user] == nil {
            state.total += 1
            state.running[user, default: 0] += 1
            return .entered
        }
        let own = state.queues[user]?.count ?? 0
        return own < maximumQueue && state.waiting < maximumWaiting ? .queued : .refused
    }

    /// Fills the free places from the queues of users who have not got their share, one of each in turn.
    private func serve(_ state: inout State) -> [Waiter] {
        var served: [Waiter] = []
        var skipped = 0
        while state.total < maximum, skipped < state.turns.count {
            let user = state.turns.removeFirst()
            guard state.running[user, default: 0] < share, state.queues[user]?.isEmpty == false,
                let waiter = state.queues[user]?.removeFirst()
            else {
                state.turns.append(user)
                skipped += 1
                continue
            }
            skipped = 0
            state.waiting -= 1
            state.total += 1
            state.running[user, default: 0] += 1
            served.append(waiter)
            if state.queues[user]?.isEmpty == true {
                state.queues[user] = nil
            } else {
                state.turns.append(user)
            }
        }
        return served
    }

    private func abandon(_ id: UInt64, _ user: String) {
        let waiter: Waiter? = state.withLock { state in
            guard let index = state.queues[user]?.firstIndex(where: { $0.id == id }) else { return nil }
            let waiter = state.queues[user]?.remove(at: index)
            state.waiting -= 1
            if state.queues[user]?.isEmpty == true {
                state.queues[user] = nil
                state.turns.removeAll { $0 == user }
            }
            return waiter
        }
        waiter?.continuation.resume(throwing: CancellationError())
    }
}
