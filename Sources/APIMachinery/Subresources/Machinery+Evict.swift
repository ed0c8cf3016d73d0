import ClusterClient
import JSON
import ObjectModel

extension Machinery {
    private static let budgets = GroupVersionResource(group: "policy", version: "v1", resource: "poddisruptionbudgets")

    /// Deletes a pod if its disruption budget allows.
    /// - Throws: 429 with cause `DisruptionBudget` when it does not; 500 when several budgets cover the pod.
    func evict(_ key: ObjectKey, _ eviction: JSON, context: RequestContext) async throws -> WriteResult {
        let group = GroupVersionResource.pods.groupResource
        guard let pods = cache(.pods), let pod = pods.get(key) else {
            throw StatusError.notFound(group, name: key.name)
        }
        if let name = eviction["metadata"]["name"].string, !name.isEmpty, name != key.name {
            throw StatusError.badRequest("name in URL does not match name in Eviction object")
        }
        var options = DeleteOptions()
        let given = eviction["deleteOptions"]
        options.gracePeriodSeconds = given["gracePeriodSeconds"].int
        options.uid = given["preconditions"]["uid"].string
        options.resourceVersion = given["preconditions"]["resourceVersion"].string.flatMap { Revision($0) }
        options.propagation = given["propagationPolicy"].string.flatMap { DeleteOptions.Propagation(rawValue: $0) }
        options.isDryRun = context.isDryRun || given["dryRun"].elements.contains("All")
        let tree = pod.tree
        let phase = tree["status"]["phase"].string ?? ""
        let isUnneeded = ["Succeeded", "Failed", "Pending"].contains(phase) || pod.metadata.isTerminating
        if !isUnneeded, let budget = try budget(of: pod) {
            try await spend(budget, pod: pod, isReady: Self.isReady(tree), isDryRun: options.isDryRun)
        }
        if !options.isDryRun { try await markDisrupted(pods, key, &options) }
        _ = try await remove(pods, key, options: options, isAdmitted: true, context: context)
        return Self.success(code: 201)
    }

    /// Says in the pod's status why it goes, before it does: jobs do not count such an end as a failure.
    private func markDisrupted(_ pods: WatchCache, _ key: ObjectKey, _ options: inout DeleteOptions) async throws {
        for _ in 0..<64 {
            guard let current = pods.get(key) else { return }
            try checkPreconditions(current, options, GroupVersionResource.pods.groupResource)
            var tree = current.tree
            var conditions = tree["status"]["conditions"].elements
            if conditions.contains(where: { $0["type"] == "DisruptionTarget" && $0["status"] == "True" }) { return }
            conditions.removeAll { $0["type"] == "DisruptionTarget" }
            conditions.append([
                "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting", "lastTransitionTime": .string(Timestamp.now.rfc3339),
            ])
            tree["status"]["conditions"] = .array(conditions)
            do {
                let marked = try await commitUpdate(pods, current, tree)
                if options.resourceVersion != nil { options.resourceVersion = marked.metadata.resourceVersion }
                return
            } catch let conflict as WriteConflict {
                await catchUp(conflict)
                try Task.checkCancellation()
            }
        }
    }

    private func budget(of pod: Object) throws -> ObjectKey? {
        let matching = (cache(Self.budgets)?.all(namespace: pod.namespace) ?? []).filter { budget in
            guard let selector = try? LabelSelector(labelSelector: budget.tree["spec"]["selector"]) else {
                return false
            }
            return selector.matches(pod.metadata.labels)
        }
        guard matching.count <= 1 else {
            throw StatusError.internalError(
                "this pod has more than one PodDisruptionBudget, which the eviction subresource does not support")
        }
        return matching.first?.key
    }

    private static func isReady(_ pod: JSON) -> Bool {
        pod["status"]["conditions"].elements.contains { $0["type"].string == "Ready" && $0["status"].string == "True" }
    }

    /// Takes one allowed disruption from a budget, guarded by its version, so that two evictions never share one.
    private func spend(_ key: ObjectKey, pod: Object, isReady: Bool, isDryRun: Bool) async throws {
        guard let cache = cache(Self.budgets) else { return }
        for _ in 0..<64 {
            guard let current = cache.get(key) else { return }
            var tree = current.tree
            let status = tree["status"]
            // A pod that is not ready counts for nothing: evicting it costs the budget nothing, if it is met at all.
            let isHealthy = (status["currentHealthy"].int ?? 0) >= (status["desiredHealthy"].int ?? 0)
            let always = tree["spec"]["unhealthyPodEvictionPolicy"].string == "AlwaysAllow"
            if !isReady, always || (isHealthy && (status["desiredHealthy"].int ?? 0) > 0) { return }
            var error = StatusError.tooManyRequests(
                "Cannot evict pod as it would violate the pod's disruption budget.", retryAfterSeconds: 10)
            if (status["observedGeneration"].int ?? 0) < current.metadata.generation {
                error.causes = [
                    .init(
                        reason: "DisruptionBudget",
                        message: "The disruption budget \(key.name) is still being processed by the server.")
                ]
                throw error
            }
            let allowed = status["disruptionsAllowed"].int ?? 0
            guard allowed > 0 else {
                error.retryAfterSeconds = nil
                error.causes = [
                    .init(
                        reason: "DisruptionBudget",
                        message:
                            "The disruption budget \(key.name) needs \(status["desiredHealthy"].int ?? 0) healthy pods "
                            + "and has \(status["currentHealthy"].int ?? 0) currently")
                ]
                throw error
            }
            if isDryRun { return }
            tree["status"]["disruptionsAllowed"] = JSON(allowed - 1)
            tree["status"]["disruptedPods"][pod.name] = .string(Timestamp.now.rfc3339)
            do {
                _ = try await commitUpdate(cache, current, tree)
                return
            } catch let conflict as WriteConflict {
                await catchUp(conflict)
                try Task.checkCancellation()
            }
        }
        throw StatusError.conflict(Self.budgets.groupResource, name: key.name)
    }
}
