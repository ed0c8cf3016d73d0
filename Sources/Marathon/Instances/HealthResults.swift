import JSON
import ObjectModel

/// What the health checks of an instance say, from the readiness of its pod.
extension Instance {
    /// `healthCheckResults` of the task: one result for each check once it runs.
    func healthResults(_ spec: RunSpec, now: Timestamp = .now) -> [JSON] {
        guard hasHealthChecks, tasks.contains(where: { $0.startedAt != nil }) else { return [] }
        guard !gates.isEmpty else {
            let check = spec.healthChecks.first ?? .null
            return [
                healthResult(
                    interval: check["intervalSeconds"].double ?? 60, grace: check["gracePeriodSeconds"].double ?? 300,
                    now: now)
            ]
        }
        return spec.healthChecks.indices.map { index in
            let said = gates.contains(index) ? verdicts[index] : probeVerdict
            let isAlive = isRunning && said?.isAlive == true
            var result: JSON = [
                "alive": .bool(isAlive), "instanceId": .string(id), "consecutiveFailures": 0,
            ]
            guard let said else { return result }
            if isAlive {
                result["firstSuccess"] = .string(said.since.milliText)
                result["lastSuccess"] = .string(said.since.milliText)
            } else if isRunning {
                let interval = max(spec.healthChecks[index]["intervalSeconds"].double ?? 60, 1)
                result["consecutiveFailures"] = JSON(
                    1 + max(0, Int(bounded: (now - said.since) / .seconds(bounded: interval))))
                result["lastFailure"] = .string(said.since.milliText)
                result["lastFailureCause"] = "the check did not succeed"
            }
            return result
        }
    }

    private func healthResult(interval: Double, grace: Double, now: Timestamp) -> JSON {
        var result: JSON = [
            "alive": .bool(isReady && isRunning),
            "consecutiveFailures": JSON(failures(interval: interval, grace: grace, now: now)),
            "instanceId": .string(id),
        ]
        guard let readySince else { return result }
        if isReady {
            result["firstSuccess"] = .string(readySince.milliText)
            result["lastSuccess"] = .string(readySince.milliText)
        } else if isRunning, failures(interval: interval, grace: grace, now: now) > 0 {
            result["lastFailure"] = .string(readySince.milliText)
            result["lastFailureCause"] = "the check did not succeed"
        }
        return result
    }

    /// Checks in a row that failed until now: their interval goes into the time since it was last ready. Failures before the
    /// first success count when the grace period is over.
    func failures(interval: Double, grace: Double, now: Timestamp) -> Int {
        guard isRunning, !isReady, let started = startedAt else { return 0 }
        let since = hasFailed ? max(readySince ?? started, started) : started + .seconds(bounded: grace)
        let seconds = (now - since) / .seconds(1)
        return max(0, Int(bounded: (seconds / max(interval, 0.1)).rounded(.up)))
    }

    /// When it is killed for failing its checks unless one succeeds before; nil: never.
    func unhealthyDeadline(_ spec: RunSpec) -> (at: Timestamp, reason: String)? {
        guard isRunning, !isReady, let started = startedAt else { return nil }
        let checks =
            spec.kind == .app
            ? spec.healthChecks : spec.json["containers"].elements.map { $0["healthCheck"] }.filter { !$0.isNull }
        if !gates.isEmpty, spec.kind == .app {
            return checks.indices.compactMap { index in
                let said = gates.contains(index) ? verdicts[index] : probeVerdict
                return said?.isAlive == true
                    ? nil : deadline(checks[index], started: started, failingSince: said?.since)
            }.min { $0.at < $1.at }
        }
        guard let check = checks.first else { return nil }
        return deadline(check, started: started, failingSince: readySince)
    }

    /// - Parameter failingSince: when the check began to fail; at the start, when it never succeeded.
    private func deadline(_ check: JSON, started: Timestamp, failingSince: Timestamp?) -> (
        at: Timestamp, reason: String
    )? {
        let most = check["maxConsecutiveFailures"].int ?? 3
        guard most > 0 else { return nil }
        let interval = max(check["intervalSeconds"].double ?? 60, 1)
        let grace = max(check["gracePeriodSeconds"].double ?? 300, check["delaySeconds"].double ?? 0)
        let failing = .seconds(bounded: Double(most) * interval) as Duration
        var at = started + .seconds(bounded: grace) + failing
        // It was ready once: grace is over, and counting began when it stopped being ready.
        if let failingSince, failingSince > started + .seconds(1) { at = max(failingSince + failing, started) }
        return (at, "the health check failed \(most) times in a row")
    }
}
