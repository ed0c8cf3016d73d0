import JSON
import ObjectModel
public import Security

/// The cluster's own credentials: client certificates of its authority and service-account tokens.
public struct ClusterAuthenticator: Authenticator {
    private let verifier: TokenVerifier
    private let objects: any BoundObjectLookup

    /// - Parameter objects: what tokens are bound to; asked at every request with a token.
    public init(verifier: TokenVerifier, objects: any BoundObjectLookup) {
        self.verifier = verifier
        self.objects = objects
    }

    public func authenticate(token: String, audiences: [String]) async throws -> TokenIdentity {
        do {
            let verified = try await verifier.verify(token, audiences: audiences, objects: objects)
            return TokenIdentity(user: verified.user, audiences: verified.audiences)
        } catch {
            // The client of a request learns nothing but 401; the text is for TokenReview.
            var unauthorized = StatusError.unauthorized()
            unauthorized.message = error.description
            throw unauthorized
        }
    }
}

/// The node authorizer, when there is one, then roles: the first that allows decides.
public struct ClusterAuthorizer: Authorizer {
    private let roles: RBACAuthorizer
    private let nodes: NodeAuthorizer?

    public init(roles: RBACAuthorizer, nodes: NodeAuthorizer? = nil) {
        self.roles = roles
        self.nodes = nodes
    }

    public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
        let byRole = roles.authorize(attributes)
        if byRole.isAllowed { return .allowed(reason: byRole.reason) }
        guard let nodes else { return .denied(reason: byRole.reason) }
        let byNode = await nodes.authorize(attributes)
        if byNode.isAllowed { return .allowed(reason: byNode.reason) }
        return .denied(reason: [byNode.reason, byRole.reason].filter { !$0.isEmpty }.joined(separator: ", "))
    }

    public func rules(for user: UserInfo, namespace: String) async -> AuthorizationRules {
        var rules = AuthorizationRules()
        for rule in roles.rules(for: user, namespace: namespace) {
            if rule.nonResourceURLs.isEmpty {
                rules.resourceRules.append(rule.json)
            } else {
                rules.nonResourceRules.append(rule.json)
            }
        }
        return rules
    }
}

extension Authenticator {
    /// Common name and organizations, as Kubernetes reads client certificates.
    public func user(certificate: [UInt8]) -> UserInfo? { UserInfo(clientCertificate: certificate) }
}
