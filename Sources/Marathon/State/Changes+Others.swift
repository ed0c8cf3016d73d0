import ClusterClient
import JSON
import MesosModel
import ObjectModel

/// Changes that others made to the objects themselves.
extension Changes {
    /// Takes up a definition that somebody made or changed with kubectl.
    func adopt(_ key: ObjectKey, kind: RunSpec.Kind) async throws {
        let informer = kind == .app ? state.apps : state.pods
        guard let stored = informer[key], !stored.isAdopted, !stored.object.metadata.isTerminating else { return }
        let id = stored.spec.id
        do {
            _ = try await submit(kind.title, force: false, by: .all) { definitions, _ in
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
            await state.show(object.metadata.resourceVersion, in: state.deployments)
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
