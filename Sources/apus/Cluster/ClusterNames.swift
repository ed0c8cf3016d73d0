import ContainerRuntime
import ObjectModel
import ServiceNetwork

/// What follows from a cluster's identity.
extension DataDirectory.Identity {
    /// The n-th address of the service range: 1 is the API server, 10 is DNS.
    func serviceAddress(_ index: Int) -> String { CIDR(serviceCIDR)?.address(at: index)?.description ?? "" }

    /// The part of the pod range that this node has: its first /24, or all of it when it is smaller.
    var nodePodCIDR: String {
        guard let range = CIDR(podCIDR), range.prefixLength < 24 else { return podCIDR }
        return "\(range.first)/24"
    }

    /// The node's own address in the pod network; DNS listens on it.
    var gatewayAddress: String { CIDR(nodePodCIDR)?.address(at: 1)?.description ?? "" }

    var networkConfiguration: ServiceNetworkConfiguration {
        ServiceNetworkConfiguration(
            clusterID: clusterID, nodeName: nodeName, podCIDR: podCIDR, serviceCIDR: serviceCIDR,
            dnsAddress: gatewayAddress)
    }

    func containerdSettings(_ data: DataDirectory, socket: String? = nil) -> ContainerdSettings {
        var settings = ContainerdSettings(dataDirectory: data.path, clusterID: clusterID, podCIDR: nodePodCIDR)
        settings.externalSocket = socket ?? externalContainerd
        settings.ownLabels = ["apus.dev/cluster": clusterID]
        return settings
    }
}
