import ClusterClient
import JSON
import MesosModel
import ObjectModel
import Synchronization

/// An object that may have to be changed. What it should be is looked up when its turn comes.
enum Write: Hashable, Sendable, CustomStringConvertible {
    case framework(String)
    case agent(String)
    case pod(ObjectKey)
    case task(ObjectKey)

    var description: String {
        switch self {
        case .framework(let id): "framework \(id)"
        case .agent(let node): "agent \(node)"
        case .pod(let key): "pod \(key)"
        case .task(let key): "task \(key)"
        }
    }
}

extension Master {
    /// Brings one object to what the state says of it.
    func write(_ write: Write) async throws {
        switch write {
        case .framework(let id):
            let wanted = state.withLock { $0.object(ofFramework: id) }
            guard let wanted else { return try await client.delete(MesosNames.frameworks, ObjectKey(name: id)) }
            try await timed { try await put(MesosNames.frameworks, id, wanted) }
        case .agent(let node):
            guard let wanted = state.withLock({ $0.object(ofAgent: node) }) else { return }
            try await timed { try await put(agent: node, wanted) }
        case .pod(let key): try await writePod(key)
        case .task(let key): try await writeTask(key)
        }
    }

    /// Notes how long it takes, for metrics.
    private func timed(_ write: () async throws -> Void) async throws {
        let start = ContinuousClock.now
        try await write()
        let time = start.duration(to: .now)
        state.withLock { $0.storeTimes.add(time) }
    }

    private func put(_ resource: GroupVersionResource, _ name: String, _ wanted: JSON) async throws {
        let written = try await client.modify(resource, ObjectKey(name: name)) { tree in
            if tree["spec"] == wanted["spec"], tree["status"] == wanted["status"] { return false }
            tree["spec"] = wanted["spec"]
            tree.setMember("status", wanted["status"])
            return true
        }
        guard written == nil else { return }
        do {
            try await client.create(resource, wanted)
        } catch let error as StatusError where error.reason == .alreadyExists {
            throw error  // Somebody was faster; the next turn changes it.
        }
    }

    /// Writes what is the master's own of an agent: the rest is an operator's, and may be newer than what is seen here.
    private func put(agent node: String, _ wanted: JSON) async throws {
        let told = Mutex(0)
        let written = try await client.modify(MesosNames.agents, ObjectKey(name: node)) { tree in
            // As it is known after the object was read: of two writes at a time none takes back what the other gave.
            let (object, changes) = state.withLock {
                ($0.object(ofAgent: node), $0.unseenReservations[node]?.changes ?? 0)
            }
            told.withLock { $0 = changes }
            let before = tree["spec"]
            guard let spec = object?["spec"], before["id"] == spec["id"] else { return false }
            tree["spec"]["reserved"] = spec["reserved"]
            tree["spec"]["volumes"] = spec["volumes"]
            if before["state"].string == "draining", ["drained", "gone"].contains(spec["state"].string ?? "") {
                tree["spec"]["state"] = spec["state"]
            }
            return tree["spec"] != before
        }
        if let written {
            let changes = told.withLock { $0 }
            return state.withLock { $0.stored(agent: node, changes: changes, at: written.metadata.resourceVersion) }
        }
        try await client.create(MesosNames.agents, wanted)
    }

    private func writePod(_ key: ObjectKey) async throws {
        guard let record = state.withLock({ $0.pods[key] }), record.isStored else { return }
        let view = record.view
        if let kill = record.kill, view?.isFinished != true, view?.isTerminating != true || kill.grace != nil {
            if view?.isTerminating != true {
                let patch: JSON = ["metadata": ["annotations": [MesosNames.killAnnotation: .string(kill.reason)]]]
                do {
                    try await client.patch(.pods, key, .merge, patch)
                } catch let error as StatusError where error.reason == .notFound {
                    return
                }
            }
            var options = DeleteOptions(gracePeriodSeconds: kill.grace)
            options.uid = view?.uid
            do {
                try await client.delete(.pods, key, options: options)
            } catch let error as StatusError where error.reason == .conflict {
                return  // Another pod has the name now.
            }
        }
        if record.isReleased, view?.hasFinalizer != false {
            let patch: JSON = [
                "metadata": ["$deleteFromPrimitiveList/finalizers": [.string(MesosNames.statusFinalizer)]]
            ]
            do {
                try await client.patch(.pods, key, .strategicMerge, patch)
            } catch let error as StatusError where error.reason == .notFound {
                return
            }
        }
    }

    private func writeTask(_ key: ObjectKey) async throws {
        let plan = state.withLock {
            state -> (isWanted: Bool, acknowledged: Set<String>, isKilled: Bool, policy: JSON) in
            let task = state.task(of: key)
            return (
                task != nil, state.acknowledgedUUIDs[key] ?? [], task?.isKillRequested == true,
                task?.killPolicy ?? .null
            )
        }
        guard plan.isWanted else { return try await client.delete(MesosNames.tasks, key) }
        try await client.modify(MesosNames.tasks, key) { tree in
            let updates = tree["status"]["updates"].elements
            let left = updates.filter { !plan.acknowledged.contains($0["uuid"].string ?? "") }
            var isChanged = false
            if left.count < updates.count {
                let newest = updates.last { plan.acknowledged.contains($0["uuid"].string ?? "") }
                tree["status"]["updates"] = .array(left)
                tree["status"].setMember("acknowledged", newest?["uuid"])
                isChanged = true
            }
            if plan.isKilled, tree["status"]["killRequested"].bool != true {
                tree["status"]["killRequested"] = true
                tree["status"].setMember("killPolicy", plan.policy)
                isChanged = true
            }
            return isChanged
        }
    }
}
