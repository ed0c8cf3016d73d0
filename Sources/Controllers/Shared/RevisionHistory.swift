import ClusterClient
import JSON
import ObjectModel

/// Keeps the templates a StatefulSet or DaemonSet had, as ControllerRevision objects.
struct RevisionHistory: Sendable {
    /// On pods, and on the revisions of daemon sets.
    static let hashLabel = "controller-revision-hash"
    private static let plainHashLabel = "controller.kubernetes.io/hash"

    let client: ClusterClient
    let informers: SharedInformers

    /// The revision of the owner's template, made when it is new, with the highest number when it came back.
    /// - Returns: all revisions oldest first, the one of the template among them.
    func sync(_ owner: Object, template: JSON, collisionCount: Int?) async throws -> (all: [Object], update: Object) {
        var all = informers.controllerRevisionsByController[owner.uid].sorted { number($0) < number($1) }
        let print = TemplateHash.fingerprint(template)
        let highest = all.last.map(number) ?? 0
        if let index = all.lastIndex(where: { TemplateHash.fingerprint(Self.template(in: $0)) == print }) {
            var known = all.remove(at: index)
            if number(known) < highest {
                var tree = known.tree
                tree["revision"] = JSON(highest.addingSaturated(1))
                known = try await client.update(.controllerRevisions, tree)
            }
            all.append(known)
            return (all, known)
        }
        let hash = TemplateHash.name(of: template, collisionCount: collisionCount)
        var data = template
        data["$patch"] = "replace"
        var labels = template["metadata"]["labels"].stringMap
        labels[owner.tree["kind"].string == "DaemonSet" ? Self.hashLabel : Self.plainHashLabel] = hash
        let manifest: JSON = [
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": [
                "name": .string("\(owner.name)-\(hash)"), "namespace": .string(owner.namespace), "labels": JSON(labels),
                "ownerReferences": [OwnerReference(controller: owner).json],
            ],
            "data": ["spec": ["template": Self.sorted(data)]], "revision": JSON(highest.addingSaturated(1)),
        ]
        let made: Object
        do {
            made = try await client.create(.controllerRevisions, manifest)
        } catch let error as StatusError where error.reason == .alreadyExists {
            // Ours from a pass whose result the cache does not show yet.
            let key = ObjectKey(namespace: owner.namespace, name: "\(owner.name)-\(hash)")
            guard let found = try await client.find(.controllerRevisions, key),
                found.metadata.controller?.uid == owner.uid,
                TemplateHash.fingerprint(Self.template(in: found)) == print
            else { throw error }
            made = found
        }
        return (all + [made], made)
    }

    /// Removes the oldest revisions that no pod has, beyond the limit.
    func trim(_ all: [Object], live: Set<String>, limit: Int) async throws {
        let unused = all.filter { !live.contains($0.name) }
        for revision in unused.prefix(max(unused.count - limit, 0)) {
            try await client.deleteExactly(.controllerRevisions, revision.key, uid: revision.uid)
        }
    }

    static func template(in revision: Object) -> JSON {
        var template = revision.tree["data"]["spec"]["template"]
        template.removeMember("$patch")
        return template
    }

    /// The hash in a revision's labels.
    static func hash(of revision: Object) -> String? {
        revision.metadata.labels[hashLabel] ?? revision.metadata.labels[plainHashLabel]
    }

    /// Members by name: clients compare the bytes of a revision with a template that they write in this order.
    private static func sorted(_ json: JSON) -> JSON {
        switch json {
        case .object(let members):
            var result = JSONObject(minimumCapacity: members.count)
            for key in members.keys.sorted() { result[key] = members[key].map(sorted) }
            return .object(result)
        case .array(let items): return .array(items.map(sorted))
        default: return json
        }
    }

    private func number(_ revision: Object) -> Int { revision.tree["revision"].int ?? 0 }
}
