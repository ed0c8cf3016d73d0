import ClusterClient
import JSON
import MesosModel
import ObjectModel

/// Which step a deployment is at.
extension Executor {
    func isDone(_ deployment: Deployment, _ id: PathID) -> Bool {
        done.withLock { $0.contains(Done(deployment: deployment.id, step: deployment.currentStep, id: id)) }
    }

    func finished(_ deployment: Deployment, _ id: PathID) {
        let isNews = done.withLock {
            $0.insert(Done(deployment: deployment.id, step: deployment.currentStep, id: id)).inserted
        }
        if isNews { deployments.add(deployment.id) }
    }

    /// Takes a deployment to its next step when every action of this one is done.
    func advance(_ id: String) async throws {
        guard let deployment = state.deployment(id) else {
            done.withLock { done in
                guard done.contains(where: { $0.deployment == id }) else { return }
                done = done.filter { $0.deployment != id }
            }
            return
        }
        guard deployment.isApplied else { return try await changes.finish(id) }
        if let deadline = deployment.deadline {
            let left = deadline - .now
            if left <= .zero {
                _ = try await changes.rollBack(id, by: .all)
                return
            }
            deployments.add(id, after: left + .milliseconds(50))
        }
        guard deployment.currentActions.allSatisfy({ isDone(deployment, $0.id) }) else { return }
        if !deployment.steps.isEmpty {
            bus.publish(
                "deployment_step_success",
                ["plan": deployment.plan, "currentStep": ["actions": .array(deployment.currentActions.map(\.json))]])
        }
        let next = deployment.currentStep + 1
        guard next < deployment.steps.count else {
            try await client.delete(MesosNames.marathonDeployments, deployment.object.key)
            // Who hears of the end may change the same app at once.
            await state.showRemoval(of: deployment)
            bus.publish("deployment_success", ["id": .string(id), "plan": deployment.plan])
            for spec in deployment.affected { specs.add(spec) }
            return
        }
        let written = try await client.modify(MesosNames.marathonDeployments, deployment.object.key) { tree in
            guard (tree["status"]["currentStep"].int ?? 0) < next else { return false }
            tree["status"]["currentStep"] = JSON(next)
            return true
        }
        // The step is told of once.
        guard let written else { return }
        await state.show(written.metadata.resourceVersion, in: state.deployments)
        bus.publish(
            "deployment_info",
            ["plan": deployment.plan, "currentStep": ["actions": .array(deployment.steps[next].map(\.json))]])
    }
}
