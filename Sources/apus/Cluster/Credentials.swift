import APIMachinery
import APIServer
import ClusterClient
import Controllers
import JSON
import ObjectModel
import Security

/// Joins the API server's questions about users to the Security module and to what the cluster holds.
struct ClusterAuthenticator: Authenticator, BoundObjectLookup {
    let verifier: TokenVerifier
    let transport: any ClusterTransport

    func authenticate(token: String, audiences: [String]) async throws -> TokenIdentity {
        if let bootstrap = BootstrapToken(token) {
            guard audiences.isEmpty, let secret = try? await transport.get(.secrets, bootstrap.secretKey),
                !secret.metadata.isTerminating, let user = bootstrap.user(provedBy: secret.tree)
            else { throw StatusError.unauthorized() }
            return TokenIdentity(user: user)
        }
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

    func holdsToken(_ secret: ObjectKey, _ token: String) async -> Bool {
        guard let object = try? await transport.get(.secrets, secret), !object.metadata.isTerminating else {
            return false
        }
        return SecretData.text("token", of: object.tree) == token
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

/// Signs what the controllers of credentials publish.
struct ClusterCredentials: CredentialAuthority {
    let authorizer: ClusterAuthorizer
    let signer: ClusterSigner
    let issuer: TokenIssuer

    func automaticApproval(of request: JSON) async -> String? {
        guard let approval = ClusterSigner.automaticApproval(of: request),
            case .allowed = await authorizer.authorize(approval.need)
        else { return nil }
        return approval.message
    }

    func certificate(for request: JSON) throws -> String? {
        do {
            return try signer.certificate(for: request).map(SecretData.encoded)
        } catch {
            throw CredentialRefusal(error.message)
        }
    }

    func accountToken(_ account: ObjectKey, uid: String, secret: String) throws -> String {
        try issuer.issueLegacy(account, uid: uid, secret: secret)
    }

    func bootstrapToken(_ secret: JSON) -> BootstrapCredential? {
        guard let content = BootstrapTokenSecret(secret) else { return nil }
        let token = content.token
        var sign: (@Sendable (String) -> String)?
        if content.isForSigning { sign = { token.signature(of: $0) } }
        return BootstrapCredential(id: token.id, expiration: content.expiration, sign: sign)
    }
}
