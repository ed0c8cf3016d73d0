import MesosModel
import Synchronization

/// The way to the master, which is made after the agent.
final class MasterLink: Sendable {
    private let gateway = Mutex<(any MasterGateway)?>(nil)

    func connect(_ master: any MasterGateway) {
        gateway.withLock { $0 = master }
    }
    func executorMessage(frameworkID: String, agentID: String, executorID: String, data: [UInt8]) async {
        guard let master = gateway.withLock({ $0 }) else { return }
        await master.executorMessage(frameworkID: frameworkID, agentID: agentID, executorID: executorID, data: data)
    }
}
