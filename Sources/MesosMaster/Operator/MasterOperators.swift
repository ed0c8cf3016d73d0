import ClusterClient
import HTTPWindow
import JSON

/// Serves operators on a master's window.
final class MasterOperators: OperatorBackend {
    private let master: Master
    let events: OperatorEvents

    /// Registers the operator API and the JSON endpoints at the master's routes.
    static func serve(_ master: Master) {
        let operators = MasterOperators(master)
        let api = OperatorAPI(backend: operators)
        master.routes.add("/api/v1") { try await api.answer($0) }
        LegacyAPI(backend: operators).register(master.routes)
        MasterPage.register(at: master.routes)
    }

    private init(_ master: Master) {
        self.master = master
        events = OperatorEvents(configuration: master.configuration)
        _ = master.observe { [events] in events.publish($0) }
    }

    var client: ClusterClient { master.client }
    var access: WindowAccess { master.configuration.access }
    func snapshot() async -> MasterState { master.snapshot() }
    func teardown(_ framework: String) async -> Bool { await master.teardown(frameworkID: framework) }
    func operate(_ operation: JSON, onAgent id: String, principal: String?) async throws {
        try await master.operate(operation, onAgent: id, principal: principal)
    }
}
