import APIMachinery
import APIServer
import ClusterClient
import JSON
import ObjectModel
import Security

/// Joins the API server's questions about users to the Security module and to what the cluster holds.
struct ClusterAuthenticator: Authenticator, BoundObjectLookup {
    let verifier: TokenVerifier
    let transport: any ClusterTransport

    func authenticate(token: String, audiences: [String]) async throws -> TokenIdentity {
        do {
            let verified = try await verifier.verify(token, audiences: audiences, objects: self)
            return TokenIdentity(user: verified.user, audiences: verified.audiences)
        } catch {
            throw StatusError.unauthorized()
        }
    }

    func user(certificate: [UInt8]) -> UserInfo? { UserInfo(clientCertificate: certificate) }

    func boundObject(_ resource: GroupVersionResource, _ key: ObjectKey) async -> ObjectMetadata? {
        try? await transport.get(resource, key).metadata
    }
}

/// Signs the tokens that `serviceaccounts/token` gives out.
struct ClusterTokenIssuer: TokenIssuing {
    let issuer: TokenIssuer

    func issue(_ request: ServiceAccountTokenRequest) async throws -> ServiceAccountToken {
        func reference(_ kind: String) -> BoundReference? {
            guard let bound = request.boundObject, bound.kind == kind else { return nil }
            return BoundReference(name: bound.name, uid: bound.uid)
        }
        let node = request.node.map { BoundReference(name: $0.name, uid: $0.uid) } ?? reference("Node")
        let issued = try issuer.issue(
            TokenIssuer.Request(
                namespace: request.serviceAccount.namespace,
                serviceAccount: BoundReference(name: request.serviceAccount.name, uid: request.serviceAccountUID),
                audiences: request.audiences, expirationSeconds: request.expirationSeconds, pod: reference("Pod"),
                node: node, secret: reference("Secret")))
        return ServiceAccountToken(token: issued.token, expiration: issued.expiration)
    }
}
