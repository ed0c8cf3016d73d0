import JSON
import MesosModel

/// Frameworks come, change, are disconnected and go.
extension MasterState {
    /// What a subscription asks for.
    struct Subscription {
        var info: JSON
        /// The id at the top of the call.
        var frameworkID: String?
        var suppressedRoles: [String]
        var constraints: JSON
        var principal: String?
    }

    static let maximumCompletedFrameworks = 50

    /// Why a subscription cannot be; the framework hears it as ERROR.
    func problem(with subscription: Subscription) -> String? {
        let info = subscription.info
        if let id = info["id"]["value"].string, !id.isEmpty {
            if let problem = MesosIDs.problem(id) { return "Framework ID '\(id)' is invalid: \(problem)" }
            if completedFrameworks[id] != nil { return "Framework has been removed" }
            if let old = frameworks[id], let principal = old.info["principal"].string,
                info["principal"].string ?? subscription.principal != principal
            {
                return "Changing framework's principal is not allowed."
            }
        }
        return Self.problem(withInfo: info, suppressedRoles: subscription.suppressedRoles)
    }

    static func problem(withInfo info: JSON, suppressedRoles: [String]) -> String? {
        let capabilities = Set(info["capabilities"].elements.compactMap { $0["type"].string })
        let roles = info["roles"].elements.compactMap(\.string)
        if capabilities.contains("MULTI_ROLE") {
            if info["role"].string != nil {
                return "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
            }
        } else if !roles.isEmpty {
            return "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
        }
        let all = MesosRoles.roles(
            isMultiRole: capabilities.contains("MULTI_ROLE"), role: info["role"].string, roles: roles)
        if Set(all).count < all.count {
            let twice = Set(all.filter { role in all.count { $0 == role } > 1 }).sorted()
            return "'FrameworkInfo.roles' contains duplicate items: { \(twice.joined(separator: ", ")) }"
        }
        for role in all {
            guard let problem = MesosRoles.problem(role) else { continue }
            return capabilities.contains("MULTI_ROLE")
                ? "'FrameworkInfo.roles' contains invalid role: \(problem)"
                : "'FrameworkInfo.role' is not a valid role: \(problem)"
        }
        for (_, filter) in info["offer_filters"].members {
            let lists = filter["min_allocatable_resources"]["quantities"].elements.map { $0["quantities"].members }
            if lists.contains(where: \.isEmpty) { return "Resource quantities must contain at least one quantity" }
            for (name, amount) in lists.joined() {
                guard let value = amount["value"].double, value.isFinite, value >= 0 else {
                    return "Invalid resource quantity for '\(name)': it must be a number that is not negative"
                }
            }
        }
        if let other = suppressedRoles.first(where: { !all.contains($0) }) {
            return "Suppressed role '\(other)' is not contained in the list of roles"
        }
        if let timeout = info["failover_timeout"].double, timeout < 0 || timeout > 9.2e9 {
            return "The framework failover_timeout (\(timeout)) is invalid"
        }
        if let text = info["failover_timeout"].string { return "The framework failover_timeout (\(text)) is invalid" }
        return nil
    }

    /// Takes in a framework, not connected yet, so that it can be stored before anybody relies on it.
    /// - Returns: its id.
    mutating func prepare(_ subscription: Subscription) -> String {
        let known = subscription.info["id"]["value"].string ?? ""
        let id = known.isEmpty ? newFrameworkID() : known
        if var framework = frameworks[id] {
            var info = subscription.info
            // What cannot change is kept without a word.
            for name in ["user", "checkpoint", "principal"] { info.setMember(name, framework.info[name]) }
            framework.setInfo(info)
            framework.suppressedRoles = Set(subscription.suppressedRoles)
            framework.offerConstraints = subscription.constraints
            framework.reregisteredTime = seconds
            framework.isSubscribing = true
            frameworks[id] = framework
        } else {
            var info = subscription.info
            let principal = subscription.principal ?? info["principal"].string
            info.setMember("principal", principal.map(JSON.string))
            var framework = FrameworkRecord(id: id, info: info, principal: principal, registeredTime: seconds)
            framework.suppressedRoles = Set(subscription.suppressedRoles)
            framework.offerConstraints = subscription.constraints
            // Until it is connected its failover timeout runs.
            framework.unregisteredTime = seconds
            framework.isSubscribing = true
            frameworks[id] = framework
        }
        return id
    }

