/// Where this node's service network lives; every kernel name carries the cluster's id, so that clusters on one machine
/// do not meet.
public struct ServiceNetworkConfiguration: Sendable {
    /// Short id of the cluster, `[a-z0-9]`, at most 8 characters.
    public var clusterID: String
    /// Name of this node, for traffic policies that keep traffic local.
    public var nodeName: String
    /// Address range of all pods, for example `10.244.0.0/16`.
    public var podCIDR: String
    /// Address range of services, for example `10.96.0.0/12`.
    public var serviceCIDR: String
    /// Address on which the node's DNS server listens; it is put on the loopback interface.
    public var dnsAddress: String

    public init(clusterID: String, nodeName: String, podCIDR: String, serviceCIDR: String, dnsAddress: String) {
        self.clusterID = clusterID
        self.nodeName = nodeName
        self.podCIDR = podCIDR
        self.serviceCIDR = serviceCIDR
        self.dnsAddress = dnsAddress
    }

    /// The nftables table.
    public var table: String { "apus_\(clusterID)" }
    /// Label of the address on `lo` (at most 15 characters).
    public var addressLabel: String { "lo:ap\(clusterID)" }
}
