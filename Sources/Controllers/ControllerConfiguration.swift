/// What the controllers need to know from outside.
public struct ControllerConfiguration: Sendable {
    /// The cluster's CA certificate, published in every namespace as config map `kube-root-ca.crt`; empty: not
    /// published.
    public var caCertificatePEM: String
    /// IPv4 range the nodes' `spec.podCIDR` are cut from, for example `10.64.0.0/16`; nil: nodes keep what they have.
    public var podCIDR: String?
    /// Prefix length of one node's pod range.
    public var nodeCIDRMaskSize = 24
    /// How long a node may be silent (no lease renewal, no status) before it is `Unknown`.
    public var nodeMonitorGracePeriod: Duration = .seconds(50)
    /// The same for a node that never reported.
    public var nodeStartupGracePeriod: Duration = .seconds(60)
    /// How often silence is looked for.
    public var nodeMonitorPeriod: Duration = .seconds(5)
    /// Finished pods above this number are removed, oldest first.
    public var terminatedPodThreshold = 12_500
    /// Unique name of this process; when set, the controllers run only while they hold the Lease
    /// `kube-system/kube-controller-manager`. Nil (one server): they always run.
    public var leaderElectionIdentity: String?
    /// Signs certificates and tokens; nil: requests for certificates stay unsigned and token secrets empty.
    public var credentials: (any CredentialAuthority)?
    /// A kubeconfig that tells where the cluster is and whom to trust, published as `kube-public/cluster-info` for
    /// machines that join with a bootstrap token; empty: not published.
    public var clusterInfo = ""

    public init(caCertificatePEM: String, podCIDR: String? = nil, leaderElectionIdentity: String? = nil) {
        self.caCertificatePEM = caCertificatePEM
        self.podCIDR = podCIDR
        self.leaderElectionIdentity = leaderElectionIdentity
    }
}
