/// Where one cluster's containerd lives on a machine and what it is made of. All names carry the cluster's id, so that
/// several clusters run side by side.
public struct ContainerdSettings: Sendable, Hashable {
    /// The cluster's data directory, for example `/var/lib/apus`; images and containers go to `containerd` below it.
    public var dataDirectory: String
    /// Short id of the cluster, unique on the machine: lower-case letters and digits.
    public var clusterID: String
    /// Addresses of this node's pods, for example `10.42.0.0/24`.
    public var podCIDR: String
    /// Sockets, mounts and address leases; gone after a reboot, as they should be.
    public var runDirectory: String
    /// Use this containerd, which somebody else runs, instead of an own one.
    public var externalSocket: String?
    /// Sandboxes with these labels are ours when `externalSocket` is shared with others.
    public var ownLabels: [String: String] = [:]
    /// Name below the cgroup root of all cgroups of this cluster, as the node agent makes them.
    public var cgroupRoot: String
    /// Names or paths of the programs.
    public var containerdProgram = "containerd"
    public var ctrProgram = "ctr"
    /// Searched in order for the CNI plugins.
    public var pluginDirectories = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"]

    public init(dataDirectory: String, clusterID: String, podCIDR: String) {
        self.dataDirectory = dataDirectory
        self.clusterID = clusterID
        self.podCIDR = podCIDR
        runDirectory = "/run/apus-\(clusterID)"
        cgroupRoot = "apus-\(clusterID)"
    }

    /// The socket that CRI calls go to.
    public var socketPath: String { externalSocket ?? ownSocketPath }

    var ownSocketPath: String { runDirectory + "/containerd.sock" }
    var stateDirectory: String { runDirectory + "/containerd" }
    var rootDirectory: String { dataDirectory + "/containerd/root" }
    var configPath: String { dataDirectory + "/containerd/config.toml" }
    var logPath: String { dataDirectory + "/containerd/containerd.log" }
    var hostsDirectory: String { dataDirectory + "/containerd/hosts" }
    var networkConfigDirectory: String { dataDirectory + "/containerd/cni" }
    var networkConfigPath: String { networkConfigDirectory + "/10-apus.conflist" }
    /// Address leases of host-local.
    var leaseDirectory: String { runDirectory + "/cni" }
    var networkName: String { "apus-\(clusterID)" }
}