    /// Gives a framework its connection; an older one is told and closed.
    /// - Returns: false when the framework was removed meanwhile.
    mutating func attach(_ stream: FrameworkStream, to id: String) -> Bool {
        guard var framework = frameworks[id] else { return false }
        let isNew = framework.reregisteredTime == nil
        if let old = framework.stream { old.close(with: Message.error("Framework failed over")) }
        withdrawOffers(of: id, tell: false)
        withdrawInverseOffers(of: id)
        framework = frameworks[id] ?? framework
        framework.stream = stream
        framework.unregisteredTime = nil
        framework.isSubscribing = false
        framework.isRecovered = false
        frameworks[id] = framework
        refreshFramework(id)
        allocator.forgetFilters(of: id)
        effects.append(.framework(id))
        send(
            Message.event(
                "SUBSCRIBED", "subscribed",
                [
                    "framework_id": Message.id(id), "heartbeat_interval_seconds": Message.double(15),
                    "master_info": masterInfo,
                ]), to: id)
        send(Message.event("HEARTBEAT"), to: id)
        effects.append(.observe(isNew ? .frameworkAdded(framework) : .frameworkUpdated(framework)))
        for task in framework.tasks {
            let key = TaskKey(id, task)
            guard tasks[key]?.pending.isEmpty == false else { continue }
            tasks[key]?.sentAt = nil
            sendHead(of: key)
        }
        for (uuid, operation) in operations where operation.frameworkID == id { sendOperation(uuid) }
        effects.append(.allocate)
        return true
    }

    /// Changes a framework's info in place; all or nothing.
    /// - Returns: why not.
    mutating func update(_ id: String, info: JSON, suppressedRoles: [String], constraints: JSON) -> String? {
        guard var framework = frameworks[id] else { return "Framework cannot be found" }
        if let problem = Self.problem(withInfo: info, suppressedRoles: []) {
            return "Supplied FrameworkInfo is not valid: \(problem)"
        }
        var info = info
        // A framework that never named its principal need not do so now.
        if info["principal"].isNull { info.setMember("principal", framework.info["principal"]) }
        if info["principal"] != framework.info["principal"] {
            return "FrameworkInfo update is not valid: Changing framework's principal is not allowed."
        }
        func text(_ info: JSON, _ name: String) -> String {
            name == "user" ? info[name].string ?? "" : "\(info[name].bool ?? false)"
        }
        for name in ["user", "checkpoint"] where text(info, name) != text(framework.info, name) {
            return
                "FrameworkInfo update is not valid: Updating 'FrameworkInfo.\(name)' is unsupported; attempted to update "
                + "from '\(text(framework.info, name))' to '\(text(info, name))'"
        }
        if let problem = Self.problem(withInfo: info, suppressedRoles: suppressedRoles)
            ?? Self.problem(withConstraints: constraints, info: info)
        {
            return "'UpdateFramework' call is not valid: \(problem)"
        }
        framework.setInfo(info)
        framework.suppressedRoles = Set(suppressedRoles)
        framework.offerConstraints = constraints
        frameworks[id] = framework
        refreshFramework(id)
        // Offers of roles that it has given up, or no longer wants, are no longer its own.
        for offer in framework.offers {
            guard let role = offers[offer]?.role else { continue }
            if !framework.roles.contains(role) || framework.suppressedRoles.contains(role) { rescind(offer) }
        }
        effects += [.framework(id), .observe(.frameworkUpdated(framework)), .allocate]
        return nil
    }

    /// A connection ended.
    mutating func disconnected(_ id: String, streamID: String) {
        guard var framework = frameworks[id], let stream = framework.stream, stream.id == streamID else { return }
        stream.close()
        framework.stream = nil
        framework.unregisteredTime = seconds
        frameworks[id] = framework
        withdrawOffers(of: id, tell: false)
        withdrawInverseOffers(of: id)
        allocator.setFramework(id, isActive: false)
        for task in framework.tasks { tasks[TaskKey(id, task)]?.sentAt = nil }
        effects += [.framework(id), .observe(.frameworkUpdated(framework)), .allocate]
        if framework.failoverTimeout <= 0 { removeFramework(id, reason: "Framework disconnected") }
    }

    /// Removes frameworks whose failover timeout has passed.
    mutating func expireFrameworks() {
        let gone = frameworks.values.filter { framework in
            guard framework.stream == nil, let since = framework.unregisteredTime else { return false }
            // A subscription that is being stored has the time that takes, whatever the framework's own is.
            return seconds >= since + max(framework.failoverTimeout, framework.isSubscribing ? 60 : 0)
        }
        for framework in gone { removeFramework(framework.id, reason: "Framework failover timeout") }
    }

