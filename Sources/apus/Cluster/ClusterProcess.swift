import APIMachinery
import APIServer
import ClusterClient
import ClusterDNS
import ContainerRuntime
import Controllers
import Ledger
import Logging
import NodeAgent
import ObjectModel
import Scheduler
import Security
import ServiceLifecycle
import ServiceNetwork
import Store
import Webhooks

/// The whole cluster in one process: makes every component, joins them, and names what runs.
///
/// Components reach the cluster through `ClusterClient` only; here its transport is a function call.
struct ClusterProcess: Sendable {
    let plan: ClusterPlan
    let store: SQLiteStore
    let machinery: Machinery
    let services: [any Service]
    let readiness: Readiness
    let server: APIServer
    /// Nil when this machine is no node.
    let containerd: ContainerdSupervisor?

    /// Opens the store and starts the API machinery; everything else starts when the services run.
    static func start(_ plan: ClusterPlan, logger: Logger) async throws -> ClusterProcess {
        let identity = plan.identity
        let pki = try ClusterPKI.loadOrCreate(directory: plan.data.sub("pki"))
        try writeKubeconfigs(plan, pki)

        let storeFolder = plan.data.sub("store")
        try plan.data.makeDirectory(storeFolder)
        let store = try await SQLiteStore.open(path: "\(storeFolder)/cluster.db", logger: logger)
        let issuerURL = "https://kubernetes.default.svc.cluster.local"
        let issuer = TokenIssuer(key: pki.tokenKey, issuer: issuerURL, audiences: [issuerURL])

        var configuration = Machinery.Configuration()
        configuration.serviceCIDR = identity.serviceCIDR
        configuration.apiEndpoint = .init(address: identity.nodeIP, port: identity.port)
        configuration.dnsEndpoint = .init(address: identity.gatewayAddress, port: identity.dnsPort)
        configuration.clientCA = pki.authority.certificatePEM
        configuration.requestHeaderCA = pki.frontProxyAuthority.certificatePEM
        configuration.tokenIssuer = ClusterTokenIssuer(issuer: issuer)
        configuration.secrets = pki.secretBox
        configuration.bootstrapRBAC = DefaultRoles.all + WindowAuthorizer.defaults
        configuration.webhooks = WebhookClient(logger: logger)
        let roles = RBACAuthorizer()
        configuration.roles = roles
        let machinery = try Machinery(store: store, configuration: configuration, logger: logger)
        try await machinery.start()
        try await WindowKinds.ensure(
            ClusterClient(transport: LocalTransport(machinery: machinery, user: .system), component: "apus"))

        func client(_ component: String) -> ClusterClient {
            ClusterClient(transport: LocalTransport(machinery: machinery, user: .system), component: component)
        }
        let node =
            plan.parts.contains(.node) ? try NodeServices.make(plan, client: client, logger: logger) : nil
        let authorizer = ClusterAuthorizer(roles: roles, client: client("authorizer"), logger: logger)
        var controllerConfiguration = ControllerConfiguration(
            caCertificatePEM: pki.authority.certificatePEM, podCIDR: identity.podCIDR)
        controllerConfiguration.credentials = ClusterCredentials(
            authorizer: authorizer, signer: ClusterSigner(authority: pki.authority), issuer: issuer)
        controllerConfiguration.clusterInfo = Kubeconfig.clusterInfo(
            server: "https://\(identity.nodeIP):\(identity.port)", ca: pki.authority.certificatePEM)
        let nodes = FixedNodes(node.map { [$0.name: $0.agent] } ?? [:])
        /// For what looks at how much pods use.
        func meteringClient(_ component: String) -> ClusterClient {
            ClusterClient(
                transport: MetricsTransport(base: LocalTransport(machinery: machinery, user: .system), nodes: nodes),
                component: component)
        }
        let controllers = ControllerManager(
            client: meteringClient("kube-controller-manager"),
            configuration: controllerConfiguration, logger: logger)
        // Who holds what on which node: one truth for pods and offers.
        let ledger = Ledger()
        let scheduler = SchedulerService(
            client: client("default-scheduler"), ledger: ledger, heedsRoles: true, logger: logger)
        let windows = Windows.make(
            plan, ledger: ledger, node: node, access: WindowAuthorizer.access(authorizer),
            client: meteringClient, logger: logger)

        let ingress = try Self.ingress(plan, pki, client("ingress"), logger: logger)
        var monitored: [Monitored] = []
        if plan.parts.contains(.controllers) { monitored.append(Monitored("controllers", controllers)) }
        if plan.parts.contains(.scheduler) { monitored.append(Monitored("scheduler", scheduler)) }
        let readiness = Readiness(
            client: client("apus"), node: node, authorizer: authorizer, monitored: monitored,
            windows: windows.listeners)
        let server = APIServer(
            configuration: try serverConfiguration(plan, pki, issuerURL, readiness), backend: machinery,
            authenticator: ClusterAuthenticator(
                verifier: TokenVerifier(
                    keys: [pki.tokenKey.publicKey], issuers: [issuerURL], audiences: [issuerURL]),
                transport: LocalTransport(machinery: machinery, user: .system)),
            authorizer: authorizer, nodes: nodes, logger: logger)

        // Stopped from the last to the first: the node and the network before the API they speak to.
        var services: [any Service] = [machinery, authorizer, server]
        services += node?.runtimes ?? []
        services += monitored as [any Service]
        services += windows.services
        services += node?.services ?? []
        services += ingress
        return ClusterProcess(
            plan: plan, store: store, machinery: machinery, services: services, readiness: readiness,
            server: server, containerd: node?.containerd)
    }

