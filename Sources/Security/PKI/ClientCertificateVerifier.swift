import Crypto
public import ObjectModel
import SwiftASN1
import Synchronization
import X509

/// Checks the certificates that clients show against the authorities that vouch for clients. A chain that was good is
/// remembered by its leaf until that expires: clients come back with the same one.
public final class ClientCertificateVerifier: Sendable {
    private let roots: CertificateStore
    private let known = Mutex<[SHA256Digest: Timestamp]>([:])
    private static let capacity = 4096

    /// - Parameter authoritiesPEM: certificates of the authorities, PEM.
    /// - Throws: `SecurityError` when they cannot be read.
    public init(authoritiesPEM: String) throws(SecurityError) {
        do {
            roots = CertificateStore(
                try PEMDocument.parseMultiple(pemString: authoritiesPEM).map { try Certificate(pemDocument: $0) })
        } catch {
            throw SecurityError("the authorities of client certificates cannot be read: \(error)")
        }
    }

    /// True when the leaf is certified, now and for clients, by one of the authorities.
    /// - Parameters:
    ///   - leaf: DER.
    ///   - intermediates: DER each.
    public func isTrusted(leaf: [UInt8], intermediates: [[UInt8]], now: Timestamp = .now) async -> Bool {
        let digest = SHA256.hash(data: leaf)
        if let end = known.withLock({ $0[digest] }), now < end { return true }
        guard let certificate = try? Certificate(derEncoded: leaf) else { return false }
        if let usages = try? certificate.extensions.extendedKeyUsage,
            !usages.contains(.clientAuth), !usages.contains(.any)
        {
            return false
        }
        let between = intermediates.prefix(8).compactMap { try? Certificate(derEncoded: $0) }
        var verifier = Verifier(rootCertificates: roots) { RFC5280Policy() }
        let result = await verifier.validate(leaf: certificate, intermediates: CertificateStore(between))
        guard case .validCertificate = result else { return false }
        known.withLock { known in
            if known.count >= Self.capacity { known.removeAll(keepingCapacity: true) }
            known[digest] = Timestamp(certificate.notValidAfter)
        }
        return true
    }
}
