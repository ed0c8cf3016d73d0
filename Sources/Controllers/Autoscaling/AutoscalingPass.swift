import ClusterClient
import JSON
import ObjectModel

/// One look at one autoscaler: reads the target and the metrics, and collects what the status will say.
struct AutoscalingPass {
    struct Target {
        var resource: GroupVersionResource
        var key: ObjectKey
        var replicas: Int
        var selector: LabelSelector
    }
    struct Wish {
        var replicas: Int
        /// What the metrics asked for, before any limit; nil: they were not asked.
        var recommendation: Int?
        var isStabilized = false
        var reason = ""
    }
    private struct Proposal {
        var replicas: Int
        var name: String
        var status: JSON
    }

    let scaler: Object
    let context: ControllerContext
    let now = Timestamp.now
    private var conditions: Conditions
    private var metrics: [JSON] = []
    private var lastScaleTime: String?

    init(scaler: Object, context: ControllerContext) {
        self.scaler = scaler
        self.context = context
        conditions = Conditions(scaler.tree["status"]["conditions"])
    }

    mutating func condition(_ type: String, _ value: Bool, _ reason: String, _ message: String) {
        conditions.set(type, value ? "True" : "False", reason: reason, message: message, now: now)
    }

    func record(_ kind: EventRecorder.Kind, _ reason: String, _ message: String) {
        context.recorder.record(
            EventRecorder.Reference(scaler), kind, reason: reason, message: message,
            component: AutoscalingController.component)
    }

    // MARK: The target

    func target() async throws -> Target {
        let reference = scaler.tree["spec"]["scaleTargetRef"]
        let kind = GroupVersionKind(
            apiVersion: reference["apiVersion"].string ?? "", kind: reference["kind"].string ?? "")
        let served = try await context.client.transport.resources()
        guard let found = served.first(where: { $0.kind == kind.kind && $0.resource.group == kind.group }) else {
            throw ReplicaEstimate.Failure(
                description: "no matches for kind \"\(kind.kind)\" in group \"\(kind.group)\"")
        }
        let key = ObjectKey(namespace: scaler.namespace, name: reference["name"].string ?? "")
        let tree = try await context.client.get(found.resource, key).tree
        let selector: LabelSelector?
        if let text = tree["status"]["selector"].string {
            selector = try LabelSelector(parsing: text)
        } else if kind.kind == "ReplicationController" {
            selector = LabelSelector(matching: tree["spec"]["selector"].stringMap)
        } else {
            selector = try LabelSelector(labelSelector: tree["spec"]["selector"])
        }
        guard let selector, !selector.isEmpty else {
            throw ReplicaEstimate.Failure(description: "selector is required")
        }
        return Target(
            resource: found.resource, key: key, replicas: tree["spec"]["replicas"].int ?? 1, selector: selector)
    }

    mutating func scale(_ target: Target, to replicas: Int, reason: String) async throws {
        do {
            try await context.client.patch(
                target.resource, target.key, .merge, ["spec": ["replicas": JSON(replicas)]], subresource: "scale")
        } catch {
            record(.warning, "FailedRescale", "New size: \(replicas); reason: \(reason); error: \(error)")
            condition(
                "AbleToScale", false, "FailedUpdateScale",
                "the HPA controller was unable to update the target scale: \(error)")
            throw error
        }
        condition(
            "AbleToScale", true, "SucceededRescale",
            "the HPA controller was able to update the target scale to \(replicas)")
        record(.normal, "SuccessfulRescale", "New size: \(replicas); reason: \(reason)")
        lastScaleTime = now.rfc3339
    }

    // MARK: The decision

