public import JSON
public import ObjectModel
public import Security

extension Machinery {
    /// What the API machinery needs to know about its cluster.
    public struct Configuration: Sendable {
        /// IPv4 range of service addresses (kube-apiserver `--service-cluster-ip-range`).
        public var serviceCIDR = "10.96.0.0/12"
        /// Ports for NodePort services (`--service-node-port-range`).
        public var nodePorts: ClosedRange<Int> = 30000...32767
        /// DNS suffix of the cluster.
        public var clusterDomain = "cluster.local"
        /// Where clients inside the cluster find this API server: the endpoint behind `default/kubernetes`.
        public var apiEndpoint: Endpoint?
        /// Where the cluster's DNS listens: the endpoint behind `kube-system/kube-dns`.
        public var dnsEndpoint: Endpoint?
        /// PEM of the CA that client certificates are signed by; published in `extension-apiserver-authentication`.
        public var clientCA = ""
        /// PEM of the CA that signs whoever may name users in headers: an aggregating front. Published beside `clientCA`.
        public var requestHeaderCA = ""
        /// Makes service-account tokens; nil: `serviceaccounts/token` answers 503.
        public var tokenIssuer: (any TokenIssuing)?
        /// Encrypts secrets at rest; nil: stored in the clear.
        public var secrets: (any ValueTransformer)?
        /// RBAC objects that are created or completed at each start.
        public var bootstrapRBAC: [JSON] = []
        /// Calls admission and conversion webhooks; nil: a webhook that is configured cannot be reached.
        public var webhooks: (any WebhookCalling)?
        /// Whoever feeds it knows the roles of this cluster; nil: anybody who may write roles may grant anything.
        public var roles: RBACAuthorizer?
        /// How long events are kept (`--event-ttl`).
        public var eventTTL: Duration = .seconds(3600)
        /// How often history older than that is compacted away.
        public var compactionInterval: Duration = .seconds(300)
        /// How often watchers that want it hear a bookmark.
        public var bookmarkInterval: Duration = .seconds(60)
        /// Past events remembered per resource.
        public var rememberedEvents = 8192
        /// Bytes of past versions remembered per resource.
        public var rememberedBytes = 32 << 20
        /// Events that may wait for one watcher before it is cut off.
        public var watcherBuffer = 4096

        public init() {}
    }

    /// An address and a port.
    public struct Endpoint: Sendable, Hashable {
        /// IP address.
        public var address: String
        public var port: Int
        public init(address: String, port: Int) {
            self.address = address
            self.port = port
        }
    }
}

/// Signs service-account tokens (`serviceaccounts/token`).
public protocol TokenIssuing: Sendable {
    func issue(_ request: ServiceAccountTokenRequest) async throws -> ServiceAccountToken
}

/// What a token is to say.
public struct ServiceAccountTokenRequest: Sendable, Hashable {
    /// The object whose deletion ends the token.
    public struct BoundObject: Sendable, Hashable {
        /// `Pod`, `Secret` or `Node`.
        public var kind: String
        public var name: String
        public var uid: String
        public init(kind: String, name: String, uid: String) {
            self.kind = kind
            self.name = name
            self.uid = uid
        }
    }
    public var serviceAccount: ObjectKey
    public var serviceAccountUID: String
    /// Empty: the API server's own audience.
    public var audiences: [String]
    public var expirationSeconds: Int
    public var boundObject: BoundObject?
    /// The node of a bound pod, when it has one.
    public var node: BoundObject?

    public init(
        serviceAccount: ObjectKey, serviceAccountUID: String, audiences: [String], expirationSeconds: Int,
        boundObject: BoundObject? = nil, node: BoundObject? = nil
    ) {
        self.serviceAccount = serviceAccount
        self.serviceAccountUID = serviceAccountUID
        self.audiences = audiences
        self.expirationSeconds = expirationSeconds
        self.boundObject = boundObject
        self.node = node
    }
}

/// A signed token.
public struct ServiceAccountToken: Sendable {
    /// The compact JWT.
    public var token: String
    public var expiration: Timestamp
    public init(token: String, expiration: Timestamp) {
        self.token = token
        self.expiration = expiration
    }
}
