import ClusterClient
import JSON
import MesosModel
import ObjectModel
import Synchronization

/// Writing definitions, their versions and deployments.
extension Changes {
    /// Writes what a deployment that was found not to be applied says.
    func finish(_ id: String) async throws {
        try await alone {
            guard let deployment = state.deployment(id), !deployment.isApplied else { return }
            try await apply(deployment)
        }
    }

    /// Writes the definitions of a deployment; may be repeated.
    func apply(_ deployment: Deployment) async throws {
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
        try await forEachConcurrently(ids) { [self] id in
            let at = try await write(id, deployment.targets[id], deployment)
            revisions.withLock { $0 = max($0, at) }
        }
        let written = try await client.modify(MesosNames.marathonDeployments, deployment.object.key) { tree in
            guard tree["status"]["applied"].bool != true else { return false }
            tree["status"]["applied"] = true
            return true
        }
        if let written { await state.show(written.metadata.resourceVersion, in: state.deployments) }
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

    static func resource(_ kind: RunSpec.Kind) -> GroupVersionResource {
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
}
