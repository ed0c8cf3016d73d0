/// What the master asks of the node where an executor runs; implemented by the agent window.
public protocol AgentGateway: Sendable {
    /// Gives a framework's message to an executor. Best effort, as in the original.
    func send(message data: [UInt8], frameworkID: String, agentID: String, executorID: String) async throws
    /// Asks an executor to end; it is killed after its grace period.
    func shutdown(frameworkID: String, agentID: String, executorID: String) async throws
}

/// What the agent window tells the master.
public protocol MasterGateway: Sendable {
    /// Gives an executor's message to its framework. Best effort.
    func executorMessage(frameworkID: String, agentID: String, executorID: String, data: [UInt8]) async
}
