import APIServer
import ClusterClient
import ClusterDNS
import ContainerRuntime
import Logging
import NodeAgent
import ServiceLifecycle
import ServiceNetwork

/// What makes this machine a node: the agent on its container runtime, the service network and DNS.
struct NodeServices: Sendable {
    let name: String
    let agent: NodeAgent
    let containerd: ContainerdSupervisor
    let runtime: CRIRuntime
    let processes: ProcessRuntime
    /// Both runtimes as one.
    let containers: RuntimeRouter
    let proxy: ServiceProxy
    let dns: DNSServer

    /// The services that the others stand on.
    var runtimes: [any Service] { [containerd, runtime, processes] }
    var services: [any Service] { [proxy, NetworkFirst(agent, proxy), NetworkFirst(dns, proxy)] }

    /// - Parameter client: makes a client for the component of that name.
    static func make(
        _ plan: ClusterPlan, client: (String) -> ClusterClient, logger: Logger
    ) throws -> NodeServices {
        let identity = plan.identity
        let containerd = ContainerdSupervisor(identity.containerdSettings(plan.data), logger: logger)
        let runtime = try CRIRuntime(socketPath: containerd.settings.socketPath, logger: logger)
        let processes = ProcessRuntime(
            ProcessRuntime.Settings(dataDirectory: plan.data.path), network: runtime, logger: logger)
        var configuration = NodeAgent.Configuration(
            nodeName: identity.nodeName, nodeIP: identity.nodeIP, podCIDR: identity.nodePodCIDR,
            dataDirectory: plan.data.path, clusterID: identity.clusterID, clusterDNS: identity.serviceAddress(10))
        configuration.evictionThresholds = plan.evictionThresholds
        configuration.parseManifest = { try Manifest.parse($0) }
        let containers = RuntimeRouter(containers: runtime, processes: processes)
        let agent = NodeAgent(
            configuration: configuration, client: client("kubelet"), runtime: containers, logger: logger)
        let proxy = ServiceProxy(
            configuration: identity.networkConfiguration, client: client("kube-proxy"), logger: logger)
        let resolvers = (try? FileText.read("/etc/resolv.conf")) ?? ""
        var names = DNSConfiguration(
            address: identity.gatewayAddress, port: identity.dnsPort, domain: "cluster.local",
            hostResolvers: resolvers)
        names.mesos = MesosNamesConfiguration(
            address: identity.nodeIP, masterPort: plan.windows.ports[.mesos] ?? WindowName.mesos.standardPort,
            agentPort: plan.windows.ports[.mesosAgent] ?? WindowName.mesosAgent.standardPort,
            httpPort: plan.windows.ports[.mesosDNS] ?? WindowName.mesosDNS.standardPort, version: ApusVersion.number)
        let dns = DNSServer(
            configuration: names,
            client: client("cluster-dns"), logger: logger)
        return NodeServices(
            name: identity.nodeName, agent: agent, containerd: containerd, runtime: runtime,
            processes: processes, containers: containers, proxy: proxy, dns: dns)
    }
}

/// Starts a service once the service network is programmed: pods find their services, and DNS its address.
struct NetworkFirst: Service {
    private let service: any Service
    private let proxy: ServiceProxy

    init(_ service: any Service, _ proxy: ServiceProxy) {
        self.service = service
        self.proxy = proxy
    }

    func run() async throws {
        while !proxy.isProgrammed && !Task.isShuttingDownGracefully {
            try await Task.sleep(for: .milliseconds(10))
        }
        if Task.isShuttingDownGracefully { return }
        try await service.run()
    }
}
