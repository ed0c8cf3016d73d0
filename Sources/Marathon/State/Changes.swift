import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel
import Synchronization

/// The one writer of definitions: takes changes one after the other, plans their deployments and writes both.
///
/// The deployment is written first. Whoever dies in between leaves one that is not applied yet; it is applied when it is
/// found (`finish`).
actor Changes {
    struct Result: Sendable {
        var version: String
        var deployment: String
        var json: JSON { ["version": .string(version), "deploymentId": .string(deployment)] }
    }
    /// Versions kept of one app or pod.
    static let keptVersions = 50
    static let servicePorts = 10_000...20_000
    /// Encoded size of a deployment's object at most: a change that is larger must be made in parts.
    static let maximumBytes = 2_500_000

    let state: MarathonState
    let client: ClusterClient
    let bus: EventBus
    let clock: VersionClock
    private let logger: Logger
    private var isBusy = false
    private var waiters: [CheckedContinuation<Void, Never>] = []
    var knownNamespaces: Set<String> = []
    private var lowestFreePort = Changes.servicePorts.lowerBound

    init(state: MarathonState, client: ClusterClient, bus: EventBus, clock: VersionClock, logger: Logger) {
        self.state = state
        self.client = client
        self.bus = bus
        self.clock = clock
        self.logger = logger
    }

    // MARK: One at a time

    func alone<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        if isBusy { await withCheckedContinuation { waiters.append($0) } }
        isBusy = true
        defer {
            if waiters.isEmpty { isBusy = false } else { waiters.removeFirst().resume() }
        }
        return try await body()
    }

    // MARK: Changing

    /// Plans and writes a change.
    ///
    /// - Parameters:
    ///   - what: for messages: `App`, `Group`.
    ///   - force: cancels deployments that hold what the change touches.
    ///   - permissions: of whoever asks for the change.
    ///   - make: makes the change from what is defined now and the new version; definitions in it are complete, without
    ///     version and service ports.
    /// - Throws: `MarathonError` 403 when it is not allowed, 409 when deployments hold what it touches, 422 when it cannot be
    ///   planned.
    func submit(
        _ what: String, force: Bool, by permissions: Permissions,
        _ make: @Sendable (any Definitions, String) throws -> DefinitionChange
    ) async throws -> Result {
        try await alone {
            let version = clock.next()
            let asked = try make(state, version)
            do {
                let change = try await completed(asked, version, permissions)
                return try await commit(change, version, what, force: force, group: asked.group)
            } catch let error as MarathonError {
                bus.publish(
                    "group_change_failed",
                    [
                        "groupId": .string(asked.group.text), "version": .string(version),
                        "reason": .string(error.message),
                    ])
                throw error
            }
        }
    }

    /// A change with everything that it implies, when it is allowed.
    private func completed(_ asked: DefinitionChange, _ version: String, _ permissions: Permissions) async throws
        -> DefinitionChange
    {
        var change = asked
        try complete(&change, version)
        try await permissions.require(change, groups: Set(asked.groups.keys), in: state)
        return change
    }

    /// The steps that a change would take, without making it.
    func plan(
        by permissions: Permissions, _ make: @Sendable (any Definitions, String) throws -> DefinitionChange
    ) async throws -> [[DeploymentAction]] {
        try await alone {
            let version = clock.next()
            let change = try await completed(try make(state, version), version, permissions)
            return try DeploymentPlan.steps(from: state, change)
        }
    }

    /// Reverts what a running deployment changes.
    func rollBack(_ id: String, by permissions: Permissions) async throws -> Result {
        try await alone {
            guard let deployment = state.deployment(id) else {
                throw MarathonError(404, "DeploymentPlan \(id) does not exist")
            }
            var change = DefinitionChange()
            // As it was, with its version: what still runs of it needs no restart.
            for id in deployment.affected {
                guard let original = deployment.originals[id] else {
                    change.specs[id] = .some(nil)
                    continue
                }
                guard let spec = state.version(id, original.version)?.spec else {
                    throw MarathonError(422, "version \(original.version) of \(id) is not kept any more")
                }
                change.specs[id] = .some(spec)
            }
            for id in deployment.affectedGroups { change.groups[id] = .some(deployment.groupsBefore[id]) }
            try await permissions.require(change, groups: deployment.affectedGroups, in: state)
            return try await commit(change, clock.next(), "App", force: true)
        }
    }

    /// Stops a deployment where it is.
    func cancel(_ id: String, reason: String) async throws {
        try await alone {
            guard let deployment = state.deployment(id) else {
                throw MarathonError(404, "DeploymentPlan \(id) does not exist")
            }
            try await drop(deployment, reason: reason)
        }
    }

    private func drop(_ deployment: Deployment, reason: String) async throws {
        if !deployment.isApplied { try await apply(deployment) }
        try await client.delete(MesosNames.marathonDeployments, deployment.object.key)
        await state.showRemoval(of: deployment)
        bus.publish(
            "deployment_failed",
            ["id": .string(deployment.id), "plan": deployment.plan, "reason": .string(reason)])
    }

    private func commit(
        _ change: DefinitionChange, _ version: String, _ what: String, force: Bool, group: PathID? = nil
    ) async throws -> Result {
        let steps = try DeploymentPlan.steps(from: state, change)
        let touched = Set(change.specs.keys).union(change.restarts)
        var blocking: [String: Deployment] = [:]
        for id in touched { for deployment in state.deployments(of: id) { blocking[deployment.id] = deployment } }
        let mustWait = !blocking.isEmpty && !steps.isEmpty
        if mustWait, !force { throw MarathonError.locked(what, by: blocking.keys.sorted()) }
        let id = NameGenerator.uuid()
        let manifest = Deployment.manifest(id: id, version: version, steps: steps, change: change, base: state)
        guard manifest.encoded().count <= Self.maximumBytes else {
            throw MarathonError(
                422, "the change is too large to be made at once: change fewer apps and pods at a time")
        }
        if mustWait {
            for deployment in blocking.values {
                try await drop(deployment, reason: "cancelled by deployment \(id)")
            }
        }
        let checks = HealthCheckChanges(from: state, change)
        let object: Object
        do {
            object = try await client.create(MesosNames.marathonDeployments, manifest)
        } catch let error as StatusError {
            throw MarathonError(error.code == 413 || error.code == 422 ? 422 : 503, error.message)
        }
        let deployment = Deployment(object)
        // Before its definitions: one that is seen without what holds it is made to run at once, against the plan.
        await state.show(object.metadata.resourceVersion, in: state.deployments)
        try await apply(deployment)
        checks.publish(on: bus)
        bus.publish(
            "deployment_info",
            ["plan": deployment.plan, "currentStep": ["actions": .array((steps.first ?? []).map(\.json))]])
        bus.publish(
            "group_change_success",
            ["groupId": .string((group ?? change.group).text), "version": .string(version)])
        return Result(version: version, deployment: id)
    }

    /// Gives new definitions their version and service ports, and makes the groups that hold them.
    private func complete(_ change: inout DefinitionChange, _ version: String) throws {
        var taken: Set<Int> = []
        for id in change.restarts where change.specs[id] == nil { change.specs[id] = .some(state.spec(id)) }
        for (id, changed) in change.specs.sorted(by: { $0.key < $1.key }) {
            guard var spec = changed else {
                lowestFreePort = Self.servicePorts.lowerBound
                continue
            }
            let old = state.spec(id)
            if let old, old.kind == spec.kind { try old.checkResidentUpdate(to: spec) }
            if spec.kind == .app { try assignPorts(&spec, old: old, &taken) }
            spec.json["version"] = .string(version)
            spec.json.removeMember("versionInfo")
            var scaling = version
            var configuration = version
            if let old, old.kind == spec.kind, !change.restarts.contains(id), old.hasSameConfiguration(as: spec) {
                configuration = old.lastConfigChange
                if old.instances == spec.instances {
                    // Nothing changed: it stays the version it is.
                    change.specs.removeValue(forKey: id)
                    continue
                }
            }
            if let old, old.instances == spec.instances { scaling = old.lastScaling }
            spec.json["versionInfo"] = [
                "lastScalingAt": .string(scaling), "lastConfigChangeAt": .string(configuration),
            ]
            change.specs[id] = .some(spec)
            for ancestor in id.ancestors where state.storedGroup(ancestor) == nil && change.groups[ancestor] == nil {
                change.groups[ancestor] = .some(GroupInfo(id: ancestor, version: version))
            }
            if state.group(id) != nil, !id.isRoot, state.storedGroup(id) != nil,
                change.groups[id].flatMap({ $0 }) != nil || change.groups[id] == nil
            {
                throw MarathonError(409, "A group with id [\(id)] already exists.")
            }
        }
        for (id, group) in change.groups {
            guard var group else { continue }
            group.version = version
            change.groups[id] = .some(group)
            for ancestor in id.ancestors where state.storedGroup(ancestor) == nil && change.groups[ancestor] == nil {
                change.groups[ancestor] = .some(GroupInfo(id: ancestor, version: version))
            }
        }
    }

    /// Service ports that were asked for as 0 get the lowest free number, or what the same place had before.
    private func assignPorts(_ spec: inout RunSpec, old: RunSpec?, _ taken: inout Set<Int>) throws {
        let isHost = spec.isHostNetwork
        if isHost, spec.json["requirePorts"].bool == true { return }
        let member = isHost ? "port" : "servicePort"
        let before = old.map { $0.kind == .app && $0.isHostNetwork == isHost ? $0.servicePorts : [] } ?? []
        let ports = spec.ports
        var used = Set(ports.compactMap { $0[member].int }.filter { $0 != 0 })
        var assigned: [JSON] = []
        for (index, port) in ports.enumerated() {
            var port = port
            if port[member].int ?? 0 == 0 {
                if before.indices.contains(index), before[index] != 0, !used.contains(before[index]) {
                    port[member] = JSON(before[index])
                } else {
                    port[member] = JSON(try freePort(besides: used.union(taken)))
                }
                used.insert(port[member].int ?? 0)
            }
            assigned.append(port)
        }
        taken.formUnion(used)
        if isHost {
            spec.json["portDefinitions"] = .array(assigned)
        } else if !assigned.isEmpty {
            spec.json["container"]["portMappings"] = .array(assigned)
        }
    }

    private func freePort(besides used: Set<Int>) throws -> Int {
        var port = lowestFreePort
        while port <= Self.servicePorts.upperBound {
            if !state.isServicePortTaken(port) {
                if !used.contains(port) { return port }
            } else if port == lowestFreePort {
                lowestFreePort = port + 1
            }
            port += 1
        }
        throw MarathonError(
            403, "all service ports from \(Self.servicePorts.lowerBound) to \(Self.servicePorts.upperBound) are in use")
    }
}
