import ClusterClient
public import JSON
public import ObjectModel
public import Schema

extension Machinery {
    public func update(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String?, body: JSON, context: RequestContext
    ) async throws -> WriteResult {
        let cache = try stored(resource, verb: "update")
        if subresource == "scale" {
            return try await updateScale(resource, cache, key, context: context) { _ in
                guard let kind = resource.subresource("scale")?.kind else {
                    throw self.noSubresource(resource, "scale")
                }
                return try self.read(body, as: kind, context: context)
            }
        }
        let scope = try UpdateScope(subresource, of: resource)
        var tree = try read(body, as: resource.kind, context: context)
        try checkNames(&tree, resource, key)
        tree = VersionConversion.tree(tree, as: working(cache, resource.kind).kind)
        let rules = kinds[cache.place, resource.kind]
        let version = tree["metadata"]["resourceVersion"].string ?? ""
        if cache.get(key) == nil, scope == .object, rules.createsOnUpdate, version.isEmpty || version == "0" {
            do {
                let object = try await insert(
                    tree, cache, rules, namespace: key.namespace, kind: resource.kind, context: context)
                return WriteResult(object: try await shown(object, as: resource), isCreated: true)
            } catch let conflict as WriteConflict {
                await catchUp(conflict)
            }
        }
        if !rules.allowsUnconditionalUpdate, scope == .object, version.isEmpty || version == "0" {
            throw StatusError.invalid(
                resource.kind, name: key.name,
                [
                    FieldError(
                        field: "metadata.resourceVersion", reason: .invalid,
                        message: "Invalid value: 0x0: must be specified for an update")
                ])
        }
        let proposal = tree
        let writing = Writing(kind: resource.kind, subresource: scope.subresource)
        let object = try await rewrite(cache, key, scope, writing, context: context) { _ in proposal }
        return WriteResult(object: try await shown(object, as: resource), isCreated: false)
    }

    /// How a change was written, for those who own the fields.
    struct Writing {
        /// The version that the client wrote.
        var kind: GroupVersionKind
        var subresource: String?
        /// The proposal was applied, and carries its `managedFields`.
        var isApplied = false
        var isPatch = false
    }

    /// Changes an object until no other writer comes between.
    /// - Parameter writing: nil for an update of the scope in the stored version.
    /// - Parameter propose: the whole object as it should be, in its stored version. A `resourceVersion` in it that is
    ///   not the current one ends the attempt with 409.
    func rewrite(
        _ cache: WatchCache, _ key: ObjectKey, _ scope: UpdateScope, _ writing: Writing? = nil, context: RequestContext,
        propose: (Object) async throws -> JSON
    ) async throws -> Object {
        let group = cache.definition.resource.groupResource
        let writing = writing ?? Writing(kind: cache.definition.kind, subresource: scope.subresource)
        let working = self.working(cache, writing.kind)
        // Each round means that somebody else got through, so this ends unless the object is a battlefield.
        for _ in 0..<64 {
            guard let stored = cache.get(key) else { throw StatusError.notFound(group, name: key.name) }
            // Read several times, and parsed once.
            let held = ObjectCodec.withTree(stored)
            let current = try await shown(held, as: working)
            let proposal = try await propose(current)
            if let version = proposal["metadata"]["resourceVersion"].string, !version.isEmpty, version != "0",
                version != String(current.metadata.resourceVersion)
            {
                guard Revision(version) != nil else {
                    throw StatusError.invalid(
                        cache.definition.kind, name: key.name,
                        [.invalid("metadata.resourceVersion", .string(version), "must be a decimal number")])
                }
                throw StatusError.conflict(group, name: key.name)
            }
            do {
                let object = try await replace(current, with: proposal, cache, scope, writing, context: context)
                return object === held ? stored : object
            } catch let conflict as WriteConflict {
                await catchUp(conflict)
                try Task.checkCancellation()
            }
        }
        throw StatusError.conflict(group, name: key.name)
    }

