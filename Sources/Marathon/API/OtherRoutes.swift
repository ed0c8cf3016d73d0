import HTTPWindow
import JSON
import ObjectModel

extension MarathonAPI {
    /// `/v2/deployments…`.
    func deployments(_ request: WindowRequest, _ path: [String]) async throws -> WindowResponse {
        switch (request.method, path.first) {
        case ("GET", nil), ("HEAD", nil):
            var running = state.deployments.all.sorted { $0.version < $1.version }
            // One is shown to whoever may see something that it changes.
            let specs = running.flatMap { definitions(of: $0) }
            let readable = await Set(permissions(request).readable(specs).map(\.id))
            running = running.filter { $0.affected.isEmpty || !readable.isDisjoint(with: $0.affected) }
            return WindowResponse(json: .array(running.map { $0.info(readiness: executor.readiness.results) }))
        case ("DELETE", .some(let id)):
            let permissions = permissions(request)
            if request.flag("force") {
                for spec in state.deployment(id).map(definitions) ?? [] {
                    try await permissions.require("update", spec)
                }
                try await changes.cancel(id, reason: "cancelled through the API")
                return WindowResponse(202)
            }
            return Self.result(try await changes.rollBack(id, by: permissions))
        case ("GET", .some): throw Self.noSuchURI
        default: throw Self.notAllowed(request.method)
        }
    }

    /// What a deployment changes, as it is or was.
    private func definitions(of deployment: Deployment) -> [RunSpec] {
        deployment.affected.sorted().compactMap { id in
            deployment.targets[id] ?? state.spec(id)
                ?? deployment.originals[id].map { RunSpec(kind: $0.kind, json: ["id": .string(id.text)]) }
        }
    }

    /// `/v2/queue…`.
    func queue(_ request: WindowRequest, _ path: [String]) async throws -> WindowResponse {
        if path.last == "delay", path.count > 1 {
            guard request.method == "DELETE" else { throw Self.notAllowed(request.method) }
            let id = id(path.dropLast())
            try await permissions(request).require(
                "update", state.spec(id) ?? RunSpec(kind: .app, json: ["id": .string(id.text)]))
            guard executor.backoff.reset(id) else {
                throw MarathonError(404, "Application \(id) not found in tasks queue.")
            }
            executor.specs.add(id)
            return WindowResponse(204)
        }
        guard path.isEmpty else { throw Self.noSuchURI }
        guard request.method == "GET" || request.method == "HEAD" else { throw Self.notAllowed(request.method) }
        let showsOffers = request.values("embed").contains("lastUnusedOffers")
        let specs = await permissions(request).readable(state.specs(under: .root).sorted { $0.id < $1.id })
        let items = specs.compactMap { queueItem($0, showsOffers: showsOffers) }
        return WindowResponse(json: ["queue": .array(items)])
    }

    /// What waits to be launched of an app; nil: nothing.
    private func queueItem(_ spec: RunSpec, showsOffers: Bool) -> JSON? {
        let instances = state.instances(of: spec.id)
        let pending = instances.filter { !$0.isBound && $0.isActive }
        // While it is restarted, old instances do not stand for new ones.
        let restarts = state.deployments(of: spec.id).contains { $0.restarts[spec.id] != nil }
        let bound = instances.count { $0.isBound && $0.isActive && (!restarts || spec.isCurrent($0.version)) }
        let missing = spec.instances - bound
        let now = Timestamp.now
        let delay = executor.backoff.delay(spec)
        guard missing > 0 || !pending.isEmpty else { return nil }
        let left = delay.map { max(0, ($0.until - now) / .seconds(1)) } ?? 0
        let since = pending.map(\.stagedAt).min() ?? Timestamp(spec.version) ?? now
        var item: JSON = [
            "count": JSON(max(missing, pending.count)), "role": .string(spec.role),
            "delay": ["timeLeftSeconds": JSON(Int(bounded: left.rounded(.up))), "overdue": .bool(left <= 0)],
            "since": .string(since.milliText),
            "processedOffersSummary": RejectReasons.summary(pending, since: now),
        ]
        if showsOffers {
            // The scheduler says why nodes did not do, not which: each stands for the offer that it would have been.
            let message = pending.compactMap(\.pendingReason).first
            let reasons = JSON(message.map { RejectReasons.counts(in: $0).byReason.keys.sorted() } ?? [])
            let nodes = message == nil ? [] : state.nodes.all.sorted { $0.name < $1.name }.prefix(100)
            item["lastUnusedOffers"] = .array(
                nodes.map { node in
                    [
                        "offer": node.offer(agentID: state.agentID(ofNode: node.name)), "reason": reasons,
                        "timestamp": .string(now.milliText),
                    ]
                })
        }
        item[spec.kind.rawValue] = spec.document
        return item
    }

