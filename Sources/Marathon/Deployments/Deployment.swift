import ClusterClient
import JSON
import ObjectModel

/// A deployment as its object says it: what changes, in which steps, and how far it is.
///
/// The object is the commit point of a change: it is written first and holds the definitions before and after, so that
/// whoever finds it after a crash can finish writing them.
struct Deployment: Sendable {
    /// How one app's restart goes, fixed when its step begins.
    struct Restart: Sendable, Hashable {
        var killNow: Int
        var maximum: Int
        /// Old instances when it began.
        var initialOld: Int

        init(killNow: Int, maximum: Int, initialOld: Int) {
            self.killNow = killNow
            self.maximum = maximum
            self.initialOld = initialOld
        }
        init?(_ json: JSON) {
            guard let killNow = json["killNow"].int, let maximum = json["maximum"].int,
                let old = json["initialOld"].int
            else { return nil }
            self.init(killNow: killNow, maximum: maximum, initialOld: old)
        }
        var json: JSON {
            ["killNow": JSON(killNow), "maximum": JSON(maximum), "initialOld": JSON(initialOld)]
        }
    }

    let object: Object
    let id: String
    let version: String
    let steps: [[DeploymentAction]]
    /// A definition as it was before, by its version, which is kept.
    struct Original: Sendable, Hashable {
        var kind: RunSpec.Kind
        var version: String
    }
    /// What was there before; nil: nothing.
    let originals: [PathID: Original]
    /// What shall be there; nil: nothing.
    let targets: [PathID: RunSpec]
    /// Every app and pod that it changes.
    let affected: Set<PathID>
    let groupsBefore: [PathID: GroupInfo]
    let groupsAfter: [PathID: GroupInfo]
    let affectedGroups: Set<PathID>
    let victims: [PathID: [String]]
    /// The definitions are written.
    let isApplied: Bool
    /// From 0; the number of steps when it is done.
    let currentStep: Int
    let restarts: [PathID: Restart]
    let startedAt: Timestamp
    /// An extension: when it is rolled back by itself.
    let deadline: Timestamp?

    init(_ object: Object) {
        self.object = object
        let tree = object.tree
        let spec = tree["spec"]
        let status = tree["status"]
        id = spec["id"].string ?? object.name
        version = spec["version"].string ?? ""
        steps = spec["steps"].elements.map { $0["actions"].elements.compactMap(DeploymentAction.init) }
        var originals: [PathID: Original] = [:]
        var targets: [PathID: RunSpec] = [:]
        for (id, change) in spec["specs"].members {
            let (before, after) = (change["original"], change["target"])
            if let kind = before["kind"].string.flatMap(RunSpec.Kind.init), let version = before["version"].string {
                originals[PathID(id)] = Original(kind: kind, version: version)
            }
            if let kind = after["kind"].string.flatMap(RunSpec.Kind.init) {
                targets[PathID(id)] = RunSpec(kind: kind, json: after["spec"])
            }
        }
        self.originals = originals
        self.targets = targets
        affected = Set(spec["specs"].members.keys.map { PathID($0) })
        var before: [PathID: GroupInfo] = [:]
        var after: [PathID: GroupInfo] = [:]
        for (id, change) in spec["groups"].members {
            if !change["original"].isNull { before[PathID(id)] = GroupInfo(change["original"]) }
            if !change["target"].isNull { after[PathID(id)] = GroupInfo(change["target"]) }
        }
        groupsBefore = before
        groupsAfter = after
        affectedGroups = Set(spec["groups"].members.keys.map { PathID($0) })
        var victims: [PathID: [String]] = [:]
        for (id, names) in spec["victims"].members { victims[PathID(id)] = names.elements.compactMap(\.string) }
        self.victims = victims
        isApplied = status["applied"].bool ?? false
        currentStep = status["currentStep"].int ?? 0
        var restarts: [PathID: Restart] = [:]
        for (id, restart) in status["restarts"].members { restarts[PathID(id)] = Restart(restart) }
        self.restarts = restarts
        startedAt = object.metadata.creationTimestamp ?? .now
        deadline = spec["deadlineSeconds"].double.map { [startedAt] in startedAt + .seconds(bounded: $0) }
    }