    /// One attempt to put a proposal in the place of the version it was made from.
    private func replace(
        _ current: Object, with proposal: JSON, _ cache: WatchCache, _ scope: UpdateScope, _ writing: Writing,
        context: RequestContext
    ) async throws -> Object {
        let resource = working(cache, writing.kind)
        let rules = kinds[cache.place, writing.kind]
        let old = current.tree
        if let uid = proposal["metadata"]["uid"].string, !uid.isEmpty, uid != current.uid {
            throw StatusError.conflict(
                resource.resource.groupResource, name: current.name,
                "Precondition failed: UID in precondition: \(uid), UID in object meta: \(current.uid)")
        }
        var tree = scope.confine(proposal, old: old, rules: rules)
        SystemMetadata.inherit(&tree, from: old)
        var request = AdmissionRequest(
            operation: .update, resource: resource, subresource: scope.subresource, key: current.key, object: tree,
            old: current, context: context, writtenKind: writing.kind)
        request.isPatch = writing.isPatch || writing.isApplied
        if writing.subresource == "scale", scope == .object {
            request.scaleKind = resource.subresource("scale")?.kind
        }
        if scope.touchesSpec || rules.custom != nil {
            catalog.applyDefaults(to: &request.object, kind: resource.kind)
            rules.prepareUpdate(&request.object, old)
        }
        let unadmitted = writing.isApplied ? request.object : .null
        try await admit(&request) { request in
            request.object = scope.confine(request.object, old: old, rules: rules)
            SystemMetadata.inherit(&request.object, from: old)
            guard scope.touchesSpec || rules.custom != nil else { return }
            self.catalog.applyDefaults(to: &request.object, kind: resource.kind)
            rules.prepareUpdate(&request.object, old)
        }
        let owners = Owners(
            self, kind: writing.kind, rules: rules, subresource: writing.subresource, context: context)
        let given = proposal["metadata"]["managedFields"]
        if writing.isApplied {
            owners.recordAdmission(&request.object, from: unadmitted, applied: given)
        } else {
            owners.recordUpdate(&request.object, from: old, given: given)
        }
        if rules.tracksGeneration, scope != .status, rules.countsAsNewGeneration(request.object, old) {
            SystemMetadata.bumpGeneration(&request.object)
        }
        let reservation = try allocator.allocate(for: &request, old: scope == .object ? old : nil)
        do {
            var problems = MetadataValidation.object(
                request.object["metadata"], naming: rules.naming, isNamespaced: resource.isNamespaced,
                allowsBareFinalizers: rules.allowsBareFinalizers)
            problems += MetadataValidation.update(request.object["metadata"], old["metadata"])
            problems += scope.validate(request.object, old: old, rules: rules)
            if !problems.isEmpty { throw StatusError.invalid(resource.kind, name: current.name, problems) }
            let charge = try await admission.validate(request, in: self)
            defer { charge.settle() }
            let result = ObjectCodec.normalized(request.object, kind: resource.kind)
            if isReadyToGo(result, rules) {
                if context.isDryRun { return current }
                return try await commitDelete(cache, current)
            }
            // One that is stored in an older version is written again in today's.
            let isStale = rules.custom != nil && cache.get(current.key)?.kind != cache.definition.kind
            if !isStale, result == ObjectCodec.normalized(old, kind: resource.kind) {
                allocator.release(reservation)
                return current
            }
            if context.isDryRun {
                allocator.release(reservation)
                var shown = result
                shown["metadata"]["resourceVersion"] = .string(String(current.metadata.resourceVersion))
                return Object(shown)
            }
            return try await commitUpdate(cache, current, result)
        } catch {
            allocator.release(reservation)
            throw error
        }
    }

    /// Deletion was asked for and nothing holds the object any more.
    func isReadyToGo(_ tree: JSON, _ rules: KindRules) -> Bool {
        let metadata = tree["metadata"]
        guard metadata["deletionTimestamp"].string != nil, metadata["finalizers"].elements.isEmpty,
            (metadata["deletionGracePeriodSeconds"].int ?? 0) == 0
        else { return false }
        return !rules.hasSpecFinalizers || tree["spec"]["finalizers"].elements.isEmpty
    }

    /// Name and namespace of a body agree with the path.
    func checkNames(_ tree: inout JSON, _ resource: ResourceDefinition, _ key: ObjectKey) throws {
        let name = tree["metadata"]["name"].string ?? ""
        if name.isEmpty { throw StatusError.badRequest("name must be provided") }
        if name != key.name {
            throw StatusError.badRequest(
                "the name of the object (\(name)) does not match the name on the URL (\(key.name))")
        }
        let namespace = tree["metadata"]["namespace"].string ?? ""
        if resource.isNamespaced, !namespace.isEmpty, namespace != key.namespace {
            throw StatusError.badRequest(
                "the namespace of the object (\(namespace)) does not match the namespace on the request "
                    + "(\(key.namespace))")
        }
        if resource.isNamespaced { tree["metadata"]["namespace"] = .string(key.namespace) }
    }

    func noSubresource(_ resource: ResourceDefinition, _ name: String) -> StatusError {
        StatusError(
            code: 404, reason: .notFound,
            message: "the server could not find the requested resource: \(resource.resource.groupResource) has no "
                + "subresource \"\(name)\"")
    }
}
