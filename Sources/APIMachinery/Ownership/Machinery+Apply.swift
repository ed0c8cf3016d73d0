import ClusterClient
import CustomResources
import JSON
import ObjectModel
import Schema

extension Machinery {
    /// Server-side apply: sets what the configuration names, removes what its manager named before, and answers 409
    /// where somebody else owns another value. Makes the object if there is none.
    func apply(
        _ patch: JSON, _ resource: ResourceDefinition, _ cache: WatchCache, _ key: ObjectKey, subresource: String?,
        force: Bool, context: RequestContext
    ) async throws -> WriteResult {
        guard !context.fieldManager.isEmpty else {
            throw StatusError.invalid(
                GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "PatchOptions"), name: "",
                [.required("fieldManager", "is required for apply patch")])
        }
        let rules = kinds[cache.place, resource.kind]
        let scaleKind = subresource == "scale" ? resource.subresource("scale")?.kind : nil
        if subresource == "scale", scaleKind == nil { throw noSubresource(resource, "scale") }
        var configuration = try readApplied(patch, as: scaleKind ?? resource.kind, key, context: context)
        if scaleKind != nil {
            configuration = try Self.scaled(configuration, resource.kind, custom(resource)?.scale)
        }
        let scope = scaleKind != nil ? .object : try UpdateScope(subresource, of: resource)
        try checkNames(&configuration, resource, key)
        configuration = Self.confined(configuration, to: subresource, rules)
        let owners = Owners(self, kind: resource.kind, rules: rules, subresource: subresource, context: context)
        let writing = Writing(kind: resource.kind, subresource: subresource, isApplied: true)
        for _ in 0..<8 {
            if cache.get(key) == nil, subresource == nil {
                if let made = try await create(
                    configuration, owners, cache, key, rules, resource.kind, context: context)
                {
                    return WriteResult(object: try await shown(made, as: resource), isCreated: true)
                }
                continue
            }
            do {
                let object = try await rewrite(cache, key, scope, writing, context: context) { current in
                    let live = VersionConversion.tree(current.tree, as: resource.kind)
                    let applied = try owners.apply(configuration, to: live, force: force)
                    let tree = try self.readPatched(applied, as: resource.kind, name: key.name, context: context.quiet)
                    return VersionConversion.tree(tree, as: self.working(cache, resource.kind).kind)
                }
                if let scaleKind {
                    return WriteResult(
                        object: Object(Self.scale(of: object, kind: scaleKind, custom: custom(resource)?.scale)),
                        isCreated: false)
                }
                return WriteResult(object: try await shown(object, as: resource), isCreated: false)
            } catch let error as StatusError where error.reason == .notFound && subresource == nil {
                // It went away in between, so now it is made.
                if cache.get(key) != nil { throw error }
            }
        }
        throw StatusError.conflict(resource.resource.groupResource, name: key.name)
    }

    /// Makes the object of a configuration; nil when somebody else was faster.
    private func create(
        _ configuration: JSON, _ owners: Owners, _ cache: WatchCache, _ key: ObjectKey, _ rules: KindRules,
        _ kind: GroupVersionKind, context: RequestContext
    ) async throws -> Object? {
        let metadata = configuration["metadata"]
        let version = metadata["resourceVersion"].string ?? ""
        if !(version.isEmpty || version == "0") || !(metadata["uid"].string ?? "").isEmpty {
            // It names an object that is no more.
            throw StatusError.conflict(
                cache.definition.resource.groupResource, name: key.name,
                "the object that the configuration names by its resourceVersion or uid does not exist")
        }
        let applied = try readPatched(
            owners.apply(configuration, to: nil, force: false), as: kind, name: key.name, context: context.quiet)
        do {
            return try await insert(
                VersionConversion.tree(applied, as: working(cache, kind).kind), cache, rules, namespace: key.namespace,
                kind: kind, isApplied: true, context: context)
        } catch let conflict as WriteConflict {
            await catchUp(conflict)
            return nil
        }
    }

    /// The configuration conformed to its kind. What its kind does not have is an error, however lenient the request.
    private func readApplied(_ patch: JSON, as kind: GroupVersionKind, _ key: ObjectKey, context: RequestContext) throws
        -> JSON
    {
        guard case .object = patch else { throw StatusError.badRequest("the configuration must be an object") }
        let apiVersion = patch["apiVersion"].string ?? ""
        guard !apiVersion.isEmpty, patch["kind"].string?.isEmpty == false else {
            throw StatusError.badRequest("apiVersion and kind must be set in a configuration to apply")
        }
        guard apiVersion == kind.apiVersion, patch["kind"].string == kind.kind else {
            throw StatusError.badRequest(
                "Incorrect version specified in apply patch. Specified patch version: \(apiVersion), "
                    + "\(patch["kind"].string ?? ""), expected: \(kind.apiVersion), \(kind.kind)")
        }
        guard patch["metadata"]["managedFields"].isNull else {
            throw StatusError.badRequest("metadata.managedFields must be nil")
        }
        if !context.duplicateFields.isEmpty, context.fieldValidation == .strict {
            let texts = context.duplicateFields.map { "key \"\($0)\" already set in map" }
            throw StatusError.badRequest("error strict decoding YAML: " + texts.joined(separator: ", "))
        }
        var tree = patch
        let unknown = try catalog.conform(&tree, to: kind, isPartial: true).unknownFields
        if !unknown.isEmpty {
            throw FieldOwnership.untyped(patch, kind, unknown.map { ".\($0): field not declared in schema" })
        }
        return tree
    }

    /// A configuration of a `Scale` as one of the scaled kind.
    private static func scaled(_ scale: JSON, _ kind: GroupVersionKind, _ custom: ScalePaths?) throws -> JSON {
        var tree: JSON = ["apiVersion": .string(kind.apiVersion), "kind": .string(kind.kind)]
        tree["metadata"] = scale["metadata"]
        guard let replicas = scale["spec"]["replicas"].int else { return tree }
        guard replicas >= 0 else {
            throw StatusError.invalid(
                GroupVersionKind(group: "autoscaling", version: "v1", kind: "Scale"),
                name: scale["metadata"]["name"].string ?? "",
                [.invalid("spec.replicas", JSON(replicas), "must be greater than or equal to 0")])
        }
        tree.set(JSON(replicas), at: (custom?.specReplicas ?? ["spec", "replicas"])[...])
        return tree
    }

    /// Only what this way of writing can change: everything else of the configuration is nobody's wish.
    private static func confined(_ configuration: JSON, to subresource: String?, _ rules: KindRules) -> JSON {
        var result = configuration
        guard let subresource else {
            if rules.hasStatus { result.removeMember("status") }
            return result
        }
        let part = subresource == "status" || subresource == "approval" ? "status" : "spec"
        var metadata: JSON = [:]
        var kept = ["name", "namespace", "uid", "resourceVersion"]
        if subresource == "approval" { kept += ["labels", "annotations", "finalizers"] }
        if subresource == "status" { kept += rules.statusMetadata }
        for field in kept { metadata.setMember(field, configuration["metadata"][field]) }
        for (name, _) in configuration.members where !["apiVersion", "kind", part].contains(name) {
            result.removeMember(name)
        }
        result["metadata"] = metadata
        return result
    }
}
