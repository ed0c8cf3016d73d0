import JSON
public import ObjectModel
import Synchronization

/// Why a token is not accepted. The text is for logs and `TokenReview`, never for the anonymous client (that gets 401).
public struct TokenError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

/// What tokens are bound to, as it is now. Asked at every verification, so it should answer from a cache.
public protocol BoundObjectLookup: Sendable {
    /// Metadata of a service account, pod, secret or node; nil when there is none of that name.
    func boundObject(_ resource: GroupVersionResource, _ key: ObjectKey) async -> ObjectMetadata?
    /// True when a secret of type `kubernetes.io/service-account-token` has this very token.
    func holdsToken(_ secret: ObjectKey, _ token: String) async -> Bool
}

/// Verifies service-account tokens. Signatures are checked once per token and remembered, so that the usual cost is a hash
/// lookup and the look at the bound objects.
public final class TokenVerifier: Sendable {
    private let keys: [String: TokenVerificationKey]
    private let issuers: Set<String>
    private let audiences: [String]
    private let cacheSize: Int
    /// Claims of tokens whose signature and issuer are good, by token.
    private let cache = Mutex<[String: ServiceAccountClaims]>([:])

    /// How long tokens outlive the time when the deletion of what they are bound to is due: a pod may still stop its containers.
    private static let deletionGrace = Duration.seconds(60)
    private static let maximumTokenBytes = 16_384
    /// Clocks of other servers may differ from ours.
    private static let clockSkew = Duration.seconds(10)

    /// - Parameters:
    ///   - keys: the signing key's public half and former ones.
    ///   - issuers: accepted `iss` claims.
    ///   - audiences: the API server's own audiences.
    ///   - cacheSize: tokens to remember; about 2 KiB each.
    public init(keys: [TokenVerificationKey], issuers: [String], audiences: [String], cacheSize: Int = 4096) {
        self.keys = Dictionary(keys.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        self.issuers = Set(issuers)
        self.audiences = audiences
        self.cacheSize = cacheSize
    }

    /// How many tokens are remembered now.
    var cachedCount: Int { cache.withLock { $0.count } }

    /// A verified token.
    public struct Verified: Sendable {
        public var claims: ServiceAccountClaims
        /// Those of the wanted audiences that the token is for; never empty.
        public var audiences: [String]
        public var user: UserInfo { claims.user }
    }

    /// True when the text looks like a JWT of one of our issuers; others may be for another authenticator.
    public func isOurs(_ token: String) -> Bool {
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, token.utf8.count <= Self.maximumTokenBytes, let payload = Base64.decodeURL(parts[1]),
            let json = try? JSON.parse(payload), let issuer = json["iss"].string
        else { return false }
        return issuer == ServiceAccountClaims.legacyIssuer || issuers.contains(issuer)
    }

    /// Verifies signature, issuer, time, audience, and that the account and the bound objects are still the same ones.
    /// - Parameter audiences: one of them must be in the token; empty: one of the API server's own.
    public func verify(
        _ token: String, audiences wanted: [String] = [], now: Timestamp = .now, objects: any BoundObjectLookup
    ) async throws(TokenError) -> Verified {
        let claims = try verifiedClaims(token)
        guard now < claims.expires else { throw TokenError("the token has expired at \(claims.expires.rfc3339)") }
        guard claims.notBefore <= now + Self.clockSkew else {
            throw TokenError("the token is not valid before \(claims.notBefore.rfc3339)")
        }
        // Legacy tokens say nothing of audiences: they are for the API server.
        let meant = claims.isLegacy ? audiences : claims.audiences
        let accepted = (wanted.isEmpty ? audiences : wanted).filter { meant.contains($0) }
        guard !accepted.isEmpty else { throw TokenError("the token is for \(meant), not for this server") }
        try await checkBinding(claims, token, now: now, objects)
        return Verified(claims: claims, audiences: accepted)
    }

    /// Signature and issuer; remembered.
    private func verifiedClaims(_ token: String) throws(TokenError) -> ServiceAccountClaims {
        if let known = cache.withLock({ $0[token] }) { return known }
        let claims = try checkSignature(token)
        cache.withLock { cache in
            // Seldom full; starting over is cheaper than keeping an order.
            if cache.count >= cacheSize { cache.removeAll(keepingCapacity: true) }
            cache[token] = claims
        }
        return claims
    }

    private func checkSignature(_ token: String) throws(TokenError) -> ServiceAccountClaims {
        let bytes = token.utf8
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard bytes.count <= Self.maximumTokenBytes, parts.count == 3, let header = Self.document(parts[0]),
            let payload = Self.document(parts[1]), let signature = Base64.decodeURL(parts[2])
        else { throw TokenError("the token is no JSON Web Token") }
        // Only the one algorithm that our keys are for: `none` and HMAC with a public key are classic forgeries.
        guard header["alg"].string == "RS256", header["crit"].isNull else {
            throw TokenError("the token is not signed with RS256")
        }
        guard let id = header["kid"].string, let key = keys[id] else {
            throw TokenError("the token is signed with an unknown key")
        }
        guard key.isValid(signature, for: bytes[..<parts[1].endIndex]) else {
            throw TokenError("the signature of the token is wrong")
        }
        guard let claims = ServiceAccountClaims(payload) else {
            throw TokenError("the token lacks claims of a service account")
        }
        guard claims.isLegacy || issuers.contains(claims.issuer) else {
            throw TokenError("the token is from another issuer")
        }
        return claims
    }

    private static func document(_ text: Substring.UTF8View) -> JSON? {
        var options = JSONReadOptions()
        options.maximumDepth = 16
        guard let bytes = Base64.decodeURL(text), let json = try? JSON.parse(bytes, options: options) else {
            return nil
        }
        return json.object == nil ? nil : json
    }

    private func checkBinding(
        _ claims: ServiceAccountClaims, _ token: String, now: Timestamp, _ objects: any BoundObjectLookup
    ) async throws(TokenError) {
        func check(
            _ resource: GroupVersionResource, _ reference: BoundReference, namespace: String, grace: Duration = .zero
        ) async throws(TokenError) {
            let found = await objects.boundObject(resource, ObjectKey(namespace: namespace, name: reference.name))
            guard let found, found.uid == reference.uid else {
                throw TokenError("the \(resource.resource) \(reference.name) that the token is bound to is gone")
            }
            if let deletion = found.deletionTimestamp, now >= deletion + grace {
                throw TokenError(
                    "the \(resource.resource) \(reference.name) that the token is bound to is being deleted")
            }
        }
        try await check(
            .serviceAccounts, claims.serviceAccount, namespace: claims.namespace, grace: Self.deletionGrace)
        if claims.isLegacy {
            let secret = ObjectKey(namespace: claims.namespace, name: claims.secret?.name ?? "")
            guard await objects.holdsToken(secret, token) else {
                throw TokenError("the secret \(secret.name) that the token is bound to is gone")
            }
        } else if let pod = claims.pod {
            // The node claim of a pod's token is information; the pod is what binds it.
            try await check(.pods, pod, namespace: claims.namespace, grace: Self.deletionGrace)
        } else if let secret = claims.secret {
            try await check(.secrets, secret, namespace: claims.namespace, grace: Self.deletionGrace)
        } else if let node = claims.node {
            try await check(.nodes, node, namespace: "", grace: Self.deletionGrace)
        }
    }
}
