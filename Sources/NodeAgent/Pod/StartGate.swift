/// Lets a few pods at a time make their sandbox, in the order of asking: a crowd of pods that start together would only
/// slow each other down, and the first would run as late as the last.
actor StartGate {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// - Parameter width: how many at a time.
    init(width: Int) { free = width }

    func pass<Value: Sendable>(_ body: @Sendable () async throws -> Value) async rethrows -> Value {
        await enter()
        defer { leave() }
        return try await body()
    }

    private func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    /// The place goes to the next directly, so that nobody can overtake.
    private func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