    /// What to scale to; nil when nothing can be said.
    mutating func decide(
        _ target: Target, _ recommendations: [ScalingLimits.Recommendation], _ events: [ScalingLimits.Event]
    ) async -> Wish? {
        let spec = scaler.tree["spec"]
        let limits = ScalingLimits(spec)
        let (least, most) = (spec["minReplicas"].int ?? 1, spec["maxReplicas"].int ?? 1)
        let current = target.replicas
        if current == 0, least != 0 {
            condition(
                "ScalingActive", false, "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero")
            return Wish(replicas: 0)
        }
        if current > most {
            return Wish(replicas: most, reason: "Current number of replicas above Spec.MaxReplicas")
        }
        if current < least {
            return Wish(replicas: least, reason: "Current number of replicas below Spec.MinReplicas")
        }
        guard let proposal = await propose(target, limits) else { return nil }
        let decision = limits.decide(
            current: current, desired: proposal.replicas, recommendations: recommendations, events: events, now: now)
        if let able = decision.able { condition("AbleToScale", true, able.reason, able.message) }
        if let limited = decision.limited {
            condition("ScalingLimited", true, limited.reason, limited.message)
        } else {
            condition(
                "ScalingLimited", false, "DesiredWithinRange", "the desired count is within the acceptable range")
        }
        return Wish(
            replicas: decision.replicas, recommendation: proposal.replicas, isStabilized: decision.able != nil,
            reason: decision.replicas > current
                ? "\(proposal.name) above target" : "All metrics below target")
    }

    /// The greatest number that a metric asks for. One that cannot be read keeps the others from scaling down.
    private mutating func propose(_ target: Target, _ limits: ScalingLimits) async -> Proposal? {
        let wanted = scaler.tree["spec"]["metrics"].elements
        var best: Proposal?
        var failure: (reason: String, message: String)?
        var failures = 0
        for metric in wanted {
            do {
                let proposal = try await propose(metric, target, limits)
                metrics.append(proposal.status)
                if best.map({ proposal.replicas > $0.replicas }) ?? true { best = proposal }
            } catch {
                failures += 1
                let reason = Self.failureReason(metric)
                if failure == nil { failure = (reason, "the HPA was unable to compute the replica count: \(error)") }
                record(.warning, reason, "\(error)")
            }
        }
        if let failure, best == nil || (best?.replicas ?? 0) < target.replicas {
            condition("ScalingActive", false, failure.reason, failure.message)
            record(
                .warning, "FailedComputeMetricsReplicas",
                "invalid metrics (\(failures) invalid out of \(wanted.count)), first error is: \(failure.message)")
            return nil
        }
        guard let best else { return nil }
        condition(
            "ScalingActive", true, "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from \(best.name)")
        return best
    }

    private static func failureReason(_ metric: JSON) -> String {
        switch metric["type"].string {
        case "Resource": "FailedGetResourceMetric"
        case "ContainerResource": "FailedGetContainerResourceMetric"
        case "Pods": "FailedGetPodsMetric"
        case "Object": "FailedGetObjectMetric"
        case "External": "FailedGetExternalMetric"
        default: "InvalidMetricSourceType"
        }
    }

    private func propose(_ metric: JSON, _ target: Target, _ limits: ScalingLimits) async throws -> Proposal {
        let type = metric["type"].string ?? ""
        let isContainer = type == "ContainerResource"
        guard type == "Resource" || isContainer else {
            let group = type == "External" ? "external.metrics.k8s.io" : "custom.metrics.k8s.io"
            throw ReplicaEstimate.Failure(
                description: "unable to get metric: no metrics returned from the \(group) API: it is not served")
        }
        let source = metric[isContainer ? "containerResource" : "resource"]
        let resource = source["name"].string ?? ""
        let container = isContainer ? source["container"].string : nil
        let pods = context.informers.podsByNamespace[scaler.namespace].filter {
            target.selector.matches($0.labels)
        }
        let samples = try await samples(resource, container, of: Set(pods.map(\.name)))
        let goal = source["target"]
        let utilization = goal["averageUtilization"].int
        let average = goal["averageValue"].isNull ? nil : Quantity(goal["averageValue"])?.milliValue
        guard utilization != nil || average != nil else {
            throw ReplicaEstimate.Failure(
                description:
                    "invalid resource metric source: neither an average utilization nor an average value target was set"
            )
        }
        var estimate = ReplicaEstimate(resource: resource)
        estimate.tolerance = limits.tolerance
        let result = try estimate.replicas(
            current: target.replicas, pods: pods.map { Self.pod($0, resource, container) }, samples: samples,
            utilization: utilization, averageValue: average, now: now)
        var current: JSON = [
            "averageValue": .string(
                resource == "cpu"
                    ? Quantity(milli: result.average).canonical : String(result.average / 1000))
        ]
        if let percent = result.utilization { current["averageUtilization"] = JSON(percent) }
        var body: JSON = ["name": .string(resource), "current": current]
        if let container { body["container"] = .string(container) }
        let noun = isContainer ? "container resource" : "resource"
        return Proposal(
            replicas: result.replicas,
            name: utilization == nil
                ? "\(resource) \(noun)" : "\(resource) \(noun) utilization (percentage of request)",
            status: isContainer
                ? ["type": .string(type), "containerResource": body] : ["type": .string(type), "resource": body])
    }

