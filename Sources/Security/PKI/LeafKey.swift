import Crypto
import X509
import _CryptoExtras

/// The kind of key that a certificate of ours is issued for.
public enum KeyType: Sendable, Hashable {
    /// Handshakes are cheap; for what only our own processes and TLS libraries read.
    case ecdsaP256
    /// What every client reads: Java's libraries take a kubeconfig's key for RSA unless more is installed.
    case rsa2048
}

/// The private key of a leaf certificate.
enum LeafKey {
    case ecdsaP256(P256.Signing.PrivateKey)
    case rsa2048(_RSA.Signing.PrivateKey)

    /// A new key. One for RSA takes some 100 ms.
    init(_ type: KeyType) throws {
        switch type {
        case .ecdsaP256: self = .ecdsaP256(P256.Signing.PrivateKey())
        case .rsa2048: self = .rsa2048(try _RSA.Signing.PrivateKey(keySize: .bits2048))
        }
    }

    /// Reads a key back.
    init(pem: String, _ type: KeyType) throws {
        switch type {
        case .ecdsaP256: self = .ecdsaP256(try P256.Signing.PrivateKey(pemRepresentation: pem))
        case .rsa2048: self = .rsa2048(try _RSA.Signing.PrivateKey(pemRepresentation: pem))
        }
    }

    var publicKey: Certificate.PublicKey {
        switch self {
        case .ecdsaP256(let key): Certificate.PublicKey(key.publicKey)
        case .rsa2048(let key): Certificate.PublicKey(key.publicKey)
        }
    }

    /// PKCS#8 for P-256, PKCS#1 for RSA: the forms that most libraries know.
    var pem: String {
        switch self {
        case .ecdsaP256(let key): key.pemRepresentation + "\n"
        case .rsa2048(let key): key.pemRepresentation + "\n"
        }
    }
}
