import ClusterClient
import JSON
import ObjectModel

/// The replica sets of a deployment: making the new one, keeping revisions, removing old ones.
extension RolloutPass {
    /// Brings the new set's revision and annotations up to date, if there is one.
    func adoptNewSet() async throws {
        guard let set = newSet else { return }
        let tree = set.object.tree
        var annotations = tree["metadata"]["annotations"]
        annotate(&annotations, revision: nextRevision)
        if annotations != tree["metadata"]["annotations"] || set.minReadySeconds != view.minReadySeconds {
            var tree = tree
            tree["metadata"]["annotations"] = annotations
            tree["spec"].setMember("minReadySeconds", view.minReadySeconds == 0 ? nil : JSON(view.minReadySeconds))
            let written = try await context.client.update(.replicaSets, tree)
            writes.wrote(written, for: view.key)
            try replace(set, with: written)
        }
        if view.progressDeadlineSeconds != nil, conditions["Progressing"] == nil {
            conditions.set(
                "Progressing", "True", reason: "FoundNewReplicaSet",
                message: "Found new replica set \"\(set.name)\"", now: now, tracksUpdates: true)
        }
        try await setRevision(annotations[DeploymentAnnotations.revision].string ?? String(nextRevision))
    }

    /// Finds or makes the replica set of the current template.
    /// - Returns: false when it could not be made now and the pass should end with the status.
    func ensureNewSet() async throws -> Bool {
        if newSet != nil {
            try await adoptNewSet()
            return true
        }
        let manifest = try newSetManifest()
        do {
            let made = try await context.client.create(.replicaSets, manifest)
            writes.wrote(made, for: view.key)
            let set = try ReplicaSetView(made)
            newSet = set
            if set.replicas > 0 { record("Scaled up replica set \(set.name) from 0 to \(set.replicas)") }
        } catch let error as StatusError where error.reason == .alreadyExists {
            try await resolveCollision(ObjectKey(namespace: view.object.namespace, name: name(in: manifest)))
        } catch let error as StatusError {
            if error.isNamespaceTerminating { return false }
            if view.progressDeadlineSeconds != nil {
                let message = "Failed to create new replica set \"\(name(in: manifest))\": \(error.message)"
                conditions.set(
                    "Progressing", "False", reason: "ReplicaSetCreateError", message: message, now: now,
                    tracksUpdates: true)
                try await putStatus { [conditions] in $0.setMember("conditions", conditions.json) }
            }
            throw error
        }
        guard let newSet else { return false }
        if view.progressDeadlineSeconds != nil {
            conditions.set(
                "Progressing", "True", reason: "NewReplicaSetCreated",
                message: "Created new replica set \"\(newSet.name)\"", now: now, tracksUpdates: true)
            // Written at once: the deadline counts from here even when the rest of the pass fails.
            try await putStatus { [conditions] in $0.setMember("conditions", conditions.json) }
        }
        try await setRevision(String(nextRevision))
        return true
    }

    /// Deletes the oldest sets without replicas beyond the history limit.
    func removeOldSets() async throws {
        guard let limit = view.revisionHistoryLimit else { return }
        let candidates = oldSets.filter { !$0.isTerminating }
        guard candidates.count > limit else { return }
        let ordered = candidates.sorted { ($0.revision, $0.created, $0.name) < ($1.revision, $1.created, $1.name) }
        for set in ordered.prefix(candidates.count - limit) {
            let isIdle =
                set.replicas == 0 && set.status.replicas == 0
                && set.object.metadata.generation <= set.status.observedGeneration
            guard isIdle else { continue }
            try await context.client.deleteExactly(.replicaSets, set.key, uid: set.uid)
            writes.deleted(set.key, uid: set.uid, for: view.key)
        }
    }

    // MARK: Revisions

    /// One more than the old sets have.
    private var nextRevision: Int { (oldSets.map(\.revision).max() ?? 0) + 1 }

    /// The deployment's own annotations, its revision, and the revisions this set had before.
    private func annotate(_ annotations: inout JSON, revision: Int) {
        for (name, value) in object.tree["metadata"]["annotations"].members
        where !DeploymentAnnotations.notCopied.contains(name) {
            annotations[name] = value
        }
        let old = annotations[DeploymentAnnotations.revision].string ?? ""
        guard (Int(old) ?? 0) < revision else { return }
        annotations[DeploymentAnnotations.revision] = .string(String(revision))
        guard !old.isEmpty else { return }
        let history = annotations[DeploymentAnnotations.revisionHistory].string ?? ""
        var entries = history.isEmpty ? [] : history.split(separator: ",").map(String.init)
        entries.append(old)
        // The list is cut at the front when it grows over 2000 characters.
        while entries.count > 1, entries.reduce(-1, { $0 + $1.utf8.count + 1 }) > 2000 { entries.removeFirst() }
        annotations[DeploymentAnnotations.revisionHistory] = .string(entries.joined(separator: ","))
    }

    private func setRevision(_ revision: String) async throws {
        guard object.tree["metadata"]["annotations"][DeploymentAnnotations.revision].string != revision else { return }
        // Through the status: an annotation that a user writes counts as a new generation, this one does not.
        object = try await context.client.patch(
            .deployments, view.key, .merge,
            [
                "metadata": [
                    "uid": .string(view.uid), "annotations": [DeploymentAnnotations.revision: .string(revision)],
                ]
            ], subresource: "status")
    }

    // MARK: Making

    private func name(in manifest: JSON) -> String { manifest["metadata"]["name"].string ?? "" }

    private func newSetManifest() throws -> JSON {
        let spec = object.tree["spec"]
        var template = TemplateHash.withoutHashLabel(spec["template"])
        let hash = TemplateHash.name(of: template, collisionCount: view.collisionCount)
        template["metadata"]["labels"][TemplateHash.label] = .string(hash)
        var selector = spec["selector"]
        selector["matchLabels"][TemplateHash.label] = .string(hash)
        let size = plan.newSetSize(current: 0, total: oldSets.reduce(0) { $0 + $1.replicas })
        var annotations = JSON.object([:])
        annotate(&annotations, revision: nextRevision)
        annotations[DeploymentAnnotations.desiredReplicas] = .string(String(plan.replicas))
        annotations[DeploymentAnnotations.maxReplicas] = .string(String(plan.ceiling))
        var body: JSON = ["replicas": JSON(size), "selector": selector, "template": template]
        if view.minReadySeconds > 0 { body["minReadySeconds"] = JSON(view.minReadySeconds) }
        return [
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": [
                "name": .string("\(view.name)-\(hash)"), "namespace": .string(view.object.namespace),
                "labels": template["metadata"]["labels"], "annotations": annotations,
                "ownerReferences": [OwnerReference(controller: view.object).json],
            ],
            "spec": body,
        ]
    }

    /// The name is taken: by our own set that the cache does not show yet, or by another template with the same hash.
    private func resolveCollision(_ key: ObjectKey) async throws {
        guard let existing = try await context.client.find(.replicaSets, key) else {
            throw StatusError.conflict(GroupVersionResource.replicaSets.groupResource, name: key.name)
        }
        let set = try ReplicaSetView(existing)
        if existing.metadata.controller?.uid == view.uid, set.templateFingerprint == view.templateFingerprint {
            newSet = set
            return
        }
        let next = (view.collisionCount ?? 0) + 1
        try await putStatus { $0["collisionCount"] = JSON(next) }
        throw StatusError.alreadyExists(GroupVersionResource.replicaSets.groupResource, name: key.name)
    }
}
