import ClusterClient
import JSON
import ObjectModel

/// Certificate signing requests: approves those of node agents that may ask for themselves, certifies what was
/// approved, and removes old requests.
struct CertificateController: Controller {
    private let context: ControllerContext
    private let credentials: any CredentialAuthority
    private let requests: Informer<Object>
    private let loop: ReconcileLoop

    init(_ context: ControllerContext, _ credentials: any CredentialAuthority) {
        self.context = context
        self.credentials = credentials
        let logger = context.logger(for: "certificate-controller")
        let requests = Informer(.certificateRequests, client: context.client, logger: logger) { $0 }
        self.requests = requests
        let loop = ReconcileLoop(
            workers: 2, logger: logger, prepare: { await requests.waitUntilSynced() }, resync: { requests.keys })
        self.loop = loop
        requests.subscribe { event in
            if let new = event.versions.new { loop.queue.add(new.key) }
        }
    }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await requests.run() }
            group.addTask { await loop.run { try await reconcile($0) } }
        }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        guard let request = requests[key], !request.metadata.isTerminating else { return }
        let state = RequestState(request.tree)
        if state.isOver(created: request.metadata.creationTimestamp, now: .now) {
            try await context.client.deleteExactly(.certificateRequests, key, uid: request.uid)
            return
        }
        if state.isSettled { return }
        var tree = request.tree
        guard state.isApproved else {
            guard let message = await credentials.automaticApproval(of: tree) else { return }
            var conditions = Conditions(tree["status"]["conditions"])
            conditions.set(
                "Approved", "True", reason: "AutoApproved", message: message, now: .now, tracksUpdates: true)
            tree["status"].setMember("conditions", conditions.json)
            try await context.client.update(.certificateRequests, tree, subresource: "approval")
            return
        }
        do {
            guard let certificate = try credentials.certificate(for: tree) else { return }
            tree["status"]["certificate"] = .string(certificate)
        } catch let refusal as CredentialRefusal {
            var conditions = Conditions(tree["status"]["conditions"])
            conditions.set(
                "Failed", "True", reason: "SignerValidationFailure", message: refusal.description, now: .now,
                tracksUpdates: true)
            tree["status"].setMember("conditions", conditions.json)
        }
        try await context.client.update(.certificateRequests, tree, subresource: "status")
    }
}

/// Where a request stands.
struct RequestState: Sendable, Equatable {
    let isApproved: Bool
    /// Nothing is left to do: denied, failed, or certified.
    let isSettled: Bool
    /// When the last verdict was made.
    private let decided: Timestamp?

    /// Requests that were decided are kept this long, for those who want to see why.
    private static let decidedLifetime = Duration.seconds(3600)
    private static let pendingLifetime = Duration.seconds(24 * 3600)

    init(_ request: JSON) {
        let status = request["status"]
        let conditions = Conditions(status["conditions"])
        func has(_ type: String) -> Bool { conditions[type].map { $0["status"].string != "False" } ?? false }
        isApproved = has("Approved")
        isSettled = has("Denied") || has("Failed") || !(status["certificate"].string ?? "").isEmpty
        decided = ["Approved", "Denied", "Failed"].compactMap { type in
            let condition = conditions[type] ?? .null
            return (condition["lastUpdateTime"].string ?? condition["lastTransitionTime"].string).flatMap(
                Timestamp.init)
        }.max()
    }

    /// True when a request was kept long enough.
    func isOver(created: Timestamp?, now: Timestamp) -> Bool {
        if isApproved || isSettled { return decided.map { $0 + Self.decidedLifetime < now } ?? false }
        return created.map { $0 + Self.pendingLifetime < now } ?? false
    }
}
