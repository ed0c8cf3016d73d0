import ArgumentParser

/// What every server takes, as it is written on the command line.
struct ServingOptions: ParsableArguments {
    @Option(help: "Also write the administrator's kubeconfig to this file (APUS_KUBECONFIG).")
    var kubeconfig: String?
    @Option(help: "Port of the Kubernetes API, default 6443 (APUS_PORT).")
    var port: Int?
    @Option(help: "Address the Kubernetes API listens on (TLS, authenticated), default all (APUS_BIND_ADDRESS).")
    var bindAddress: String?
    @Option(
        name: .customLong("node-ip"), help: "Address of this machine, default that of the default route (APUS_NODE_IP)."
    )
    var nodeIp: String?
    @Option(help: "Addresses of pods, default 10.244.0.0/16 or the next free (APUS_POD_CIDR).")
    var podCidr: String?
    @Option(help: "Addresses of services, default 10.96.0.0/12 or the next free (APUS_SERVICE_CIDR).")
    var serviceCidr: String?
    @Option(help: "trace, debug, info, notice, warning or error; default warning (APUS_LOG_LEVEL).")
    var logLevel: String?
}

/// What this machine takes as a node.
struct NodeOptions: ParsableArguments {
    @Option(help: "Name of this node, default the host name (APUS_NODE_NAME).")
    var nodeName: String?
    @Option(help: "Port of the cluster's DNS server on the node's pod gateway address, default 10053 (APUS_DNS_PORT).")
    var dnsPort: Int?
    @Option(help: "Use the containerd behind this socket instead of an own one (APUS_CONTAINERD).")
    var containerd: String?
    @Option(help: "Port of the ingress for HTTP, needs haproxy; default 0: not served (APUS_INGRESS_HTTP_PORT).")
    var ingressHttpPort: Int?
    @Option(help: "Port of the ingress for HTTPS, needs haproxy; default 0: not served (APUS_INGRESS_HTTPS_PORT).")
    var ingressHttpsPort: Int?
    @Option(
        help: """
            What is kept free before pods are evicted, for example memory.available<100Mi,nodefs.available<10% \
            (APUS_EVICTION_HARD).
            """)
    var evictionHard: String?
}

/// The plain HTTP windows for Mesos frameworks and Marathon.
struct WindowOptions: ParsableArguments {
    @Option(help: "Port of the Mesos master API, default 5050, 0 for none (APUS_MESOS_PORT).")
    var mesosPort: Int?
    @Option(help: "Port of the Mesos agent API, default 5051, 0 for none (APUS_MESOS_AGENT_PORT).")
    var mesosAgentPort: Int?
    @Option(help: "Port of Marathon, default 8080, 0 for none (APUS_MARATHON_PORT).")
    var marathonPort: Int?
    @Option(help: "Port of Metronome, default 9000, 0 for none (APUS_METRONOME_PORT).")
    var metronomePort: Int?
    @Option(help: "Port of Chronos, default 4400, 0 for none (APUS_CHRONOS_PORT).")
    var chronosPort: Int?
    @Option(help: "Port of the Mesos DNS API, default 8123, 0 for none (APUS_MESOS_DNS_PORT).")
    var mesosDnsPort: Int?
    @Option(help: "Address of these six, default 127.0.0.1; beyond it credentials are needed (APUS_WINDOWS_ADDRESS).")
    var windowsAddress: String?
    @Option(help: "Who may use these six: a line `principal secret` each, or Mesos's JSON (APUS_CREDENTIALS).")
    var credentials: String?

    func port(_ window: WindowName) -> Int? {
        switch window {
        case .mesos: mesosPort
        case .mesosAgent: mesosAgentPort
        case .marathon: marathonPort
        case .metronome: metronomePort
        case .chronos: chronosPort
        case .mesosDNS: mesosDnsPort
        }
    }
}

/// `apus up`: the whole cluster on this machine, in the foreground.
struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a cluster on this machine, or take up the one that the data directory holds.",
        discussion: """
            Runs in the foreground. SIGTERM stops the server gracefully; workloads and services go on in any case, and \
            the next `apus up` adopts them. `apus down` ends the workloads too.
            """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var options: ServingOptions
    @OptionGroup var node: NodeOptions
    @OptionGroup var windows: WindowOptions

    func run() async throws {
        try Preflight.requireRoot()
        try await ServerRun(
            cluster: cluster, options: options, node: node, windows: windows, parts: Set(ClusterPart.allCases)
        ).run()
    }
}
