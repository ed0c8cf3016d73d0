import ClusterClient
import JSON
import ObjectModel

/// Tells listeners what happens to instances, by comparing what is seen with what was seen before.
struct InstanceEvents: Sendable {
    let bus: EventBus
    let state: MarathonState

    func heard(_ event: InformerEvent<Instance>) {
        switch event {
        case .added(let new): if new.isBound { statuses(nil, new) }
        case .modified(let old, let new):
            statuses(old, new)
            health(old, new)
        case .deleted(let old): if !old.isTerminal { gone(old) }
        }
    }

    private func statuses(_ old: Instance?, _ new: Instance) {
        var changed = false
        for task in new.tasks {
            let before = old?.tasks.first { $0.id == task.id }
            guard new.isBound, before?.state != task.state || old?.isBound == false else { continue }
            changed = true
            // What ended between two looks had started before.
            if task.isTerminal, let startedAt = task.startedAt, before?.startedAt == nil, startedAt.microseconds > 0 {
                status(new, task, state: "TASK_RUNNING", message: "")
            }
            status(new, task, state: task.state, message: task.message)
        }
        if changed { instance(new, condition: condition(new)) }
    }

    private func gone(_ old: Instance) {
        for task in old.tasks where !task.isTerminal {
            status(old, task, state: "TASK_KILLED", message: old.killReason ?? "Pod was deleted")
        }
        instance(old, condition: "Killed")
    }

    private func status(_ instance: Instance, _ task: Instance.Task, state: String, message: String) {
        bus.publish(
            "status_update_event",
            [
                "slaveId": .string(self.state.agentID(of: instance)), "taskId": .string(task.id),
                "taskStatus": .string(state),
                "message": .string(message), "appId": .string(instance.spec.text),
                "host": .string(self.state.host(of: instance)),
                "ipAddresses": TaskJSON.addresses(instance), "ports": .array(instance.ports.map { JSON($0) }),
                "version": .string(instance.version),
            ])
    }

    private func condition(_ instance: Instance) -> String {
        let states = instance.tasks.map(\.state)
        func word(_ state: String) -> String { state.dropFirst(5).capitalized }
        for state in ["TASK_FAILED", "TASK_KILLED", "TASK_KILLING", "TASK_STAGING", "TASK_STARTING"]
        where states.contains(state) { return word(state) }
        return states.allSatisfy { $0 == "TASK_FINISHED" } ? "Finished" : "Running"
    }

    private func instance(_ instance: Instance, condition: String) {
        bus.publish(
            "instance_changed_event",
            [
                "instanceId": .string(instance.id), "runSpecId": .string(instance.spec.text),
                "condition": .string(condition), "agentId": .string(state.agentID(of: instance)),
                "host": .string(state.host(of: instance)),
                "runSpecVersion": .string(instance.version),
            ])
    }

    private func health(_ old: Instance, _ new: Instance) {
        guard let after = new.isHealthy, old.isHealthy != after, !new.isTerminal, !new.isTerminating else { return }
        // Not to be ready before the first success is no change.
        if !after, old.isHealthy != true { return }
        bus.publish(
            "health_status_changed_event",
            [
                "appId": .string(new.spec.text), "instanceId": .string(new.id), "version": .string(new.version),
                "alive": .bool(after),
            ])
        bus.publish(
            "instance_health_changed_event",
            [
                "instanceId": .string(new.id), "runSpecId": .string(new.spec.text), "healthy": .bool(after),
                "runSpecVersion": .string(new.version),
            ])
    }
}

extension Substring {
    /// `RUNNING` as `Running`.
    fileprivate var capitalized: String { prefix(1) + dropFirst().lowercased() }
}
