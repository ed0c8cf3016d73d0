import Crypto
public import JSON
public import ObjectModel

/// A token of the form `abcdef.0123456789abcdef` with which a machine may ask to join the cluster: a secret
/// `kube-system/bootstrap-token-ID` of type `bootstrap.kubernetes.io/token` (kubernetes-api.md §14).
public struct BootstrapToken: Sendable, Hashable {
    /// The type of the secrets that hold them.
    public static let secretType = "bootstrap.kubernetes.io/token"
    /// Public half: 6 characters.
    public let id: String
    /// Secret half: 16 characters.
    public let secret: String

    /// Reads a token; nil when the text has another form.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let isPlain = text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2E }
        guard isPlain, parts.count == 2, parts[0].utf8.count == 6, parts[1].utf8.count == 16 else { return nil }
        id = String(parts[0])
        secret = String(parts[1])
    }

    /// Where its secret is.
    public var secretKey: ObjectKey { ObjectKey(namespace: "kube-system", name: "bootstrap-token-\(id)") }

    /// The user that the token stands for: `system:bootstrap:ID`, in `system:bootstrappers` and what the secret adds.
    /// - Parameter stored: the secret under `secretKey`.
    /// - Returns: nil when the secret says something else, is expired, or does not allow to authenticate.
    public func user(provedBy stored: JSON, now: Timestamp = .now) -> UserInfo? {
        guard let content = BootstrapTokenSecret(stored), content.token.id == id,
            // As hashes, so that the time this takes tells nothing of the stored secret.
            SHA256.hash(data: Array(content.token.secret.utf8)) == SHA256.hash(data: Array(secret.utf8)),
            content.expiration.map({ now < $0 }) ?? true, content.isForAuthentication
        else { return nil }
        var groups = ["system:bootstrappers"]
        for group in content.groups where !groups.contains(group) { groups.append(group) }
        return UserInfo(name: "system:bootstrap:\(id)", groups: groups + ["system:authenticated"])
    }

    /// Signs a kubeconfig so that who knows the token can tell that the cluster made it: a JSON Web Signature (RFC 7515,
    /// HS256) without its payload.
    public func signature(of text: String) -> String {
        let header: JSON = ["alg": "HS256", "kid": .string(id)]
        let head = Base64.encodeURL(header.encoded())
        let signed = "\(head).\(Base64.encodeURL(Array(text.utf8)))"
        let code = HMAC<SHA256>.authenticationCode(
            for: Array(signed.utf8), using: SymmetricKey(data: Array(secret.utf8)))
        return "\(head)..\(Base64.encodeURL(Array(code)))"
    }
}

/// What the secret of a bootstrap token says.
public struct BootstrapTokenSecret: Sendable, Hashable {
    public let token: BootstrapToken
    /// Nil: it never expires.
    public let expiration: Timestamp?
    public let isForAuthentication: Bool
    /// Whether it signs `kube-public/cluster-info`.
    public let isForSigning: Bool
    /// Further groups, all of the form `system:bootstrappers:NAME`.
    public let groups: [String]

    /// Reads a secret; nil when it is none of a bootstrap token, or a broken one.
    public init?(_ secret: JSON) {
        func text(_ key: String) -> String? { SecretData.text(key, of: secret) }
        guard secret["type"].string == BootstrapToken.secretType, let id = text("token-id"),
            let half = text("token-secret"), let token = BootstrapToken("\(id).\(half)"),
            secret["metadata"]["name"].string == token.secretKey.name
        else { return nil }
        self.token = token
        if let given = text("expiration") {
            // One that cannot be read must not live forever.
            expiration = Timestamp(given) ?? Timestamp(seconds: 0)
        } else {
            expiration = nil
        }
        isForAuthentication = text("usage-bootstrap-authentication") == "true"
        isForSigning = text("usage-bootstrap-signing") == "true"
        groups = (text("auth-extra-groups") ?? "").split(separator: ",").map(String.init)
        guard groups.allSatisfy({ $0.hasPrefix("system:bootstrappers:") }) else { return nil }
    }
}
