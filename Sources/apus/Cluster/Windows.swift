import Chronos
import ClusterClient
import ClusterDNS
import HTTPWindow
import Ledger
import Logging
import Marathon
import MesosAgent
import MesosMaster
import Metronome
import ServiceLifecycle

/// What is served beside the Kubernetes API on the same nodes: Mesos, Marathon, and names for them.
///
/// Every window is a projection of objects in the store; it holds nothing that a restart would lose.
struct Windows: Sendable {
    private(set) var services: [any Service] = []
    /// Those of `services` that listen, under the names that health checks give them.
    private(set) var listeners: [(name: String, window: Window)] = []

    /// - Parameters:
    ///   - client: makes a client for the component of that name.
    ///   - ledger: what the scheduler uses, too: offers and pods never meet.
    ///   - node: this machine as a node; nil when it is none.
    ///   - access: who may do what in the windows.
    static func make(
        _ plan: ClusterPlan, ledger: Ledger, node: NodeServices?, access: WindowAccess,
        client: (String) -> ClusterClient, logger: Logger
    ) -> Windows {
        var windows = Windows()
        let address = plan.windows.address
        var agent: MesosAgent?
        var agentWindow: Window.Handler?
        if let node, var window = plan.windows.configuration(.mesosAgent) {
            var configuration = MesosAgent.Configuration(
                nodeName: node.name, address: address == "0.0.0.0" ? plan.identity.nodeIP : address,
                port: window.port, dataDirectory: plan.data.path)
            configuration.version = ApusVersion.mesos
            configuration.credentials = window.credentials
            window.openPaths = MesosAgent.openPaths
            let made = MesosAgent(
                configuration, client: client("mesos-agent"), node: node.agent,
                engine: ContainerEngine(
                    kill: { [agent = node.agent] in try await agent.kill($0) },
                    pruneImages: { [agent = node.agent] in await agent.pruneImages(keeping: $0) },
                    systemTimes: { [agent = node.agent] in await agent.systemTimes(ofPods: $0) }),
                usage: { [containers = node.containers] in try await containers.containerStats() }, logger: logger)
            let handler: Window.Handler = { request in
                try await access.requireOfAgent(request)
                return try await made.handle(request)
            }
            windows.services.append(made)
            windows.listen(.mesosAgent, Window(window, logger: logger, handler: handler))
            agent = made
            agentWindow = handler
        }
        // Whoever balances over a window asks without credentials, as at the originals.
        let pingPaths: Set<String> = ["/ping"]
        var front: Routes?
        if var window = plan.windows.configuration(.mesos) {
            let own = address == "0.0.0.0" ? plan.identity.nodeIP : address
            var configuration = Master.Configuration(
                address: own, port: window.port, hostname: plan.identity.nodeName, version: ApusVersion.mesos,
                agentPort: plan.windows.ports[.mesosAgent] ?? WindowName.mesosAgent.standardPort,
                volumesDirectory: plan.data.sub("mesos/volumes"))
            configuration.access = access
            configuration.credentials = window.credentials
            let master = Master(
                configuration: configuration,
                client: client("mesos-master"), ledger: ledger, logger: logger)
            agent?.connect(master)
            if let agent { master.connect(agent) }
            let served: [(WindowName, DCOSPaths.Unit)] = [
                (.mesos, .init("dcos-mesos-master.service", "Mesos Master")),
                (.mesosAgent, .init("dcos-mesos-slave.service", "Mesos Agent")),
                (.marathon, .init("dcos-marathon.service", "Marathon")),
                (.metronome, .init("dcos-metronome.service", "Jobs Service")),
                (.mesosDNS, .init("dcos-mesos-dns.service", "Mesos DNS")),
            ]
            DCOSPaths(
                credentials: window.credentials, clusterID: plan.identity.clusterID, address: own,
                hostname: plan.identity.nodeName,
                units: served.filter { plan.windows.configuration($0.0) != nil }.map(\.1)
            ).register(at: master.routes)
            if let agentWindow { DCOSPaths.mountAgent(master.routes, agentWindow) }
            window.openPaths = DCOSPaths.open
            front = master.routes
            windows.services.append(master)
            windows.listen(.mesos, Window(window, logger: logger) { try await master.answer($0) })
        }
        if var window = plan.windows.configuration(.marathon) {
            window.openPaths = pingPaths
            let marathon = Marathon(
                configuration: .init(
                    address: address, port: window.port, hostname: plan.identity.nodeName,
                    master: "\(address):\(plan.windows.ports[.mesos] ?? WindowName.mesos.standardPort)",
                    pagePort: front == nil ? nil : plan.windows.ports[.mesos]),
                access: access, client: client("marathon"), logger: logger)
            let handler: Window.Handler = { await marathon.answer($0) }
            if let front {
                for path in ["/service/marathon", "/marathon"] { DCOSPaths.mount(front, path, handler) }
            }
            windows.services.append(marathon)
            windows.listen(.marathon, Window(window, logger: logger, handler: handler))
        }
        if var window = plan.windows.configuration(.metronome) {
            window.openPaths = pingPaths
            let metronome = Metronome(
                configuration: .init(address: address, port: window.port), access: access,
                client: client("metronome"), logger: logger)
            let handler: Window.Handler = { await metronome.answer($0) }
            if let front { DCOSPaths.mount(front, "/service/metronome", handler) }
            windows.services.append(metronome)
            windows.listen(.metronome, Window(window, logger: logger, handler: handler))
        }
        if var window = plan.windows.configuration(.chronos) {
            window.openPaths = pingPaths
            let chronos = Chronos(
                configuration: .init(address: address, port: window.port), access: access, client: client("chronos"),
                logger: logger)
            let handler: Window.Handler = { await chronos.answer($0) }
            if let front { DCOSPaths.mount(front, "/service/chronos", handler) }
            windows.services.append(chronos)
            windows.listen(.chronos, Window(window, logger: logger, handler: handler))
        }
        if let names = node?.dns, let window = plan.windows.configuration(.mesosDNS) {
            if let front { DCOSPaths.mount(front, "/mesos_dns") { try await names.answer($0) } }
            windows.listen(.mesosDNS, Window(window, logger: logger) { try await names.answer($0) })
        }
        return windows
    }

    private mutating func listen(_ name: WindowName, _ window: Window) {
        services.append(window)
        listeners.append((name.component, window))
    }
}
