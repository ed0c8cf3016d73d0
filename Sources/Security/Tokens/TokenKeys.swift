import Crypto
import FoundationEssentials
public import JSON
import ObjectModel
import _CryptoExtras

/// The key that signs service-account tokens: RSA with SHA-256 (`RS256`), which every OIDC verifier accepts without
/// being told; signing costs a millisecond, verifying is cached.
public struct TokenSigningKey: Sendable {
    private let key: _RSA.Signing.PrivateKey
    /// The half that verifies.
    public let publicKey: TokenVerificationKey
    /// PKCS#8.
    let pem: String

    /// A new 2048-bit key. Takes some 100 ms.
    static func make() throws -> TokenSigningKey {
        try TokenSigningKey(_RSA.Signing.PrivateKey(keySize: .bits2048))
    }

    /// Reads a key, PKCS#8 or PKCS#1.
    public init(pem: String) throws {
        try self.init(_RSA.Signing.PrivateKey(pemRepresentation: pem))
    }

    private init(_ key: _RSA.Signing.PrivateKey) throws {
        self.key = key
        publicKey = try TokenVerificationKey(key.publicKey)
        pem = key.pkcs8PEMRepresentation + "\n"
    }

    func signature(for bytes: [UInt8]) throws -> [UInt8] {
        Array(try key.signature(for: SHA256.hash(data: bytes), padding: .insecurePKCS1v1_5).rawRepresentation)
    }
}

/// A key that verifies service-account tokens.
public struct TokenVerificationKey: Sendable {
    private let key: _RSA.Signing.PublicKey
    /// Key id in token headers: base64url of the SHA-256 of the public key's DER (SPKI).
    public let id: String
    /// SubjectPublicKeyInfo.
    public let pem: String
    /// The key as a JSON Web Key (RFC 7517).
    public let jwk: JSON

    /// Reads a public key (SubjectPublicKeyInfo), for example of a former signing key whose tokens still count.
    public init(pem: String) throws {
        try self.init(_RSA.Signing.PublicKey(pemRepresentation: pem))
    }

    init(_ key: _RSA.Signing.PublicKey) throws {
        self.key = key
        id = Base64.encodeURL(Array(SHA256.hash(data: key.derRepresentation)))
        pem = key.pemRepresentation + "\n"
        let primitives = try key.getKeyPrimitives()
        jwk = [
            "use": "sig", "kty": "RSA", "kid": .string(id), "alg": "RS256",
            "n": .string(Base64.encodeURL(Array(primitives.modulus))),
            "e": .string(Base64.encodeURL(Array(primitives.publicExponent))),
        ]
    }

    func isValid(_ signature: [UInt8], for bytes: some Sequence<UInt8>) -> Bool {
        key.isValidSignature(
            _RSA.Signing.RSASignature(rawRepresentation: signature), for: SHA256.hash(data: Array(bytes)),
            padding: .insecurePKCS1v1_5)
    }
}

/// The documents by which others verify our tokens (OpenID Connect discovery; kubernetes-api.md §2.3).
public enum TokenDiscovery {
    /// `/openid/v1/jwks`.
    public static func keySet(_ keys: [TokenVerificationKey]) -> JSON {
        ["keys": .array(keys.map(\.jwk))]
    }
    /// `/.well-known/openid-configuration`.
    /// - Parameter keysURL: absolute URL of the key set.
    public static func configuration(issuer: String, keysURL: String) -> JSON {
        [
            "issuer": .string(issuer), "jwks_uri": .string(keysURL), "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
        ]
    }
}
