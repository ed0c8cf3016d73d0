import ClusterClient
import JSON
import ObjectModel

/// Fills secrets of type `kubernetes.io/service-account-token` with a token of their account, and removes them with it.
struct AccountTokenController: Controller {
    private static let nameAnnotation = "kubernetes.io/service-account.name"
    private static let uidAnnotation = "kubernetes.io/service-account.uid"

    private let context: ControllerContext
    private let credentials: any CredentialAuthority
    private let secrets: Informer<Object>
    private let loop: ReconcileLoop

    init(_ context: ControllerContext, _ credentials: any CredentialAuthority) {
        self.context = context
        self.credentials = credentials
        let logger = context.logger(for: "service-account-token-controller")
        let secrets = Informer(
            .secrets, client: context.client, options: ListOptions(type: "kubernetes.io/service-account-token"),
            logger: logger
        ) { $0 }
        self.secrets = secrets
        let accounts = context.informers.serviceAccounts
        let loop = ReconcileLoop(
            workers: 2, logger: logger,
            prepare: {
                await secrets.waitUntilSynced()
                await accounts.waitUntilSynced()
            }, resync: { secrets.keys })
        self.loop = loop
        secrets.subscribe { event in
            if let new = event.versions.new { loop.queue.add(new.key) }
        }
        accounts.subscribe { event in
            // Few secrets are of this type, and accounts seldom go.
            guard case .deleted(let account) = event else { return }
            for secret in secrets.all
            where secret.namespace == account.namespace
                && secret.tree["metadata"]["annotations"][Self.nameAnnotation].string == account.name
            {
                loop.queue.add(secret.key)
            }
        }
    }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await secrets.run() }
            group.addTask { await loop.run { try await reconcile($0) } }
        }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let secret = secrets[key], !secret.metadata.isTerminating,
            let name = secret.tree["metadata"]["annotations"][Self.nameAnnotation].string, !name.isEmpty
        else { return }
        let account = ObjectKey(namespace: key.namespace, name: name)
        // Asked of the API, not of the cache: the account may be younger than its secret's event.
        let found = try await context.client.find(.serviceAccounts, account)
        let uid = secret.tree["metadata"]["annotations"][Self.uidAnnotation].string ?? ""
        guard let found, uid.isEmpty || uid == found.uid else {
            try await context.client.deleteExactly(.secrets, key, uid: secret.uid)
            return
        }
        let data = secret.tree["data"]
        let certificate = context.configuration.caCertificatePEM
        let isComplete = ["token", "namespace"].allSatisfy { !(data[$0].string ?? "").isEmpty }
        if isComplete, !uid.isEmpty, certificate.isEmpty || !data["ca.crt"].isNull { return }
        var tree = secret.tree
        tree["metadata"]["annotations"][Self.uidAnnotation] = .string(found.uid)
        var text: JSON = ["namespace": .string(key.namespace)]
        if (data["token"].string ?? "").isEmpty {
            text["token"] = .string(try credentials.accountToken(account, uid: found.uid, secret: key.name))
        }
        if !certificate.isEmpty { text["ca.crt"] = .string(certificate) }
        tree["stringData"] = text
        try await context.client.update(.secrets, tree)
    }
}

extension ListOptions {
    /// Secrets of one type.
    init(type: String) {
        self.init(
            fieldSelector: FieldSelector([FieldSelector.Requirement(field: "type", value: type, isEqual: true)]))
    }
}
