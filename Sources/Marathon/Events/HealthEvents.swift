import JSON
import ObjectModel

/// Tells listeners of every check of health that failed, as long as somebody listens.
struct HealthEvents: Sendable {
    private static let type = "failed_health_check_event"
    let bus: EventBus
    let state: MarathonState

    func run() async {
        var counted: [String: Int] = [:]
        while (try? await Task.sleep(for: .milliseconds(500))) != nil {
            guard bus.isHeard(Self.type) else {
                counted = [:]
                continue
            }
            counted = look(counted)
        }
    }

    /// - Returns: failures in a row by instance.
    private func look(_ before: [String: Int], now: Timestamp = .now) -> [String: Int] {
        var counted: [String: Int] = [:]
        for instance in state.instances.all
        where instance.hasHealthChecks && instance.isRunning && !instance.isReady && instance.kind == .app {
            let spec = state.version(instance.spec, instance.version)?.spec ?? state.spec(instance.spec)
            guard let spec, let check = spec.healthChecks.first else { continue }
            let count = instance.failures(
                interval: check["intervalSeconds"].double ?? 60, grace: check["gracePeriodSeconds"].double ?? 300,
                now: now)
            counted[instance.uid] = count
            guard count > before[instance.uid] ?? 0 else { continue }
            bus.publish(
                Self.type,
                [
                    "appId": .string(instance.spec.text), "instanceId": .string(instance.id),
                    "healthCheck": RunSpec.answered(check),
                ])
        }
        return counted
    }
}