    /// Ends a framework for good: its tasks are killed, its pods let go.
    mutating func removeFramework(_ id: String, reason: String) {
        guard var framework = frameworks[id] else { return }
        withdrawOffers(of: id, tell: false)
        withdrawInverseOffers(of: id)
        allocator.removeFramework(id)
        framework = frameworks[id] ?? framework
        for task in framework.tasks.sorted() {
            let key = TaskKey(id, task)
            guard var record = tasks[key] else { continue }
            unacknowledged.remove(key)
            record.pending = []
            if !record.isTerminal {
                let status: JSON = [
                    "task_id": Message.id(task), "state": "TASK_KILLED", "source": "SOURCE_MASTER",
                    "reason": "REASON_FRAMEWORK_REMOVED", "message": .string(reason),
                    "agent_id": Message.id(record.agentID), "timestamp": Message.double(seconds),
                ]
                note(status, in: &record)
                framework.terminalCounts[record.state, default: 0] += 1
                countEnd(status)
                effects.append(.observe(.taskUpdated(record, status: status)))
            }
            forget(record)
            framework.complete(record)
        }
        for (key, pod) in pods where pod.frameworkID == id {
            pods[key]?.isReleased = true
            if pod.view?.isFinished != true { pods[key]?.kill = pod.kill ?? .init(reason: reason, grace: nil) }
            effects.append(.pod(key))
        }
        for (key, executor) in executors where key.frameworkID == id {
            effects.append(.shutdown(executor.key))
            forgetExecutor(key)
        }
        for (uuid, operation) in operations where operation.frameworkID == id { operations[uuid] = nil }
        framework.stream?.close()
        framework.stream = nil
        framework.tasks = []
        framework.executors = []
        framework.isCompleted = true
        framework.unregisteredTime = seconds
        frameworks[id] = nil
        completedFrameworks[id] = framework
        effects += [.framework(id), .observe(.frameworkRemoved(framework)), .allocate]
        while completedFrameworks.count > Self.maximumCompletedFrameworks {
            let oldest = completedFrameworks.removeFirst()
            effects.append(.framework(oldest.key))
        }
    }

    // MARK: The store

    /// A framework's object as it should be; nil: it should not be.
    func object(ofFramework id: String) -> JSON? {
        guard let framework = frameworks[id] ?? completedFrameworks[id] else { return nil }
        var spec: JSON = ["info": framework.info]
        spec.setMember("principal", framework.principal.map(JSON.string))
        if !framework.offerConstraints.isNull { spec["offerConstraints"] = framework.offerConstraints }
        var status: JSON = [
            "registeredTime": Message.double(framework.registeredTime), "completed": .bool(framework.isCompleted),
            "suppressedRoles": JSON(framework.suppressedRoles.sorted()),
        ]
        status.setMember("reregisteredTime", framework.reregisteredTime.map(Message.double))
        status.setMember("unregisteredTime", framework.unregisteredTime.map(Message.double))
        return [
            "apiVersion": "mesos.apus.dev/v1", "kind": "Framework", "metadata": ["name": .string(id)], "spec": spec,
            "status": status,
        ]
    }

    /// Takes in what the store holds, at start.
    mutating func recover(_ object: FrameworkObject) {
        guard frameworks[object.id] == nil, completedFrameworks[object.id] == nil else { return }
        var framework = FrameworkRecord(
            id: object.id, info: object.spec["info"], principal: object.spec["principal"].string,
            registeredTime: object.status["registeredTime"].double ?? seconds)
        framework.offerConstraints = object.spec["offerConstraints"]
        framework.reregisteredTime = object.status["reregisteredTime"].double
        framework.suppressedRoles = Set(object.status["suppressedRoles"].elements.compactMap(\.string))
        framework.unregisteredTime = object.status["unregisteredTime"].double
        if object.status["completed"].bool == true {
            framework.isCompleted = true
            completedFrameworks[object.id] = framework
            return
        }
        framework.isOfCluster = object.isOfCluster
        framework.isRecovered = !framework.isOfCluster
        if !framework.isOfCluster, framework.unregisteredTime == nil {
            // It was connected when the master ended: its time to come back begins now.
            framework.unregisteredTime = seconds
            effects.append(.framework(object.id))
        }
        frameworks[object.id] = framework
        refreshFramework(object.id)
    }
}
