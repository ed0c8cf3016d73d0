/// How the API server listens and what it tells about itself.
public struct APIServerConfiguration: Sendable {
    /// Address to listen on; `0.0.0.0` and `::` mean all.
    public var bindAddress: String
    /// Port to listen on; 0 takes a free one (`APIServer.listeningPort` tells it).
    public var port: Int
    /// Server certificate followed by its intermediates, PEM.
    public var certificateChainPEM: String
    /// Private key of the server certificate, PEM.
    public var privateKeyPEM: String
    /// Authorities of client certificates, PEM. Requests with a certificate of another authority get 401.
    public var clientAuthorityPEM: String
    /// Host and port that clients are told in `/api`, for example `10.0.0.1:6443`.
    public var advertiseAddress = ""

    /// Kubernetes API level, a semantic version with `v`.
    public var gitVersion = "v1.36.2"
    public var gitCommit = ""
    /// RFC 3339.
    public var buildDate = "1970-01-01T00:00:00Z"

    /// What `/.well-known/openid-configuration` answers, JSON; nil: 404.
    public var openIDConfiguration: (@Sendable () async throws -> [UInt8])?
    /// What `/openid/v1/jwks` answers, JSON; nil: 404.
    public var keySet: (@Sendable () async throws -> [UInt8])?
    /// Checks besides the server's own `ping`.
    public var healthChecks: [HealthCheck] = []
    /// More lines for `/metrics`, Prometheus text each.
    public var extraMetrics: [@Sendable () async -> String] = []

    public var limits = Limits()

    /// Bounds that keep a misbehaving client from taking the server's memory or time.
    public struct Limits: Sendable {
        /// Bytes of one request's line and headers (431 above).
        public var headerBytes = 1 << 20
        /// Bytes of one request's body (413 above).
        public var bodyBytes = 3 << 20
        /// Bytes of all bodies that are being read or handled (429 above).
        public var allBodiesBytes = 256 << 20
        /// Connections open at once; more are closed right after accept.
        public var connections = 20_000
        /// Streams of one HTTP/2 connection.
        public var concurrentStreams = 250
        /// Reading requests handled at once, long-running ones excluded; more wait.
        public var readsInFlight = 400
        /// Writing requests handled at once; more wait.
        public var writesInFlight = 200
        /// Requests of one user that may wait to be handled (429 above), reads and writes apart.
        public var waitingPerUser = 400
        /// From accept to the end of the TLS handshake.
        public var handshakeTimeout = Duration.seconds(15)
        /// From the first byte of a connection to its first whole request head.
        public var headTimeout = Duration.seconds(30)
        /// From a request's head to its end.
        public var bodyTimeout = Duration.seconds(60)
        /// How long a connection may stay open without a request.
        public var idleTimeout = Duration.seconds(300)
        /// For a request that only reads.
        public var readTimeout = Duration.seconds(60)
        /// For a request that writes.
        public var writeTimeout = Duration.seconds(34)
        /// How long a watcher's connection may take no byte while there are some for it.
        public var stallTimeout = Duration.seconds(60)
        /// Shortest default duration of a watch; the longest is twice that.
        public var minimumWatchSeconds = 1800
        /// For requests in flight when the server stops.
        public var drainTimeout = Duration.seconds(8)
        public init() {}
    }

    public init(
        bindAddress: String = "0.0.0.0", port: Int = 6443, certificateChainPEM: String, privateKeyPEM: String,
        clientAuthorityPEM: String
    ) {
        self.bindAddress = bindAddress
        self.port = port
        self.certificateChainPEM = certificateChainPEM
        self.privateKeyPEM = privateKeyPEM
        self.clientAuthorityPEM = clientAuthorityPEM
    }
}
