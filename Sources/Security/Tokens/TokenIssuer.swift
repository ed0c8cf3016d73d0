import JSON
public import ObjectModel

/// Makes service-account tokens (JWT, RS256).
public struct TokenIssuer: Sendable {
    /// What a token is asked for.
    public struct Request: Sendable, Hashable {
        public var namespace: String
        public var serviceAccount: BoundReference
        /// Empty: the API server's own audiences.
        public var audiences: [String]
        /// Seconds; the caller has checked the bounds of `TokenRequest` (600 to 2^32).
        public var expirationSeconds: Int
        public var pod: BoundReference?
        /// The pod's node, or the node that the token is bound to.
        public var node: BoundReference?
        public var secret: BoundReference?

        public init(
            namespace: String, serviceAccount: BoundReference, audiences: [String] = [], expirationSeconds: Int = 3600,
            pod: BoundReference? = nil, node: BoundReference? = nil, secret: BoundReference? = nil
        ) {
            self.namespace = namespace
            self.serviceAccount = serviceAccount
            self.audiences = audiences
            self.expirationSeconds = expirationSeconds
            self.pod = pod
            self.node = node
            self.secret = secret
        }
    }

    /// A token and what `TokenRequest.status` says of it.
    public struct Issued: Sendable {
        public var token: String
        /// When a client should have replaced it; an extended token is valid for longer.
        public var expiration: Timestamp
        public var audiences: [String]
        public var claims: ServiceAccountClaims
    }

    /// The default lifetime of a projected token volume. A request for just this is taken for one, and the token is made
    /// valid for a year, so that clients that never read the file again go on working (KEP-1205).
    public static let projectedSeconds = 3607
    private static let extendedSeconds = 365 * 86400

    private let key: TokenSigningKey
    private let issuer: String
    private let audiences: [String]

    /// - Parameters:
    ///   - issuer: the `iss` claim, for example `https://kubernetes.default.svc.cluster.local`.
    ///   - audiences: the API server's own; used when a request names none.
    public init(key: TokenSigningKey, issuer: String, audiences: [String]) {
        self.key = key
        self.issuer = issuer
        self.audiences = audiences
    }

    /// Makes a token. Costs about a millisecond of CPU.
    public func issue(_ request: Request, now: Timestamp = .now) throws -> Issued {
        let wanted = request.audiences.isEmpty ? audiences : request.audiences
        let start = Timestamp(seconds: now.seconds)
        let expiration = start + .seconds(request.expirationSeconds)
        let isExtended =
            request.expirationSeconds == Self.projectedSeconds && wanted.contains { audiences.contains($0) }
        var claims = ServiceAccountClaims(
            issuer: issuer, audiences: wanted, issuedAt: start,
            expires: isExtended ? start + .seconds(Self.extendedSeconds) : expiration, id: Self.uniqueID(),
            namespace: request.namespace, serviceAccount: request.serviceAccount)
        claims.pod = request.pod
        claims.node = request.node
        claims.secret = request.secret
        claims.warnAfter = isExtended ? expiration : nil
        return Issued(token: try signed(claims), expiration: expiration, audiences: wanted, claims: claims)
    }

    /// Makes the token for a secret of type `kubernetes.io/service-account-token`: valid until the secret or the account
    /// goes.
    /// - Parameter secret: the name of the secret, in the account's namespace.
    public func issueLegacy(_ account: ObjectKey, uid: String, secret: String) throws -> String {
        try signed(ServiceAccountClaims(legacyFor: account, uid: uid, secret: secret))
    }

    private func signed(_ claims: ServiceAccountClaims) throws -> String {
        let header: JSON = ["alg": "RS256", "kid": .string(key.publicKey.id)]
        let body = Base64.encodeURL(header.encoded()) + "." + Base64.encodeURL(claims.json.encoded())
        let signature = try key.signature(for: Array(body.utf8))
        return "\(body).\(Base64.encodeURL(signature))"
    }

    /// A random UUID (RFC 9562, version 4).
    private static func uniqueID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let text = Array(bytes.hexadecimal)
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(text[$0]) }.joined(separator: "-")
    }
}
