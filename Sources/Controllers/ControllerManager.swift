public import ClusterClient
public import Logging
import ObjectModel
public import ServiceLifecycle

/// Runs all controllers over one set of informers. See README.md in this folder.
public struct ControllerManager: Service {
    private let client: ClusterClient
    private let configuration: ControllerConfiguration
    private let logger: Logger

    /// - Parameter client: its component should be `kube-controller-manager`, the field manager of all writes.
    public init(client: ClusterClient, configuration: ControllerConfiguration, logger: Logger) {
        self.client = client
        self.configuration = configuration
        self.logger = logger
    }

    /// Runs until graceful shutdown or cancellation. With a leader election identity, waits for the lease first and
    /// starts over with fresh caches whenever it was lost and won again.
    public func run() async throws {
        try await cancelWhenGracefulShutdown {
            guard let identity = configuration.leaderElectionIdentity else { return try await work() }
            let elector = LeaderElector(
                client: client, lease: ObjectKey(namespace: "kube-system", name: "kube-controller-manager"),
                identity: identity, logger: logger)
            try await elector.run { try await work() }
        }
    }

    private func work() async throws {
        let context = ControllerContext(
            client: client, informers: SharedInformers(client: client, logger: logger),
            recorder: EventRecorder(client: client, logger: logger), configuration: configuration, logger: logger)
        // Controllers subscribe when they are made, so all are made before the first informer runs.
        let controllers = Self.controllers(context)
        await withTaskGroup(of: Void.self) { group in
            for informer in context.informers.runnable { group.addTask { try? await informer.run() } }
            group.addTask { try? await context.recorder.run() }
            for controller in controllers { group.addTask { await controller.run() } }
        }
    }

    static func controllers(_ context: ControllerContext) -> [any Controller] {
        var controllers: [any Controller] = [
            NamespaceController(context), NamespaceDefaultsController(context), DeploymentController(context),
            ReplicaSetController(replicaSets: context), ReplicaSetController(replicationControllers: context),
            EndpointSliceController(context), EndpointsController(context), EndpointMirroringController(context),
            GarbageCollector(context), PodGarbageController(context), NodeLifecycleController(context),
            TaintEvictionController(context), StatefulSetController(context), DaemonSetController(context),
            JobController(context), DisruptionController(context), ClusterRoleAggregation(context),
            VolumeProtection(claims: context), VolumeProtection(volumes: context),
            VolumeProtection(classes: context),
            CronJobController(context), AutoscalingController(context), VolumeBinder(context), EphemeralClaims(context),
        ]
        if let addresses = NodeAddressController(context) { controllers.append(addresses) }
        if let credentials = context.configuration.credentials {
            controllers += [
                CertificateController(context, credentials), AccountTokenController(context, credentials),
                BootstrapTokenController(context, credentials),
            ]
        }
        return controllers
    }
}
