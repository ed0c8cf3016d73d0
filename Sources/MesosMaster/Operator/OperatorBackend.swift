import ClusterClient
import HTTPWindow
import JSON

/// What the operator's endpoints reach of the master. Everything else that they change is an object in the store, which
/// the master follows.
protocol OperatorBackend: Sendable {
    var client: ClusterClient { get }
    var events: OperatorEvents { get }
    var access: WindowAccess { get }
    /// Everything the master knows now, as a value.
    func snapshot() async -> MasterState
    /// Applies an operation to what an agent has free; offers that stand in the way are taken back.
    /// - Throws: `MesosError` when it is not valid, or conflicts with what is in use.
    func operate(_ operation: JSON, onAgent id: String, principal: String?) async throws
    /// Removes a framework with everything it runs.
    /// - Returns: false when there is no such framework.
    func teardown(_ framework: String) async -> Bool
}

extension OperatorBackend {
    /// Waits until the master has seen what was just written, so that the next read shows it; two seconds at most.
    func settle(_ isSeen: @Sendable (MasterState) -> Bool) async {
        let end = ContinuousClock.now + .seconds(2)
        while ContinuousClock.now < end, !Task.isCancelled {
            if isSeen(await snapshot()) { return }
            do { try await Task.sleep(for: .milliseconds(5)) } catch { return }
        }
    }
}
