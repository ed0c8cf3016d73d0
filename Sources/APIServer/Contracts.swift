public import JSON
public import Security
public import Streaming

/// Who credentials stand for. The composing executable adapts the Security module to it.
public protocol Authenticator: Sendable {
    /// The user a bearer token stands for.
    ///
    /// - Parameter audiences: what the token must be meant for; empty: the API server itself.
    /// - Throws: `StatusError` 401 when the token is unknown, expired, or bound to something that is gone.
    func authenticate(token: String, audiences: [String]) async throws -> TokenIdentity

    /// The user of a client certificate whose chain was already verified against the cluster CA. Called once per
    /// connection, on its event loop: must not block.
    ///
    /// - Parameter certificate: the leaf, DER.
    /// - Returns: nil when the certificate names nobody; the request counts as without credentials then.
    func user(certificate: [UInt8]) -> UserInfo?
}

extension Authenticator {
    /// Common name and organizations, as Kubernetes reads client certificates.
    public func user(certificate: [UInt8]) -> UserInfo? { UserInfo(clientCertificate: certificate) }
}

/// What a bearer token proved.
public struct TokenIdentity: Sendable {
    public var user: UserInfo
    /// The audiences asked for that the token is meant for.
    public var audiences: [String]
    public init(user: UserInfo, audiences: [String] = []) {
        self.user = user
        self.audiences = audiences
    }
}

/// Whether a user may do something. The composing executable adapts the Security module to it.
public protocol Authorizer: Sendable {
    func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision
    /// The same without waiting; nil when it cannot be said without.
    func authorizeAtOnce(_ attributes: AuthorizationAttributes) -> AuthorizationDecision?
    /// What a user may do in a namespace, for `kubectl auth can-i --list`.
    func rules(for user: UserInfo, namespace: String) async -> AuthorizationRules
}

extension Authorizer {
    public func authorizeAtOnce(_ attributes: AuthorizationAttributes) -> AuthorizationDecision? { nil }
}

/// The answer of an `Authorizer`.
public enum AuthorizationDecision: Sendable, Hashable {
    case allowed(reason: String = "")
    /// Nobody allowed it. The reason is shown to the client after the standard sentence.
    case denied(reason: String = "")
}

/// Permissions in the shape of `SelfSubjectRulesReview.status`.
public struct AuthorizationRules: Sendable {
    /// `{verbs, apiGroups, resources, resourceNames}` each.
    public var resourceRules: [JSON]
    /// `{verbs, nonResourceURLs}` each.
    public var nonResourceRules: [JSON]
    public var isIncomplete: Bool
    /// Why the lists are incomplete; may be empty.
    public var evaluationError = ""
    public init(resourceRules: [JSON] = [], nonResourceRules: [JSON] = [], isIncomplete: Bool = false) {
        self.resourceRules = resourceRules
        self.nonResourceRules = nonResourceRules
        self.isIncomplete = isIncomplete
    }
}

/// Where the nodes can be reached.
public protocol NodeDirectory: Sendable {
    /// The gateway of one node; nil when the node is not connected.
    func gateway(node: String) async -> (any NodeGateway)?
    /// All nodes that are connected, by name.
    func nodes() async -> [(name: String, gateway: any NodeGateway)]
}

/// A directory of no nodes, or of some that never change.
public struct FixedNodes: NodeDirectory {
    private let byName: [String: any NodeGateway]
    public init(_ byName: [String: any NodeGateway] = [:]) {
        self.byName = byName
    }
    public func gateway(node: String) async -> (any NodeGateway)? { byName[node] }
    public func nodes() async -> [(name: String, gateway: any NodeGateway)] {
        byName.keys.sorted().compactMap { name in byName[name].map { (name, $0) } }
    }
}

/// One named check behind `/healthz`, `/livez` and `/readyz`.
public struct HealthCheck: Sendable {
    /// Where a check counts.
    public struct Endpoints: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        public static let healthz = Endpoints(rawValue: 1)
        public static let livez = Endpoints(rawValue: 2)
        public static let readyz = Endpoints(rawValue: 4)
        public static let all: Endpoints = [.healthz, .livez, .readyz]
    }
    public var name: String
    public var endpoints: Endpoints
    /// Nil when all is well, else what is wrong (logged, never shown to the client).
    public var failure: @Sendable () async -> String?

    public init(
        _ name: String, endpoints: Endpoints = .all, failure: @escaping @Sendable () async -> String?
    ) {
        self.name = name
        self.endpoints = endpoints
        self.failure = failure
    }
}
