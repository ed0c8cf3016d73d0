public import JSON
public import ObjectModel
public import Schema

/// Which webhooks may run a second time, after others changed what they had seen (`reinvocationPolicy: IfNeeded`).
struct Reinvocation: Sendable {
    /// This is the second round.
    var isSecond = false
    /// Somebody changed the object, so there is to be a second round.
    var isNeeded = false
    /// Ran, and may run again when somebody changes the object after them.
    private var seen: Set<String> = []
    private var again: Set<String> = []
    private var last: JSON = .null

    /// The object was changed: all that saw it before are to see it again.
    mutating func objectChanged() {
        isNeeded = true
        again.formUnion(seen)
        seen = []
    }
    mutating func ran(_ identity: String) { seen.insert(identity) }
    func allows(_ identity: String) -> Bool { !isSecond || again.contains(identity) }
    /// The first round ended with this object.
    mutating func ended(with object: JSON) { last = object }
    /// The second round begins with this object, which the built-in plugins may have changed.
    mutating func beginSecond(with object: JSON) {
        isSecond = true
        if object != last {
            again.formUnion(seen)
            seen = []
        }
    }
}

extension DynamicAdmission {
    /// Lets mutating policies and webhooks change what is written.
    /// - Parameter request: its `object` is changed.
    /// - Parameter absorb: puts a changed object in order: its defaults, and what nobody may change.
    func mutate(
        _ request: inout HookedRequest, _ hooks: Hooks, _ rounds: inout Reinvocation, in machinery: Machinery,
        absorb: (JSON) throws -> JSON
    ) async throws {
        if !Self.isExemptFromPolicies(request.place) {
            try mutateByPolicies(&request, hooks, &rounds, in: machinery, absorb: absorb)
        }
        if Self.isExemptFromWebhooks(request.place) { return }
        for webhook in hooks.mutating {
            guard let matched = try webhook.match(request, in: machinery), rounds.allows(webhook.identity) else {
                continue
            }
            guard let answer = try await webhook.call(request, as: matched, isMutating: true, in: machinery) else {
                continue
            }
            if let patch = answer.patch {
                let changed = try Self.patched(request, as: matched, patch, by: webhook.name, machinery.catalog)
                let absorbed = try absorb(changed)
                if absorbed != request.object {
                    request.object = absorbed
                    rounds.objectChanged()
                }
            }
            if webhook.isReinvoked { rounds.ran(webhook.identity) }
        }
    }

    private static func patched(
        _ request: HookedRequest, as matched: MatchedVersion, _ patch: JSON, by name: String, _ catalog: Catalog
    ) throws -> JSON {
        guard !request.object.isNull else {
            throw StatusError.internalError(
                "admission webhook \"\(name)\" attempted to modify the object, which is not supported for this operation"
            )
        }
        var tree: JSON
        do {
            tree = try request.tree(request.object, as: matched.kind).jsonPatched(with: patch)
        } catch {
            throw StatusError.internalError("\(error)")
        }
        guard case .object = tree else {
            throw StatusError.internalError("admission webhook \"\(name)\" left no object")
        }
        tree["apiVersion"] = .string(matched.kind.apiVersion)
        tree["kind"] = .string(matched.kind.kind)
        do {
            _ = try catalog.conform(&tree, to: matched.kind)
        } catch let error as StatusError {
            throw StatusError.internalError(
                "admission webhook \"\(name)\" made an object that is none: \(error.message)")
        }
        let before = GroupVersionKind(
            apiVersion: request.object["apiVersion"].string ?? "", kind: request.object["kind"].string ?? "")
        return request.tree(tree, as: before)
    }

    // MARK: Validating

    /// Lets policies and webhooks refuse what is to be written.
    func validate(_ request: AdmissionRequest, in machinery: Machinery) async throws {
        guard let hooks, !hooks.validatesNothing else { return }
        try await validate(HookedRequest(request, in: machinery, isSettled: true), hooks, in: machinery)
    }

