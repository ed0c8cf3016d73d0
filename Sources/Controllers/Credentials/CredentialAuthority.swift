public import JSON
public import ObjectModel

/// What controllers of certificates and tokens need of those who hold the cluster's keys. The composing executable
/// adapts the Security module to it.
public protocol CredentialAuthority: Sendable {
    /// Why a CertificateSigningRequest may be approved without a human; nil: it may not.
    func automaticApproval(of request: JSON) async -> String?

    /// The certificate of an approved CertificateSigningRequest, PEM in base64; nil when its signer is not ours.
    /// - Throws: `CredentialRefusal` when the signer does not certify such a request.
    func certificate(for request: JSON) throws -> String?

    /// The token of a secret of type `kubernetes.io/service-account-token`.
    /// - Parameter secret: its name, in the account's namespace.
    func accountToken(_ account: ObjectKey, uid: String, secret: String) throws -> String

    /// Reads a secret of type `bootstrap.kubernetes.io/token`; nil when it is malformed.
    func bootstrapToken(_ secret: JSON) -> BootstrapCredential?
}

/// A request that its signer will never certify.
public struct CredentialRefusal: Error, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// A bootstrap token, without its secret half.
public struct BootstrapCredential: Sendable {
    public var id: String
    /// Nil: it never expires.
    public var expiration: Timestamp?
    /// Makes the detached signature of a text; nil when the token is not for signing.
    public var sign: (@Sendable (String) -> String)?
    public init(id: String, expiration: Timestamp?, sign: (@Sendable (String) -> String)?) {
        self.id = id
        self.expiration = expiration
        self.sign = sign
    }
}