    /// The ingress, when a port was given for it. Its balancer outlives this process, so one that is not wanted any more is
    /// ended here.
    private static func ingress(
        _ plan: ClusterPlan, _ pki: ClusterPKI, _ client: ClusterClient, logger: Logger
    ) throws -> [any Service] {
        guard plan.parts.contains(.node) else { return [] }
        guard plan.ingressHTTPPort > 0 || plan.ingressHTTPSPort > 0 else {
            BalancerProcess(directory: plan.data.ingress).stop()
            return []
        }
        let identity = plan.identity
        let certificate = try pki.serverCertificate(
            names: [identity.nodeName], addresses: [identity.nodeIP].compactMap { IPAddress($0) })
        let configuration = IngressConfiguration(
            httpPort: plan.ingressHTTPPort, httpsPort: plan.ingressHTTPSPort, address: identity.nodeIP,
            directory: plan.data.ingress, certificate: certificate.certificatePEM + certificate.privateKeyPEM)
        return [IngressService(configuration: configuration, client: client, logger: logger)]
    }

    private static func writeKubeconfigs(_ plan: ClusterPlan, _ pki: ClusterPKI) throws {
        let admin = try pki.adminCertificate()
        let text = Kubeconfig.admin(
            server: plan.server, ca: pki.authority.certificatePEM, certificate: admin.certificatePEM,
            key: admin.privateKeyPEM)
        for path in [plan.data.sub("pki/admin.kubeconfig"), plan.kubeconfig].compactMap({ $0 }) {
            try ClusterPKI.writePrivateFile(path, text)
        }
    }

    private static func serverConfiguration(
        _ plan: ClusterPlan, _ pki: ClusterPKI, _ issuerURL: String, _ readiness: Readiness
    ) throws -> APIServerConfiguration {
        let identity = plan.identity
        let addresses = [identity.nodeIP, identity.serviceAddress(1), identity.gatewayAddress, plan.bindAddress]
        let certificate = try pki.serverCertificate(
            names: [identity.nodeName],
            addresses: addresses.compactMap { IPAddress($0) }.filter { !$0.isUnspecified })
        var configuration = APIServerConfiguration(
            bindAddress: plan.bindAddress, port: identity.port, certificateChainPEM: certificate.certificatePEM,
            privateKeyPEM: certificate.privateKeyPEM, clientAuthorityPEM: pki.authority.certificatePEM)
        configuration.advertiseAddress = "\(identity.nodeIP):\(identity.port)"
        configuration.gitVersion = ApusVersion.kubernetes
        configuration.healthChecks = readiness.checks
        configuration.extraMetrics = [{ QueueMetrics.shared.text() }]
        let keySet = TokenDiscovery.keySet([pki.tokenKey.publicKey]).encoded()
        let discovery = TokenDiscovery.configuration(
            issuer: issuerURL, keysURL: "https://\(configuration.advertiseAddress)/openid/v1/jwks"
        ).encoded()
        configuration.keySet = { keySet }
        configuration.openIDConfiguration = { discovery }
        return configuration
    }
}