    func validate(_ request: HookedRequest, _ hooks: Hooks, in machinery: Machinery) async throws {
        if !Self.isExemptFromPolicies(request.place), !hooks.validatingPolicies.isEmpty {
            var review = PolicyReview(request, in: machinery)
            for (policy, bindings) in hooks.validatingPolicies { try review.ask(policy, bindings) }
            try review.conclude()
        }
        if Self.isExemptFromWebhooks(request.place) { return }
        var calls: [(webhook: Webhook, matched: MatchedVersion)] = []
        for webhook in hooks.validating {
            if let matched = try webhook.match(request, in: machinery) { calls.append((webhook, matched)) }
        }
        if calls.isEmpty { return }
        if calls.count == 1 {
            _ = try await calls[0].webhook.call(request, as: calls[0].matched, isMutating: false, in: machinery)
            return
        }
        // All at once, as none changes anything; of several refusals the first in order is told.
        let refusals = await withTaskGroup(of: (Int, (any Error)?).self) { group in
            for (index, call) in calls.enumerated() {
                group.addTask {
                    do {
                        _ = try await call.webhook.call(
                            request, as: call.matched, isMutating: false, in: machinery)
                        return (index, nil)
                    } catch {
                        return (index, error)
                    }
                }
            }
            var found: [Int: any Error] = [:]
            for await (index, error) in group { if let error { found[index] = error } }
            return found
        }
        if let first = refusals.keys.min(), let error = refusals[first] { throw error }
    }
}

extension Machinery {
    /// Built-in mutation, then that of policies and webhooks, and both once more when the latter changed something.
    /// - Parameter settle: puts the object in order after somebody else changed it.
    func admit(_ request: inout AdmissionRequest, settle: (inout AdmissionRequest) throws -> Void) async throws {
        try admission.admit(&request, in: self)
        guard let hooks = dynamic.hooks, !hooks.mutatesNothing else { return }
        var rounds = Reinvocation()
        try await mutate(&request, hooks, &rounds, settle)
        guard rounds.isNeeded else { return }
        rounds.ended(with: request.object)
        try admission.admit(&request, in: self)
        rounds.beginSecond(with: request.object)
        try await mutate(&request, hooks, &rounds, settle)
    }

    private func mutate(
        _ request: inout AdmissionRequest, _ hooks: DynamicAdmission.Hooks, _ rounds: inout Reinvocation,
        _ settle: (inout AdmissionRequest) throws -> Void
    ) async throws {
        var hooked = HookedRequest(request, in: self, isSettled: false)
        var changed = request
        try await dynamic.mutate(&hooked, hooks, &rounds, in: self) { tree in
            if changed.scaleKind != nil {
                let replicas = tree["spec"]["replicas"]
                changed.object["spec"]["replicas"] = replicas.isNull ? 0 : replicas
                try settle(&changed)
                return tree
            }
            if changed.operation == .create {
                let system = changed.object["metadata"]
                changed.object = tree
                for field in ["uid", "creationTimestamp", "namespace"] {
                    changed.object["metadata"].setMember(field, system[field])
                }
                if (tree["metadata"]["name"].string ?? "").isEmpty {
                    changed.object["metadata"]["name"] = system["name"]
                } else if changed.isNameGenerated {
                    changed.key.name = tree["metadata"]["name"].string ?? ""
                    changed.isNameGenerated = false
                }
            } else {
                changed.object = tree
            }
            try settle(&changed)
            return HookedRequest(changed, in: self, isSettled: false).object
        }
        request = changed
    }

    /// Admission of what is written to a subresource of another kind: a binding, an eviction, a request for a token.
    func admitPosted(
        _ body: inout JSON, _ resource: ResourceDefinition, _ key: ObjectKey, kind: GroupVersionKind,
        subresource: String, context: RequestContext
    ) async throws {
        guard let hooks = dynamic.hooks else { return }
        var request = HookedRequest(
            .create, resource, kind: kind, subresource: subresource, key: key, object: body,
            options: HookedRequest.createOptions(context), context: context, isDryRun: context.isDryRun,
            catalog: catalog)
        var rounds = Reinvocation()
        try await dynamic.mutate(&request, hooks, &rounds, in: self) { $0 }
        if rounds.isNeeded {
            rounds.ended(with: request.object)
            rounds.beginSecond(with: request.object)
            try await dynamic.mutate(&request, hooks, &rounds, in: self) { $0 }
        }
        body = request.object
        try await dynamic.validate(request, hooks, in: self)
    }

    /// Admission of a connection: exec, attach, port-forward, proxy.
    /// - Parameter options: for example a `PodExecOptions`.
    public func admitConnection(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String, options: JSON, context: RequestContext
    ) async throws {
        guard let hooks = dynamic.hooks else { return }
        let kind = GroupVersionKind(
            apiVersion: options["apiVersion"].string ?? "", kind: options["kind"].string ?? "")
        var request = HookedRequest(
            .connect, resource, kind: kind, subresource: subresource, key: key, object: options, context: context,
            isDryRun: false, catalog: catalog)
        var rounds = Reinvocation()
        try await dynamic.mutate(&request, hooks, &rounds, in: self) { $0 }
        try await dynamic.validate(request, hooks, in: self)
    }
}
