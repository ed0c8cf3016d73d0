import ClusterClient
import JSON
import ObjectModel
import Schema

/// What every cluster has. Each step makes what is missing and repairs what must be so; all of it runs at every start.
extension Machinery {
    func bootstrap() async throws {
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            try await ensure(.namespaces, ["metadata": ["name": .string(name)]])
        }
        for priorityClass in SystemPriorityClasses.all {
            try await ensure(
                GroupVersionResource(group: "scheduling.k8s.io", version: "v1", resource: "priorityclasses"),
                [
                    "metadata": ["name": .string(priorityClass.name)], "value": JSON(priorityClass.value),
                    "description": .string(priorityClass.description),
                ])
        }
        // Plain programs of the machine: see `ProcessRuntime`.
        try await ensure(
            GroupVersionResource(group: "node.k8s.io", version: "v1", resource: "runtimeclasses"),
            ["metadata": ["name": "process"], "handler": "process"])
        try await ensure(
            GroupVersionResource(group: "networking.k8s.io", version: "v1", resource: "servicecidrs"),
            ["metadata": ["name": "kubernetes"], "spec": ["cidrs": [.string(allocator.range.description)]]])
        try await bootstrapServices()
        if !configuration.clientCA.isEmpty { try await bootstrapAuthentication() }
        // Many small writes: together they share commits.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, object) in configuration.bootstrapRBAC.enumerated() {
                if index >= 64 { try await group.next() }
                group.addTask { try await self.ensureAccess(object) }
            }
            try await group.waitForAll()
        }
    }

    /// What servers beside this one need to know its clients by, and since when tokens of accounts that are used are noted.
    private func bootstrapAuthentication() async throws {
        var data: JSON = ["client-ca-file": .string(configuration.clientCA)]
        if !configuration.requestHeaderCA.isEmpty {
            data["requestheader-client-ca-file"] = .string(configuration.requestHeaderCA)
            data["requestheader-allowed-names"] = #"["front-proxy-client"]"#
            data["requestheader-username-headers"] = #"["X-Remote-User"]"#
            data["requestheader-group-headers"] = #"["X-Remote-Group"]"#
            data["requestheader-extra-headers-prefix"] = #"["X-Remote-Extra-"]"#
        }
        let known = data
        try await reconcile(
            .configMaps,
            ["metadata": ["name": "extension-apiserver-authentication", "namespace": "kube-system"], "data": data]
        ) { tree in
            for (key, value) in known.members { tree["data"][key] = value }
        }
        try await ensure(
            .configMaps,
            [
                "metadata": [
                    "name": "kube-apiserver-legacy-service-account-token-tracking", "namespace": "kube-system",
                ],
                "data": ["since": .string(String(Timestamp.now.rfc3339.prefix(10)))],
            ])
    }

    private func bootstrapServices() async throws {
        try await ensure(
            .services,
            [
                "metadata": [
                    "name": "kubernetes", "namespace": "default",
                    "labels": ["component": "apiserver", "provider": "kubernetes"],
                ],
                "spec": [
                    "type": "ClusterIP", "clusterIP": .string(allocator.apiAddress), "sessionAffinity": "None",
                    "ports": [
                        [
                            "name": "https", "protocol": "TCP", "port": 443,
                            "targetPort": JSON(configuration.apiEndpoint?.port ?? 6443),
                        ]
                    ],
                ],
            ])
        if let endpoint = configuration.apiEndpoint {
            try await publish(
                endpoint, service: ObjectKey(namespace: "default", name: "kubernetes"),
                ports: [("https", "TCP", endpoint.port)])
        }
        try await ensure(
            .services,
            [
                "metadata": [
                    "name": "kube-dns", "namespace": "kube-system",
                    "labels": [
                        "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
                    ],
                ],
                "spec": [
                    "type": "ClusterIP", "clusterIP": .string(allocator.dnsAddress),
                    "ports": [
                        [
                            "name": "dns", "protocol": "UDP", "port": 53,
                            "targetPort": JSON(configuration.dnsEndpoint?.port ?? 53),
                        ],
                        [
                            "name": "dns-tcp", "protocol": "TCP", "port": 53,
                            "targetPort": JSON(configuration.dnsEndpoint?.port ?? 53),
                        ],
                    ],
                ],
            ])
        if let endpoint = configuration.dnsEndpoint {
            try await publishDNS(endpoint)
        }
    }

    /// Says where the cluster's DNS answers: the endpoints of `kube-system/kube-dns`.
    public func publishDNS(_ endpoint: Endpoint) async throws {
        try await publish(
            endpoint, service: ObjectKey(namespace: "kube-system", name: "kube-dns"),
            ports: [("dns", "UDP", endpoint.port), ("dns-tcp", "TCP", endpoint.port)])
    }

    /// Endpoints and endpoint slice of a service without a selector.
    private func publish(_ endpoint: Endpoint, service: ObjectKey, ports: [(name: String, proto: String, port: Int)])
        async throws
    {
        let family = IPAddress(endpoint.address)?.family.rawValue ?? "IPv4"
        let slicePorts = JSON.array(
            ports.map { ["name": .string($0.name), "port": JSON($0.port), "protocol": .string($0.proto)] })
        let metadata: JSON = ["name": .string(service.name), "namespace": .string(service.namespace)]
        // Node-local addresses are refused in Endpoints, as they are in Kubernetes; the slice alone serves then.
        if let ip = IPAddress(endpoint.address), !ip.isLoopback {
            var labelled = metadata
            labelled["labels"] = ["endpointslice.kubernetes.io/skip-mirror": "true"]
            let subsets: JSON = [["addresses": [["ip": .string(endpoint.address)]], "ports": slicePorts]]
            try await reconcile(.endpoints, ["metadata": labelled, "subsets": subsets]) { $0["subsets"] = subsets }
        }
        let endpoints: JSON = [
            [
                "addresses": [.string(endpoint.address)],
                "conditions": ["ready": true, "serving": true, "terminating": false],
            ]
        ]
        var labelled = metadata
        labelled["labels"] = [
            "kubernetes.io/service-name": .string(service.name),
            "endpointslice.kubernetes.io/managed-by": "apiserver.apus",
        ]
        try await reconcile(
            .endpointSlices,
            [
                "metadata": labelled, "addressType": .string(family), "endpoints": endpoints, "ports": slicePorts,
            ]
        ) { tree in
            tree["endpoints"] = endpoints
            tree["ports"] = slicePorts
        }
    }

    // MARK: Steps

    private static let context = RequestContext(user: .system, fieldManager: "kube-apiserver", fieldValidation: .ignore)

    /// Creates an object unless it is there.
    private func ensure(_ resource: GroupVersionResource, _ body: JSON) async throws {
        guard let definition = catalog.resource(resource) else { return }
        let metadata = body["metadata"]
        let key = ObjectKey(namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "")
        if cached(resource, key) != nil { return }
        do {
            _ = try await create(
                definition, namespace: key.namespace, name: key.name, subresource: nil, body: body,
                context: Self.context)
        } catch let error as StatusError where error.reason == .alreadyExists {
            return
        }
    }

    /// Creates an object, or changes the one that is there.
    private func reconcile(_ resource: GroupVersionResource, _ body: JSON, _ change: @escaping (inout JSON) -> Void)
        async throws
    {
        try await ensure(resource, body)
        guard let cache = cache(resource) else { return }
        let metadata = body["metadata"]
        let key = ObjectKey(namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "")
        _ = try await rewrite(cache, key, .object, context: Self.context) { current in
            var tree = current.tree
            change(&tree)
            return tree
        }
    }

    /// Creates a default RBAC object, or adds what it lacks; what an administrator added stays, and one whose
    /// annotation `rbac.authorization.kubernetes.io/autoupdate` is `false` is left alone.
    private func ensureAccess(_ object: JSON) async throws {
        let kind = GroupVersionKind(apiVersion: object["apiVersion"].string ?? "", kind: object["kind"].string ?? "")
        guard let resource = catalog.resource(for: kind)?.resource, let cache = cache(resource) else { return }
        try await ensure(resource, object)
        let metadata = object["metadata"]
        let key = ObjectKey(namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "")
        guard let current = cache.get(key), let wanted = Self.completed(current.tree, from: object) else { return }
        _ = try await rewrite(cache, key, .object, context: Self.context) {
            Self.completed($0.tree, from: wanted) ?? $0.tree
        }
    }

    /// Rules and subjects that are missing, added; nil when nothing is.
    static func completed(_ tree: JSON, from wanted: JSON) -> JSON? {
        if tree["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"].string == "false" {
            return Optional.none  // A bare nil would be JSON's null.
        }
        var result = tree
        for field in ["labels", "annotations"] {
            for (key, value) in wanted["metadata"][field].members where tree["metadata"][field][key].isNull {
                result["metadata"][field][key] = value
            }
        }
        let isAggregated = !tree["aggregationRule"].isNull
        for list in ["rules", "subjects"] where !(list == "rules" && isAggregated) {
            let missing = wanted[list].elements.filter { !tree[list].elements.contains($0) }
            if !missing.isEmpty { result[list] = .array(tree[list].elements + missing) }
        }
        return result == tree ? Optional.none : .some(result)
    }
}
