import ClusterClient
import JSON
import ObjectModel

/// Keeps the objects that every living namespace has: service account `default`, and config map `kube-root-ca.crt`
/// with the certificate that pods verify the API server by.
struct NamespaceDefaultsController: Controller {
    static let accountName = "default"
    static let configMapName = "kube-root-ca.crt"

    private let context: ControllerContext
    private let loop: ReconcileLoop
    /// Only the published config maps, by a field selector.
    private let configMaps: Informer<Object>

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let selector = FieldSelector([
            FieldSelector.Requirement(field: "metadata.name", value: Self.configMapName, isEqual: true)
        ])
        let configMaps = Informer(
            .configMaps, client: context.client, options: ListOptions(fieldSelector: selector),
            logger: context.logger(for: "root-ca-certificate-publisher-controller")
        ) { $0 }
        self.configMaps = configMaps
        let loop = ReconcileLoop(
            workers: 4, logger: context.logger(for: "service-account-controller"),
            prepare: {
                await informers.namespaces.waitUntilSynced()
                await informers.serviceAccounts.waitUntilSynced()
                await configMaps.waitUntilSynced()
            },
            resync: { informers.namespaces.keys })
        self.loop = loop
        informers.namespaces.subscribe { event in
            if let new = event.versions.new { loop.queue.add(new.key) }
        }
        informers.serviceAccounts.subscribe { event in
            if case .deleted(let account) = event, account.name == Self.accountName {
                loop.queue.add(ObjectKey(name: account.namespace))
            }
        }
        configMaps.subscribe { event in
            if let map = event.versions.new ?? event.versions.old { loop.queue.add(ObjectKey(name: map.namespace)) }
        }
    }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await configMaps.run() }
            group.addTask { await loop.run { try await reconcile($0) } }
        }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let namespace = context.informers.namespaces[key], !namespace.metadata.isTerminating else { return }
        do {
            let account = ObjectKey(namespace: key.name, name: Self.accountName)
            if context.informers.serviceAccounts[account] == nil {
                try await createIfAbsent(
                    .serviceAccounts,
                    [
                        "apiVersion": "v1", "kind": "ServiceAccount",
                        "metadata": ["name": .string(account.name), "namespace": .string(account.namespace)],
                    ])
            }
            try await publishCertificate(in: key.name)
        } catch let error as StatusError where error.isNamespaceTerminating || error.reason == .notFound {
            return
        }
    }

    private func publishCertificate(in namespace: String) async throws {
        let pem = context.configuration.caCertificatePEM
        guard !pem.isEmpty else { return }
        let key = ObjectKey(namespace: namespace, name: Self.configMapName)
        let data: JSON = ["ca.crt": .string(pem)]
        guard let current = configMaps[key] else {
            let description =
                "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as "
                + "the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions "
                + "of Kubernetes clusters."
            try await createIfAbsent(
                .configMaps,
                [
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": [
                        "name": .string(key.name), "namespace": .string(key.namespace),
                        "annotations": ["kubernetes.io/description": .string(description)],
                    ],
                    "data": data,
                ])
            return
        }
        var tree = current.tree
        guard tree["data"] != data else { return }
        tree["data"] = data
        try await context.client.update(.configMaps, tree)
    }

    private func createIfAbsent(_ resource: GroupVersionResource, _ object: JSON) async throws {
        do {
            try await context.client.create(resource, object)
        } catch let error as StatusError where error.reason == .alreadyExists {
            return
        }
    }
}
