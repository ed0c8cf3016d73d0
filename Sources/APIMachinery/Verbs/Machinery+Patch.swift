public import ClusterClient
public import JSON
public import ObjectModel
public import Schema

extension Machinery {
    public func patch(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String?, type: PatchType, patch: JSON,
        force: Bool, context: RequestContext
    ) async throws -> WriteResult {
        let cache = try stored(resource, verb: "patch")
        if type == .apply {
            return try await apply(
                patch, resource, cache, key, subresource: subresource, force: force, context: context)
        }
        if force {
            throw StatusError.invalid(
                GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "PatchOptions"), name: "",
                [.forbidden("force", "may not be specified for non-apply patch")])
        }
        if type == .strategicMerge, catalog.custom(resource.kind) != nil {
            throw StatusError(
                code: 415, reason: .unsupportedMediaType,
                message: "the body of the request was in an unknown format - accepted media types include: "
                    + "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml")
        }
        if subresource == "scale" {
            return try await updateScale(resource, cache, key, context: context) { scale in
                guard let kind = resource.subresource("scale")?.kind else {
                    throw self.noSubresource(resource, "scale")
                }
                let patched = try self.patched(scale, type, patch, kind: kind, name: key.name)
                return try self.readPatched(patched, as: kind, name: key.name, context: context)
            }
        }
        let scope = try UpdateScope(subresource, of: resource)
        // What a patch finds unknown is told once, however often it is tried.
        let told = context.warnings.count
        let writing = Writing(kind: resource.kind, subresource: scope.subresource, isPatch: true)
        let object = try await rewrite(cache, key, scope, writing, context: context) { current in
            let before = VersionConversion.tree(current.tree, as: resource.kind)
            let patched = try self.patched(before, type, patch, kind: resource.kind, name: key.name)
            let quiet = context.warnings.count > told ? context.quiet : context
            var tree = try self.readPatched(patched, as: resource.kind, name: key.name, context: quiet)
            try self.checkNames(&tree, resource, key)
            return VersionConversion.tree(tree, as: self.working(cache, resource.kind).kind)
        }
        return WriteResult(object: try await shown(object, as: resource), isCreated: false)
    }

    private func patched(_ tree: JSON, _ type: PatchType, _ patch: JSON, kind: GroupVersionKind, name: String) throws
        -> JSON
    {
        do {
            switch type {
            case .json: return try tree.jsonPatched(with: patch)
            case .merge:
                guard case .object = patch else {
                    throw PatchError(.malformed, "a merge patch must be a JSON object")
                }
                return tree.mergePatched(with: patch)
            case .strategicMerge:
                guard case .object = patch else {
                    throw PatchError(.malformed, "a strategic merge patch must be a JSON object")
                }
                return try catalog.strategicMerge(tree, with: patch, kind: kind)
            case .apply: throw PatchError(.malformed, "a configuration to apply is no patch")
            }
        } catch let error as PatchError {
            switch error.code {
            case .malformed: throw StatusError.badRequest(error.description)
            case .unappliable:
                var failure = StatusError(
                    code: 422, reason: .invalid,
                    message: "the server rejected our request due to an error in our request: \(error)")
                failure.name = name
                failure.group = kind.group
                failure.kind = kind.kind
                throw failure
            }
        }
    }
}

extension RequestContext {
    /// The same request, but whoever reads its body again says nothing about unknown fields.
    var quiet: RequestContext {
        fieldValidation == .warn
            ? RequestContext(user: user, fieldManager: fieldManager, fieldValidation: .ignore, isDryRun: isDryRun)
            : self
    }
}
