import ServiceLifecycle
import Synchronization

/// A component with a name whose running can be seen from outside.
final class Monitored: Service {
    let name: String
    private let service: any Service
    private let running = Atomic<Bool>(false)

    init(_ name: String, _ service: any Service) {
        self.name = name
        self.service = service
    }

    var isRunning: Bool { running.load(ordering: .relaxed) }

    func run() async throws {
        running.store(true, ordering: .relaxed)
        defer { running.store(false, ordering: .relaxed) }
        try await service.run()
    }
}