    /// The object of a new deployment.
    static func manifest(
        id: String, version: String, steps: [[DeploymentAction]], change: DefinitionChange, base: any Definitions
    ) -> JSON {
        var specs: JSONObject = [:]
        var deadline: Double?
        for id in Set(change.specs.keys).union(change.restarts).sorted() {
            let original = base.spec(id)
            let target: RunSpec? = if let changed = change.specs[id] { changed } else { original }
            var entry: JSON = .object([:])
            if let original {
                entry["original"] = ["kind": .string(original.kind.rawValue), "version": .string(original.version)]
            }
            if let target { entry["target"] = ["kind": .string(target.kind.rawValue), "spec": target.json] }
            specs[id.text] = entry
            if let seconds = target?.deploymentDeadline { deadline = min(deadline ?? seconds, seconds) }
        }
        var groups: JSONObject = [:]
        for (id, target) in change.groups.sorted(by: { $0.key < $1.key }) {
            var entry: JSON = .object([:])
            entry.setMember("original", base.group(id)?.json)
            entry.setMember("target", target?.json)
            groups[id.text] = entry
        }
        var spec: JSON = [
            "id": .string(id), "version": .string(version),
            "steps": .array(steps.map { ["actions": .array($0.map(\.json))] }), "specs": .object(specs),
            "groups": .object(groups),
        ]
        if !change.victims.isEmpty {
            var victims: JSONObject = [:]
            for (id, names) in change.victims { victims[id.text] = JSON(names) }
            spec["victims"] = .object(victims)
        }
        spec.setMember("deadlineSeconds", deadline.map(JSON.double))
        return [
            "apiVersion": "marathon.apus.dev/v1", "kind": "MarathonDeployment",
            "metadata": ["name": .string(id), "namespace": "default"], "spec": spec,
            "status": ["applied": false, "currentStep": 0],
        ]
    }

    var affectedApps: [PathID] { ids(.app) }
    var affectedPods: [PathID] { ids(.pod) }
    private func ids(_ kind: RunSpec.Kind) -> [PathID] {
        affected.filter { (targets[$0]?.kind ?? originals[$0]?.kind) == kind }.sorted()
    }
    var currentActions: [DeploymentAction] { steps.indices.contains(currentStep) ? steps[currentStep] : [] }

    /// What `GET /v2/deployments` says of it.
    func info(readiness: (PathID) -> [JSON]) -> JSON {
        [
            "id": .string(id), "version": .string(version),
            "affectedApps": .array(affectedApps.map { .string($0.text) }),
            "affectedPods": .array(affectedPods.map { .string($0.text) }),
            "steps": .array(steps.map { ["actions": .array($0.map(\.json))] }),
            "currentActions": .array(
                currentActions.map { action in
                    var json = action.json
                    json["readinessCheckResults"] = .array(readiness(action.id))
                    return json
                }),
            "currentStep": JSON(min(currentStep + 1, max(steps.count, 1))), "totalSteps": JSON(steps.count),
        ]
    }

    /// The plan in events: groups hold what changes, not the thousands that stay.
    var plan: JSON {
        func root(_ list: (RunSpec.Kind) -> [JSON]) -> JSON {
            [
                "id": "/", "apps": .array(list(.app)), "pods": .array(list(.pod)), "groups": [], "dependencies": [],
                "version": .string(version),
            ]
        }
        let before = root { kind in
            originals.filter { $0.value.kind == kind }.sorted { $0.key < $1.key }.map {
                ["id": .string($0.key.text), "version": .string($0.value.version)]
            }
        }
        let after = root { kind in
            targets.values.filter { $0.kind == kind }.sorted { $0.id < $1.id }.map(\.document)
        }
        return [
            "id": .string(id), "original": before, "target": after,
            "steps": .array(steps.map { ["actions": .array($0.map(\.json))] }), "version": .string(version),
        ]
    }
}
