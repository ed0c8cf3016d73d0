import ClusterClient
import JSON
import ObjectModel
import Schema

extension Machinery {
    /// Subresources that are created: they do something and answer with something else.
    func post(
        _ resource: ResourceDefinition, _ key: ObjectKey, subresource: String, body: JSON, context: RequestContext
    ) async throws -> WriteResult {
        guard let kind = resource.subresource(subresource)?.kind else { throw noSubresource(resource, subresource) }
        var read = try read(body, as: kind, context: context)
        try NodeRestriction.post(subresource, key, read, context, in: self)
        try await admitPosted(&read, resource, key, kind: kind, subresource: subresource, context: context)
        switch (resource.resource.resource, subresource) {
        case ("pods", "binding"): return try await bind(key, read, context: context)
        case ("pods", "eviction"): return try await evict(key, read, context: context)
        case ("serviceaccounts", "token"): return try await issueToken(key, read, context: context)
        default:
            throw StatusError.methodNotAllowed(
                "create is not supported on subresource \"\(subresource)\" of \(resource.resource.groupResource)")
        }
    }

    /// `Status: Success`, as the answer of what makes no object.
    static func success(code: Int) -> WriteResult {
        WriteResult(
            object: Object([
                "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": JSON(code),
            ]),
            isCreated: true)
    }

    // MARK: Binding

