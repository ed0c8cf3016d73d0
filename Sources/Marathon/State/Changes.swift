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

    private let state: MarathonState
    private let client: ClusterClient
    private let bus: EventBus
    private let clock: VersionClock
    private let logger: Logger
    private var isBusy = false
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private var knownNamespaces: Set<String> = []
    private var lowestFreePort = Changes.servicePorts.lowerBound

    init(state: MarathonState, client: ClusterClient, bus: EventBus, clock: VersionClock, logger: Logger) {
        self.state = state
        self.client = client
        self.bus = bus
        self.clock = clock
        self.logger = logger
    }

    // MARK: One at a time

    private func alone<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
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
    ///   - make: makes the change from what is defined now and the new version; definitions in it are complete, without
    ///     version and service ports.
    /// - Throws: `MarathonError` 409 when deployments hold what it touches, 422 when it cannot be planned.
    func submit(
        _ what: String, force: Bool, _ make: @Sendable (any Definitions, String) throws -> DefinitionChange
    ) async throws -> Result {
        try await alone {
            let version = clock.next()
            var change = try make(state, version)
            return try await commit(&change, version, what, force: force)
        }
    }

    /// The steps that a change would take, without making it.
    func plan(_ make: @Sendable (any Definitions, String) throws -> DefinitionChange) async throws
        -> [[DeploymentAction]]
    {
        try await alone {
            let version = clock.next()
            var change = try make(state, version)
            try complete(&change, version)
            return try DeploymentPlan.steps(from: state, change)
        }
    }

    /// Reverts what a running deployment changes.
    func rollBack(_ id: String) async throws -> Result {
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
            return try await commit(&change, clock.next(), "App", force: true, keepsVersions: true)
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
        bus.publish(
            "deployment_failed",
            ["id": .string(deployment.id), "plan": deployment.plan, "reason": .string(reason)])
        await gone(deployment.object.key)
    }

    private func gone(_ key: ObjectKey) async {
        let end = ContinuousClock.now + .seconds(5)
        while state.deployments[key] != nil, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    private func commit(
        _ change: inout DefinitionChange, _ version: String, _ what: String, force: Bool, keepsVersions: Bool = false
    ) async throws -> Result {
        if !keepsVersions { try complete(&change, version) }
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
        let object: Object
        do {
            object = try await client.create(MesosNames.marathonDeployments, manifest)
        } catch let error as StatusError {
            throw MarathonError(error.code == 413 || error.code == 422 ? 422 : 503, error.message)
        }
        let deployment = Deployment(object)
        try await apply(deployment)
        bus.publish(
            "deployment_info",
            ["plan": deployment.plan, "currentStep": ["actions": .array((steps.first ?? []).map(\.json))]])
        for group in change.groups.keys.sorted() {
            bus.publish("group_change_success", ["groupId": .string(group.text), "version": .string(version)])
        }
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

    // MARK: Writing

    /// Writes what a deployment that was found not to be applied says.
    func finish(_ id: String) async throws {
        try await alone {
            guard let deployment = state.deployment(id), !deployment.isApplied else { return }
            try await apply(deployment)
        }
    }

    /// Writes the definitions of a deployment; may be repeated.
    private func apply(_ deployment: Deployment) async throws {
        var revision: Revision = deployment.object.metadata.resourceVersion
        for id in deployment.affectedGroups.sorted() {
            if let group = deployment.groupsAfter[id] {
                revision = max(revision, try await write(group))
            } else {
                for stored in state.groups.all where stored.info.id == id {
                    try await client.delete(MesosNames.marathonGroups, stored.object.key)
                }
            }
        }
        let ids = deployment.affected.sorted()
        let revisions = Mutex<Revision>(revision)
        try await concurrently(ids) { [self] id in
            let at = try await write(id, deployment.targets[id], deployment)
            revisions.withLock { $0 = max($0, at) }
        }
        let written = try await client.modify(MesosNames.marathonDeployments, deployment.object.key) { tree in
            guard tree["status"]["applied"].bool != true else { return false }
            tree["status"]["applied"] = true
            return true
        }
        let deployments = state.deployments
        if let written { await state.show(written.metadata.resourceVersion, in: [{ deployments.revision }]) }
        let end = ContinuousClock.now + .seconds(5)
        func isShown() -> Bool {
            deployment.affected.allSatisfy { id in
                guard let target = deployment.targets[id] else { return state.allStored(id).isEmpty }
                return state.stored(id)?.spec.version == target.version
            }
                && deployment.affectedGroups.allSatisfy { id in
                    (state.storedGroup(id) != nil) == (deployment.groupsAfter[id] != nil)
                }
        }
        while !isShown(), ContinuousClock.now < end, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(1)) }
    }

    private func write(_ group: GroupInfo) async throws -> Revision {
        let key = ObjectKey(namespace: "default", name: MesosNames.objectName(ofMarathonID: group.id.text))
        let spec = group.json
        let changed = try await client.modify(MesosNames.marathonGroups, key) { tree in
            guard tree["spec"] != spec else { return false }
            tree["spec"] = spec
            return true
        }
        if let changed { return changed.metadata.resourceVersion }
        let made = try await client.create(
            MesosNames.marathonGroups,
            [
                "apiVersion": "marathon.apus.dev/v1", "kind": "MarathonGroup",
                "metadata": ["name": .string(key.name), "namespace": .string(key.namespace)], "spec": spec,
            ])
        return made.metadata.resourceVersion
    }

    private static func resource(_ kind: RunSpec.Kind) -> GroupVersionResource {
        kind == .app ? MesosNames.marathonApps : MesosNames.marathonPods
    }

    private func write(_ id: PathID, _ target: RunSpec?, _ deployment: Deployment) async throws -> Revision {
        let name = MesosNames.objectName(ofMarathonID: id.text)
        guard let target else {
            for stored in state.allStored(id) {
                try await client.delete(Self.resource(stored.spec.kind), stored.object.key)
            }
            try await remember(id, nil, deployment.originals[id], version: deployment.version)
            return 0
        }
        let namespace = MesosNames.namespace(ofRole: target.role)
        try await ensureNamespace(namespace, role: target.role)
        try await remember(id, target, deployment.originals[id], version: target.version)
        let key = ObjectKey(namespace: namespace, name: name)
        let resource = Self.resource(target.kind)
        let spec = target.json
        let annotations: [(String, JSON)] = [
            (MarathonNames.versionAnnotation, .string(target.version)),
            (MarathonNames.digestAnnotation, .string(Digest.text(of: spec))),
        ]
        var written = try await client.modify(resource, key) { tree in
            if tree["spec"] == spec, annotations.allSatisfy({ tree["metadata"]["annotations"][$0.0] == $0.1 }) {
                return false
            }
            tree["spec"] = spec
            for (name, value) in annotations { tree["metadata"]["annotations"][name] = value }
            tree["metadata"]["annotations"].removeMember(MarathonNames.problemAnnotation)
            return true
        }
        if written == nil {
            written = try await client.create(
                resource,
                [
                    "apiVersion": "marathon.apus.dev/v1",
                    "kind": .string(target.kind == .app ? "MarathonApp" : "MarathonPod"),
                    "metadata": [
                        "name": .string(name), "namespace": .string(namespace),
                        "annotations": .object(JSONObject(uniqueKeysWithValues: annotations)),
                    ],
                    "spec": spec,
                ])
        }
        for stored in state.allStored(id) where stored.object.key != key || stored.spec.kind != target.kind {
            try await client.delete(Self.resource(stored.spec.kind), stored.object.key)
        }
        return written?.metadata.resourceVersion ?? 0
    }

    /// Keeps a version of a definition (nil: that it was removed), and forgets the oldest.
    private func remember(_ id: PathID, _ target: RunSpec?, _ original: Deployment.Original?, version: String)
        async throws
    {
        guard let kind = target?.kind ?? original?.kind, state.version(id, version) == nil else { return }
        let objectName = MesosNames.objectName(ofMarathonID: id.text)
        let name = "\(objectName.prefix(200))-\(MesosNames.hash(id.text, version))"
        var data: JSON = [
            "id": .string(id.text), "version": .string(version), "kind": .string(kind.rawValue),
        ]
        data.setMember("spec", target?.json)
        let history = state.history(id)
        do {
            try await client.create(
                .controllerRevisions,
                [
                    "apiVersion": "apps/v1", "kind": "ControllerRevision",
                    "metadata": [
                        "name": .string("marathon-\(name)"), "namespace": "default",
                        "labels": [MesosNames.marathonAppLabel: .string(MesosNames.labelValue(ofApp: id.text))],
                    ],
                    "data": data, "revision": JSON(history.count + 1),
                ])
        } catch let error as StatusError where error.reason == .alreadyExists {
            return
        }
        for old in history.dropFirst(Self.keptVersions - 1) where old.version != state.spec(id)?.version {
            try await client.delete(.controllerRevisions, old.object.key)
        }
    }

    private func ensureNamespace(_ namespace: String, role: String) async throws {
        guard namespace != "default", !knownNamespaces.contains(namespace) else { return }
        if try await client.find(.namespaces, ObjectKey(name: namespace)) == nil {
            do {
                try await client.create(
                    .namespaces,
                    [
                        "apiVersion": "v1", "kind": "Namespace",
                        "metadata": [
                            "name": .string(namespace), "annotations": [MesosNames.roleAnnotation: .string(role)],
                        ],
                    ])
            } catch let error as StatusError where error.reason == .alreadyExists {}
        }
        if knownNamespaces.count > 10_000 { knownNamespaces = [] }
        knownNamespaces.insert(namespace)
    }

    // MARK: Changes by others

    /// Takes up a definition that somebody made or changed with kubectl.
    func adopt(_ key: ObjectKey, kind: RunSpec.Kind) async throws {
        let informer = kind == .app ? state.apps : state.pods
        guard let stored = informer[key], !stored.isAdopted, !stored.object.metadata.isTerminating else { return }
        let id = stored.spec.id
        do {
            _ = try await submit(kind.title, force: false) { definitions, _ in
                guard MesosNames.objectName(ofMarathonID: id.text) == key.name else {
                    throw MarathonError.invalid("/id", "the object's name must be the id with '.' for '/'")
                }
                let role = stored.spec.json["role"].string ?? MesosNames.role(ofNamespace: key.namespace)
                var change = DefinitionChange()
                change.specs[id] = .some(
                    try Documents.complete(stored.spec.json, kind: kind, id: id, role: role, in: definitions))
                return change
            }
            // A change that changes nothing still has to be marked as seen.
            if let still = informer[key], !still.isAdopted { try await mark(still, Self.resource(kind)) }
        } catch let error as MarathonError where error.status == 422 || error.status == 400 {
            let text = error.description
            guard stored.problem != text else { return }
            try await client.modify(Self.resource(kind), key) { tree in
                tree["metadata"]["annotations"][MarathonNames.problemAnnotation] = .string(text)
                return true
            }
        }
    }

    /// Writes back what counts, when somebody's change was none.
    private func mark(_ stored: StoredSpec, _ resource: GroupVersionResource) async throws {
        guard let spec = state.spec(stored.spec.id) else { return }
        let json = spec.json
        try await client.modify(resource, stored.object.key) { tree in
            tree["spec"] = json
            tree["metadata"]["annotations"][MarathonNames.digestAnnotation] = .string(Digest.text(of: json))
            return true
        }
    }

    /// Stops what runs of a definition that somebody removed with kubectl.
    func removed(_ id: PathID) async throws {
        guard state.stored(id) == nil, state.deployments(of: id).isEmpty else { return }
        guard let last = state.history(id).first(where: { $0.spec != nil })?.spec else { return }
        _ = try await alone {
            let version = clock.next()
            var change = DefinitionChange()
            change.specs[id] = .some(nil)
            let base = WithSpec(base: state, added: last)
            let steps = try DeploymentPlan.steps(from: base, change)
            let deployment = NameGenerator.uuid()
            let object = try await client.create(
                MesosNames.marathonDeployments,
                Deployment.manifest(id: deployment, version: version, steps: steps, change: change, base: base))
            try await apply(Deployment(object))
            return Result(version: version, deployment: deployment)
        }
    }

    /// What was defined, with one definition more.
    private struct WithSpec: Definitions {
        let base: any Definitions
        let added: RunSpec
        func spec(_ id: PathID) -> RunSpec? { id == added.id ? added : base.spec(id) }
        func group(_ id: PathID) -> GroupInfo? { base.group(id) }
        func specs(under id: PathID) -> [RunSpec] { base.specs(under: id) + (id.contains(added.id) ? [added] : []) }
        func groups(under id: PathID) -> [GroupInfo] { base.groups(under: id) }
    }
}
