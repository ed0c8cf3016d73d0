import ClusterClient
public import JSON
import ObjectModel
public import Schema

extension Machinery {
    public func create(
        _ resource: ResourceDefinition, namespace: String, name: String, subresource: String?, body: JSON,
        context: RequestContext
    ) async throws -> WriteResult {
        if let subresource {
            return try await post(
                resource, ObjectKey(namespace: namespace, name: name), subresource: subresource, body: body,
                context: context)
        }
        let group = resource.resource.groupResource
        if group == GroupResource(group: "", resource: "bindings") {
            guard let pods = catalog.resource(.pods) else { throw StatusError.internalError("pods are not served") }
            let target = body["metadata"]["name"].string ?? ""
            return try await post(
                pods, ObjectKey(namespace: namespace, name: target), subresource: "binding", body: body,
                context: context)
        }
        let cache = try stored(resource, verb: "create")
        if resource.isNamespaced, namespace.isEmpty {
            throw StatusError.badRequest("an empty namespace may not be set during creation")
        }
        var tree = try read(body, as: resource.kind, context: context)
        try checkPlace(&tree, resource, namespace: namespace)
        if let version = tree["metadata"]["resourceVersion"].string, !version.isEmpty, version != "0" {
            throw StatusError.badRequest("resourceVersion should not be set on objects to be created")
        }
        tree = VersionConversion.tree(tree, as: working(cache, resource.kind).kind)
        let isGenerated =
            (tree["metadata"]["name"].string ?? "").isEmpty
            && !(tree["metadata"]["generateName"].string ?? "").isEmpty
        let rules = kinds[cache.place, resource.kind]
        var attempt = 0
        while true {
            attempt += 1
            var candidate = tree
            if isGenerated {
                let base = tree["metadata"]["generateName"].string ?? ""
                candidate["metadata"]["name"] = .string(NameGenerator.name(from: base))
            }
            do {
                let object = try await insert(
                    candidate, cache, rules, namespace: namespace, kind: resource.kind, isNameGenerated: isGenerated,
                    context: context)
                return WriteResult(object: try await shown(object, as: resource), isCreated: true)
            } catch is WriteConflict {
                let name = candidate["metadata"]["name"].string ?? ""
                if isGenerated, attempt < 8 { continue }
                var error = StatusError.alreadyExists(group, name: name)
                if isGenerated { error.retryAfterSeconds = 1 }
                throw error
            }
        }
    }

    /// Metadata, defaults, admission, validation and the write of a new object in its stored version.
    /// - Parameter kind: the version that the client wrote.
    /// - Parameter isApplied: it was applied, and carries its `managedFields`.
    /// - Throws: `WriteConflict` when the name is taken.
    func insert(
        _ body: JSON, _ cache: WatchCache, _ rules: KindRules, namespace: String, kind: GroupVersionKind,
        isApplied: Bool = false, isNameGenerated: Bool = false, context: RequestContext
    ) async throws -> Object {
        let resource = working(cache, kind)
        var tree = body
        SystemMetadata.initialize(
            &tree, namespace: namespace, isNamespaced: resource.isNamespaced, tracksGeneration: rules.tracksGeneration)
        var name = tree["metadata"]["name"].string ?? ""
        var request = AdmissionRequest(
            operation: .create, resource: resource, subresource: nil, key: ObjectKey(namespace: namespace, name: name),
            object: tree, old: nil, context: context, writtenKind: kind)
        request.isNameGenerated = isNameGenerated
        request.isPatch = isApplied
        catalog.applyDefaults(to: &request.object, kind: resource.kind)
        let given = body["metadata"]["managedFields"]
        let owners = Owners(self, kind: kind, rules: rules, subresource: nil, context: context)
        // Nobody owns what the server adds from here on.
        if !isApplied, !context.isUntracked { owners.recordCreate(&request.object, given: given) }
        rules.prepareCreate(&request.object, context)
        let unadmitted = isApplied ? request.object : .null
        try await admit(&request) { request in
            self.catalog.applyDefaults(to: &request.object, kind: resource.kind)
            rules.prepareCreate(&request.object, context)
        }
        name = request.key.name
        if isApplied { owners.recordAdmission(&request.object, from: unadmitted, applied: given) }
        let reservation = try allocator.allocate(for: &request, old: nil)
        do {
            let problems = validateCreate(request.object, rules, resource)
            if !problems.isEmpty { throw StatusError.invalid(resource.kind, name: name, problems) }
            let charge = try await admission.validate(request, in: self)
            defer { charge.settle() }
            if context.isDryRun {
                if cache.get(request.key) != nil { throw WriteConflict(current: nil) }
                allocator.release(reservation)
                return Object(ObjectCodec.normalized(request.object, kind: resource.kind))
            }
            return try await commitCreate(cache, request.object, key: request.key)
        } catch {
            allocator.release(reservation)
            throw error
        }
    }

    private func validateCreate(_ tree: JSON, _ rules: KindRules, _ resource: ResourceDefinition) -> [FieldError] {
        var problems = MetadataValidation.object(
            tree["metadata"], naming: rules.naming, isNamespaced: resource.isNamespaced,
            allowsBareFinalizers: rules.allowsBareFinalizers)
        problems += rules.validate(tree)
        return problems
    }

    /// Namespace of body and path agree.
    func checkPlace(_ tree: inout JSON, _ resource: ResourceDefinition, namespace: String) throws {
        let stated = tree["metadata"]["namespace"].string ?? ""
        if resource.isNamespaced {
            if !stated.isEmpty, stated != namespace {
                throw StatusError.badRequest(
                    "the namespace of the provided object does not match the namespace sent on the request")
            }
            tree["metadata"]["namespace"] = .string(namespace)
        } else if !stated.isEmpty {
            throw StatusError.badRequest("namespace \"\(stated)\" is set on a cluster-scoped object")
        }
    }
}