    /// Puts a pod on a node, for good.
    private func bind(_ key: ObjectKey, _ binding: JSON, context: RequestContext) async throws -> WriteResult {
        let group = GroupVersionResource.pods.groupResource
        guard let cache = cache(.pods) else { throw StatusError.notFound(group, name: key.name) }
        let target = binding["target"]
        let node = target["name"].string ?? ""
        var problems: [FieldError] = []
        if let kind = target["kind"].string, !kind.isEmpty, kind != "Node" {
            problems.append(.notSupported("target.kind", target["kind"], ["", "Node"]))
        }
        if node.isEmpty { problems.append(.required("target.name")) }
        if !problems.isEmpty {
            throw StatusError.invalid(
                GroupVersionKind(group: "", version: "v1", kind: "Binding"), name: key.name, problems)
        }
        let topology = cached(.nodes, ObjectKey(name: node))?.metadata.labels ?? [:]
        for _ in 0..<64 {
            guard let current = cache.get(key) else { throw StatusError.notFound(group, name: key.name) }
            var pod = current.tree
            func refuse(_ why: String) -> StatusError { .conflict(group, name: key.name, why) }
            if let uid = binding["metadata"]["uid"].string, !uid.isEmpty, uid != current.uid {
                throw refuse("Precondition failed: UID in precondition: \(uid), UID in object meta: \(current.uid)")
            }
            if current.metadata.isTerminating {
                throw refuse("pod \(key.name) is being deleted, cannot be assigned to a host")
            }
            let bound = pod["spec"]["nodeName"].string ?? ""
            if !bound.isEmpty { throw refuse("pod \(key.name) is already assigned to node \"\(bound)\"") }
            if !pod["spec"]["schedulingGates"].elements.isEmpty {
                throw refuse("pod \(key.name) has non-empty .spec.schedulingGates")
            }
            pod["spec"]["nodeName"] = .string(node)
            for part in ["annotations", "labels"] {
                for (name, value) in binding["metadata"][part].members { pod["metadata"][part][name] = value }
            }
            for name in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
                if let value = topology[name], pod["metadata"]["labels"][name].isNull {
                    pod["metadata"]["labels"][name] = .string(value)
                }
            }
            Self.setCondition(
                &pod["status"], type: "PodScheduled", status: "True", generation: current.metadata.generation)
            if context.isDryRun { return Self.success(code: 201) }
            do {
                _ = try await commitUpdate(cache, current, pod)
                return Self.success(code: 201)
            } catch let conflict as WriteConflict {
                await catchUp(conflict)
                try Task.checkCancellation()
            }
        }
        throw StatusError.conflict(group, name: key.name)
    }

    /// Sets one condition of a status; its time changes only with its status.
    static func setCondition(
        _ status: inout JSON, type: String, status value: String, reason: String = "", message: String = "",
        generation: Int = 0
    ) {
        var conditions = status["conditions"].elements
        var condition: JSON = ["type": .string(type), "status": .string(value)]
        if !reason.isEmpty { condition["reason"] = .string(reason) }
        if !message.isEmpty { condition["message"] = .string(message) }
        if generation > 0 { condition["observedGeneration"] = JSON(generation) }
        let index = conditions.firstIndex { $0["type"].string == type }
        let isSame = index.map { conditions[$0]["status"].string == value } ?? false
        condition["lastTransitionTime"] =
            isSame ? conditions[index ?? 0]["lastTransitionTime"] : .string(Timestamp.now.rfc3339)
        if let index { conditions[index] = condition } else { conditions.append(condition) }
        status["conditions"] = .array(conditions)
    }

    // MARK: Tokens

    private func issueToken(_ key: ObjectKey, _ request: JSON, context: RequestContext) async throws -> WriteResult {
        guard let issuer = configuration.tokenIssuer else {
            throw StatusError.serviceUnavailable("this server issues no service account tokens")
        }
        let group = GroupVersionResource.serviceAccounts.groupResource
        guard let account = cached(.serviceAccounts, key) else { throw StatusError.notFound(group, name: key.name) }
        let kind = GroupVersionKind(group: "authentication.k8s.io", version: "v1", kind: "TokenRequest")
        let spec = request["spec"]
        let seconds = spec["expirationSeconds"].int ?? 3600
        if seconds < 600 {
            throw StatusError.invalid(
                kind, name: "",
                [.invalid("spec.expirationSeconds", JSON(seconds), "may not specify a duration less than 10 minutes")])
        }
        if seconds > 1 << 32 {
            throw StatusError.invalid(
                kind, name: "",
                [
                    .invalid(
                        "spec.expirationSeconds", JSON(seconds), "may not specify a duration larger than 2^32 seconds")
                ])
        }
        let (bound, node) = try boundObject(spec["boundObjectRef"], key)
        let made = try await issuer.issue(
            ServiceAccountTokenRequest(
                serviceAccount: key, serviceAccountUID: account.uid,
                audiences: spec["audiences"].elements.compactMap(\.string), expirationSeconds: seconds,
                boundObject: bound,
                node: node))
        var answer = request
        answer["metadata"]["name"] = .string(key.name)
        answer["metadata"]["namespace"] = .string(key.namespace)
        answer["metadata"]["creationTimestamp"] = .string(Timestamp.now.rfc3339)
        answer["spec"]["expirationSeconds"] = JSON(seconds)
        answer["status"] = ["token": .string(made.token), "expirationTimestamp": .string(made.expiration.rfc3339)]
        return WriteResult(object: Object(answer), isCreated: true)
    }

    private func boundObject(_ reference: JSON, _ account: ObjectKey) throws
        -> (ServiceAccountTokenRequest.BoundObject?, ServiceAccountTokenRequest.BoundObject?)
    {
        if reference.isNull { return (nil, nil) }
        let name = reference["name"].string ?? ""
        let kind = reference["kind"].string ?? ""
        let resource: GroupVersionResource
        switch kind {
        case "Pod": resource = .pods
        case "Secret": resource = .secrets
        case "Node": resource = .nodes
        default:
            throw StatusError.badRequest(
                "cannot bind token for serviceaccount \"\(account.name)\" to object of kind \"\(kind)\"")
        }
        let namespace = kind == "Node" ? "" : account.namespace
        guard let object = cached(resource, ObjectKey(namespace: namespace, name: name)) else {
            throw StatusError.notFound(resource.groupResource, name: name)
        }
        if let uid = reference["uid"].string, !uid.isEmpty, uid != object.uid {
            throw StatusError.conflict(
                resource.groupResource, name: name,
                "the UID in the bound object reference (\(uid)) does not match the UID in record. The object might have "
                    + "been deleted and then recreated")
        }
        let bound = ServiceAccountTokenRequest.BoundObject(kind: kind, name: name, uid: object.uid)
        guard kind == "Pod" else { return (bound, nil) }
        let spec = object.tree["spec"]
        guard spec["serviceAccountName"].string == account.name else {
            throw StatusError.badRequest(
                "cannot bind token for serviceaccount \"\(account.name)\" to pod running with different serviceaccount name."
            )
        }
        let node = spec["nodeName"].string.flatMap { cached(.nodes, ObjectKey(name: $0)) }
        return (bound, node.map { .init(kind: "Node", name: $0.name, uid: $0.uid) })
    }
}