    func leader(_ request: WindowRequest) throws -> WindowResponse {
        switch request.method {
        case "GET", "HEAD":
            return WindowResponse(json: ["leader": .string("\(configuration.hostname):\(configuration.port)")])
        case "DELETE":
            throw MarathonError(501, "this server is the only one: restart it with `apus up` to make it start anew")
        default: throw Self.notAllowed(request.method)
        }
    }

    // MARK: Information

    func infoDocument() -> JSON {
        let url = "http://\(configuration.hostname):\(configuration.port)"
        return [
            "name": "marathon", "version": .string(configuration.version), "buildref": "apus", "elected": true,
            "leader": .string("\(configuration.hostname):\(configuration.port)"), "frameworkId": .string(frameworkID()),
            "marathon_config": [
                "master": .string(configuration.master), "failover_timeout": 604_800, "framework_name": "marathon",
                "ha": true, "checkpoint": true, "local_port_min": JSON(Changes.servicePorts.lowerBound),
                "local_port_max": JSON(Changes.servicePorts.upperBound), "executor": "//cmd",
                "hostname": .string(configuration.hostname), "webui_url": .string(url), "mesos_role": "*",
                "task_launch_timeout": 300_000, "task_reservation_timeout": 20_000,
                "reconciliation_initial_delay": 15_000, "reconciliation_interval": 600_000, "mesos_user": "root",
                "leader_proxy_connection_timeout_ms": 5000, "leader_proxy_read_timeout_ms": 10_000,
                "features": ["vips", "task_killing", "secrets"],
                "mesos_leader_ui_url": .string("http://\(configuration.master)"), "max_instances_per_offer": 100,
                "new_group_enforce_role": "off", "decline_offer_duration": 120_000, "scale_apps_interval": 60_000,
            ],
            "zookeeper_config": [
                "zk": "", "zk_timeout": 10_000, "zk_session_timeout": 10_000, "zk_connection_timeout": 10_000,
                "zk_max_versions": JSON(Changes.keptVersions),
            ],
            "http_config": ["http_port": JSON(configuration.port), "https_port": 8443],
        ]
    }

    func config() -> JSON { infoDocument()["marathon_config"] }

    private func gauges() -> [(name: String, value: Int)] {
        let instances = state.instances.all
        return [
            ("marathon.apps.active.gauge", state.apps.count), ("marathon.pods.active.gauge", state.pods.count),
            ("marathon.groups.active.gauge", state.groups.count),
            ("marathon.deployments.active.gauge", state.deployments.count),
            ("marathon.tasks.running.gauge", instances.count(where: \.isRunning)),
            ("marathon.tasks.staged.gauge", instances.count { $0.isBound && $0.isActive && !$0.isRunning }),
            ("marathon.instances.pending.gauge", instances.count { !$0.isBound && $0.isActive }),
        ]
    }

    func metrics() -> JSON {
        var values: JSONObject = [:]
        for gauge in gauges() { values[gauge.name] = ["value": JSON(gauge.value)] }
        let now = JSON.string(Timestamp.now.milliText)
        return [
            "version": "5.0.0", "start": now, "end": now, "counters": .object([:]), "gauges": .object(values),
            "histograms": .object([:]), "meters": .object([:]), "timers": .object([:]),
        ]
    }

    func prometheus() -> WindowResponse {
        var text = ""
        for gauge in gauges() {
            let name = String(gauge.name.map { $0 == "." ? "_" : $0 })
            text += "# TYPE \(name) gauge\n\(name) \(gauge.value)\n"
        }
        return WindowResponse(200, headers: [("Content-Type", "text/plain; version=0.0.4")], bytes: Array(text.utf8))
    }

    // MARK: Events

    func events(_ request: WindowRequest) async throws -> WindowResponse {
        guard request.method == "GET" else { throw Self.notAllowed(request.method) }
        try await permissions(request).requireEverything()
        let accepted = request.header("accept") ?? ""
        guard accepted.contains("text/event-stream") else {
            throw MarathonError(406, "the event stream is text/event-stream: say so in the Accept header")
        }
        let types = Set(request.values("event_type"))
        guard let (id, events) = bus.listen(types) else {
            throw MarathonError(503, "more than \(EventBus.maximumListeners) clients listen to events")
        }
        let bus = bus
        let address: JSON = ["remoteAddress": .string(request.remoteAddress)]
        if types.isEmpty || types.contains("event_stream_attached") {
            bus.publish("event_stream_attached", address)
        }
        return WindowResponse(
            200,
            headers: [
                ("Content-Type", "text/event-stream;charset=utf-8"), ("Cache-Control", "no-cache"),
                ("Connection", "keep-alive"),
            ],
            stream: { writer in
                defer {
                    bus.leave(id)
                    bus.publish("event_stream_detached", address)
                }
                for await event in events { try await writer.write(event) }
            })
    }
}
