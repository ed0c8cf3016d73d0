import ClusterClient
import JSON
import ObjectModel

/// Removes bootstrap tokens when they expire, and signs `kube-public/cluster-info` with those that are for it: who knows
/// a token can tell that the cluster's address and certificate there are genuine.
struct BootstrapTokenController: Controller {
    private static let namespace = "kube-system"
    private static let info = ObjectKey(namespace: "kube-public", name: "cluster-info")
    private static let signaturePrefix = "jws-kubeconfig-"
    /// Stands for the config map on the queue; tokens stand for themselves.
    private static let signing = ObjectKey(name: "")

    private let context: ControllerContext
    private let credentials: any CredentialAuthority
    private let secrets: Informer<Object>
    private let maps: Informer<Object>
    private let loop: ReconcileLoop

    init(_ context: ControllerContext, _ credentials: any CredentialAuthority) {
        self.context = context
        self.credentials = credentials
        let logger = context.logger(for: "bootstrap-token-controller")
        let secrets = Informer(
            .secrets, client: context.client, namespace: Self.namespace,
            options: ListOptions(type: "bootstrap.kubernetes.io/token"), logger: logger
        ) { $0 }
        let byName = FieldSelector([
            FieldSelector.Requirement(field: "metadata.name", value: Self.info.name, isEqual: true)
        ])
        let maps = Informer(
            .configMaps, client: context.client, namespace: Self.info.namespace,
            options: ListOptions(fieldSelector: byName), logger: logger
        ) { $0 }
        self.secrets = secrets
        self.maps = maps
        let loop = ReconcileLoop(
            workers: 1, logger: logger,
            prepare: {
                await secrets.waitUntilSynced()
                await maps.waitUntilSynced()
            }, resync: { secrets.keys + [Self.signing] })
        self.loop = loop
        secrets.subscribe { event in
            if let new = event.versions.new { loop.queue.add(new.key) }
            loop.queue.add(Self.signing)
        }
        maps.subscribe { _ in loop.queue.add(Self.signing) }
        loop.queue.add(Self.signing)
    }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await secrets.run() }
            group.addTask { try? await maps.run() }
            group.addTask {
                await loop.run { key in
                    if key == Self.signing { try await sign() } else { try await expire(key) }
                }
            }
        }
    }

    private func expire(_ key: ObjectKey) async throws {
        guard let secret = secrets[key], !secret.metadata.isTerminating,
            let end = credentials.bootstrapToken(secret.tree)?.expiration
        else { return }
        let left = end - Timestamp.now
        if left > .zero {
            // Looked at again within ten minutes anyway.
            if left < .seconds(600) { loop.queue.add(key, after: left + .milliseconds(10)) }
            return
        }
        try await context.client.deleteExactly(.secrets, key, uid: secret.uid)
    }

    private func sign() async throws {
        guard let map = maps[Self.info] else {
            let text = context.configuration.clusterInfo
            if text.isEmpty { return }
            try await context.client.create(
                .configMaps,
                [
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": ["name": .string(Self.info.name), "namespace": .string(Self.info.namespace)],
                    "data": ["kubeconfig": .string(text)],
                ])
            return
        }
        guard !map.metadata.isTerminating, let text = map.tree["data"]["kubeconfig"].string else { return }
        var tree = map.tree
        for (key, _) in map.tree["data"].members where key.hasPrefix(Self.signaturePrefix) {
            tree["data"].removeMember(key)
        }
        for secret in secrets.all where !secret.metadata.isTerminating {
            guard let token = credentials.bootstrapToken(secret.tree), let sign = token.sign,
                token.expiration.map({ Timestamp.now < $0 }) ?? true
            else { continue }
            tree["data"][Self.signaturePrefix + token.id] = .string(sign(text))
        }
        if tree != map.tree { try await context.client.update(.configMaps, tree) }
    }
}
