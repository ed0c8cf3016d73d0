import JSON

/// Which checks of health a change brings and takes away, as listeners are told.
struct HealthCheckChanges: Sendable {
    private var removed: [PathID] = []
    private var added: [RunSpec] = []

    init(from base: any Definitions, _ change: DefinitionChange) {
        for (id, spec) in change.specs.sorted(by: { $0.key < $1.key }) {
            let old = base.spec(id).flatMap { $0.kind == .app ? $0 : nil }
            let new = spec.flatMap { $0.kind == .app ? $0 : nil }
            guard old?.healthChecks ?? [] != new?.healthChecks ?? [] else { continue }
            if old?.healthChecks.isEmpty == false { removed.append(id) }
            if let new, !new.healthChecks.isEmpty { added.append(new) }
        }
    }

    func publish(on bus: EventBus) {
        for id in removed { bus.publish("remove_health_check_event", ["appId": .string(id.text)]) }
        for spec in added {
            for check in spec.healthChecks {
                bus.publish(
                    "add_health_check_event",
                    [
                        "appId": .string(spec.id.text), "version": .string(spec.version),
                        "healthCheck": RunSpec.answered(check),
                    ])
            }
        }
    }
}
