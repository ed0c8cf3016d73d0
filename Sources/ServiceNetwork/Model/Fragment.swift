/// The part of the node's nftables table that one service (or one pod's host ports) accounts for.
///
/// Fragments are made by pure functions and compared, so that a change of one service costs a transaction of a few
/// lines, whatever the number of services.
struct Fragment: Sendable, Equatable {
    /// Chain name to its rules, in order.
    var chains: [String: [String]] = [:]
    /// Sets of its own (session affinity): name to declaration.
    var ownSets: [String: String] = [:]
    /// Map name to its elements: key to verdict.
    var elements: [NetworkMap: [String: String]] = [:]
    /// Members of shared sets; several fragments may hold the same one.
    var members: [NetworkSet: Set<String>] = [:]
    /// UDP endpoints: `clusterIP port endpointIP`, whose connection tracking entries go stale when one disappears.
    var udpEndpoints: Set<UDPEndpoint> = []

    struct UDPEndpoint: Hashable, Sendable {
        var serviceAddress: String
        var port: Int
        var endpoint: String
    }
}

/// Verdict maps that are shared by all services.
enum NetworkMap: String, Sendable, CaseIterable {
    /// address . protocol . port
    case services
    /// protocol . port, on every address of the node
    case nodePorts = "node_ports"
}

/// Sets that are shared by all services.
enum NetworkSet: String, Sendable, CaseIterable {
    /// endpoint . endpoint: a pod that reached itself through a service must see another source address.
    case hairpins
    /// protocol . port of node ports that have no endpoint: refused at once.
    case closedNodePorts = "closed_node_ports"
    /// address . protocol . port of external addresses without endpoint.
    case closedAddresses = "closed_addresses"
}