    private static func pod(_ view: PodView, _ resource: String, _ container: String?) -> ReplicaEstimate.Pod {
        let tree = view.object.tree
        let sidecars = tree["spec"]["initContainers"].elements.filter { $0["restartPolicy"].string == "Always" }
        let counted = (tree["spec"]["containers"].elements + sidecars).filter {
            container == nil || $0["name"].string == container
        }
        let lacking = counted.first { $0["resources"]["requests"][resource].isNull }
        let requests = counted.map { Quantity($0["resources"]["requests"][resource])?.milliValue }
        return ReplicaEstimate.Pod(
            name: view.name, phase: view.phase, isTerminating: view.isTerminating, isReady: view.isReady,
            readyTransition: view.readyTransition,
            started: tree["status"]["startTime"].string.flatMap { Timestamp($0) },
            request: requests.contains { $0 == nil }
                ? nil : requests.compactMap(\.self).reduce(0) { $0.addingSaturated($1) },
            lacking: lacking?["name"].string ?? "")
    }

    /// Usage by pod name, from the resource metrics API.
    private func samples(_ resource: String, _ container: String?, of pods: Set<String>) async throws
        -> [String: ReplicaEstimate.Sample]
    {
        let list: ObjectList
        do {
            list = try await context.client.list(.podMetrics, namespace: scaler.namespace)
        } catch {
            throw ReplicaEstimate.Failure(
                description: "failed to get \(resource) utilization: unable to get metrics for resource \(resource): "
                    + "unable to fetch metrics from resource metrics API: \(error)")
        }
        var result: [String: ReplicaEstimate.Sample] = [:]
        for object in list.items where pods.contains(object.name) {
            let tree = object.tree
            let counted = tree["containers"].elements.filter { container == nil || $0["name"].string == container }
            if counted.isEmpty { continue }
            let window = tree["window"].string.flatMap { GoDuration($0) }?.nanoseconds ?? 0
            result[object.name] = ReplicaEstimate.Sample(
                value: counted.reduce(0) { $0.addingSaturated(Quantity($1["usage"][resource])?.milliValue ?? 0) },
                at: tree["timestamp"].string.flatMap { Timestamp($0) } ?? now, window: .nanoseconds(window))
        }
        if result.isEmpty {
            throw ReplicaEstimate.Failure(
                description: "failed to get \(resource) utilization: unable to get metrics for resource \(resource): "
                    + "no metrics returned from resource metrics API")
        }
        return result
    }

    // MARK: Status

    func writeStatus(current: Int?, desired: Int?) async throws {
        let old = scaler.tree["status"]
        var status = old
        status["observedGeneration"] = JSON(scaler.metadata.generation)
        if let current { status["currentReplicas"] = JSON(current) }
        status["desiredReplicas"] = JSON(desired ?? old["desiredReplicas"].int ?? 0)
        if let lastScaleTime { status["lastScaleTime"] = .string(lastScaleTime) }
        status["currentMetrics"] = metrics.isEmpty ? .null : .array(metrics)
        status.setMember("conditions", conditions.json)
        try await context.client.writeStatus(.autoscalers, scaler, status)
    }
}
