import Crypto
import FoundationEssentials
public import ObjectModel
import SwiftASN1
import X509

/// A certificate and its private key, both as PEM text.
public struct CertifiedKey: Sendable, Hashable {
    /// `-----BEGIN CERTIFICATE-----`; the certificate alone, without its issuer.
    public var certificatePEM: String
    /// `-----BEGIN PRIVATE KEY-----` (PKCS#8) for P-256, `-----BEGIN RSA PRIVATE KEY-----` (PKCS#1) for RSA.
    public var privateKeyPEM: String

    /// Both as PEM text, unchecked.
    public init(certificatePEM: String, privateKeyPEM: String) {
        self.certificatePEM = certificatePEM
        self.privateKeyPEM = privateKeyPEM
    }
}

/// What a certificate that we issue is for.
public struct CertificateProfile: Sendable, Hashable {
    /// Subject common name: the user name of a client certificate.
    public var commonName: String
    /// Subject organizations: the groups of a client certificate.
    public var organizations: [String]
    /// DNS names of a server.
    public var dnsNames: [String]
    /// Addresses of a server.
    public var addresses: [IPAddress]
    public var isServer: Bool
    public var isClient: Bool
    public var keyType = KeyType.ecdsaP256

    /// A client certificate: a user and its groups (kubernetes-api.md §14).
    public static func client(
        _ name: String, groups: [String] = [], keyType: KeyType = .ecdsaP256
    ) -> CertificateProfile {
        CertificateProfile(
            commonName: name, organizations: groups, dnsNames: [], addresses: [], isServer: false, isClient: true,
            keyType: keyType)
    }

    /// A serving certificate for names and addresses.
    public static func server(_ name: String, dnsNames: [String], addresses: [IPAddress]) -> CertificateProfile {
        CertificateProfile(
            commonName: name, organizations: [], dnsNames: dnsNames, addresses: addresses, isServer: true,
            isClient: false)
    }
}

/// An authority: a self-signed certificate and its key. P-256, so that handshakes are cheap.
public struct CertificateAuthority: Sendable {
    private let certificate: Certificate
    private let key: P256.Signing.PrivateKey
    /// The authority's own certificate, for clients to trust.
    public let certificatePEM: String
    /// Its private key (PKCS#8).
    let privateKeyPEM: String

    /// Leaf certificates live one year and are re-issued when less than a quarter is left.
    static let leafLifetime = Duration.seconds(365 * 86400)
    private static let authorityLifetime = Duration.seconds(10 * 365 * 86400)
    /// Clocks of clients may be a little behind ours.
    private static let clockSkew = Duration.seconds(300)

    /// Makes a new authority, valid for ten years.
    static func make(name: String, now: Timestamp) throws -> CertificateAuthority {
        let key = P256.Signing.PrivateKey()
        let publicKey = Certificate.PublicKey(key.publicKey)
        let subject = try DistinguishedName { CommonName(name) }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
            notValidBefore: (now - clockSkew).date, notValidAfter: (now + authorityLifetime).date, issuer: subject,
            subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(digitalSignature: true, keyCertSign: true, cRLSign: true))
                SubjectKeyIdentifier(hash: publicKey)
            },
            issuerPrivateKey: Certificate.PrivateKey(key))
        return CertificateAuthority(
            certificate: certificate, key: key, certificatePEM: try certificate.serializeAsPEM().pemString + "\n",
            privateKeyPEM: key.pemRepresentation + "\n")
    }

    private init(certificate: Certificate, key: P256.Signing.PrivateKey, certificatePEM: String, privateKeyPEM: String)
    {
        self.certificate = certificate
        self.key = key
        self.certificatePEM = certificatePEM
        self.privateKeyPEM = privateKeyPEM
    }

    /// Reads an authority back; the key must belong to the certificate.
    init(certificatePEM: String, privateKeyPEM: String) throws {
        certificate = try Certificate(pemEncoded: certificatePEM)
        key = try P256.Signing.PrivateKey(pemRepresentation: privateKeyPEM)
        guard certificate.publicKey == Certificate.PublicKey(key.publicKey) else {
            throw SecurityError("the key does not belong to the certificate")
        }
        self.certificatePEM = certificatePEM
        self.privateKeyPEM = privateKeyPEM
    }

    /// Issues a certificate for a new key.
    /// - Parameter now: the start of its one year.
    public func issue(_ profile: CertificateProfile, now: Timestamp = .now) throws -> CertifiedKey {
        let leafKey = try LeafKey(profile.keyType)
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: leafKey.publicKey,
            notValidBefore: (now - Self.clockSkew).date, notValidAfter: (now + Self.leafLifetime).date,
            issuer: self.certificate.subject, subject: try profile.subject(), signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try profile.extensions(issuer: self.certificate.publicKey),
            issuerPrivateKey: Certificate.PrivateKey(key))
        return CertifiedKey(
            certificatePEM: try certificate.serializeAsPEM().pemString + "\n",
            privateKeyPEM: leafKey.pem)
    }

    /// Certifies the key of a request under the subject and the names that it asks for.
    /// - Parameter usages: as in CertificateSigningRequest: `client auth`, `digital signature`…
    func issue(_ request: SigningRequest, usages: Set<String>, lifetime: Duration, now: Timestamp) throws -> String {
        var extended: [ExtendedKeyUsage.Usage] = []
        if usages.contains("server auth") { extended.append(.serverAuth) }
        if usages.contains("client auth") { extended.append(.clientAuth) }
        let identifier = SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier
        let signs = usages.contains("digital signature")
        let enciphers = usages.contains("key encipherment")
        var extensions = try Certificate.Extensions {
            try ExtendedKeyUsage(extended)
            Critical(BasicConstraints.notCertificateAuthority)
            AuthorityKeyIdentifier(keyIdentifier: identifier)
        }
        // One without any bit is malformed to many readers.
        if signs || enciphers {
            let usage = KeyUsage(digitalSignature: signs, keyEncipherment: enciphers)
            try extensions.append(Certificate.Extension(usage, critical: true))
        }
        if let names = request.names { try extensions.append(Certificate.Extension(names, critical: false)) }
        let end = min((now + lifetime - Self.clockSkew).date, certificate.notValidAfter)
        let leaf = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: request.publicKey,
            notValidBefore: (now - Self.clockSkew).date, notValidAfter: end, issuer: certificate.subject,
            subject: request.subject, signatureAlgorithm: .ecdsaWithSHA256, extensions: extensions,
            issuerPrivateKey: Certificate.PrivateKey(key))
        return try leaf.serializeAsPEM().pemString + "\n"
    }

    /// True when a stored certificate still serves the profile: ours, the same names, and over a quarter of its life left.
    func isCurrent(_ stored: CertifiedKey, for profile: CertificateProfile, now: Timestamp) -> Bool {
        guard let leaf = try? Certificate(pemEncoded: stored.certificatePEM),
            let key = try? LeafKey(pem: stored.privateKeyPEM, profile.keyType),
            leaf.publicKey == key.publicKey,
            certificate.publicKey.isValidSignature(leaf.signature, for: leaf),
            leaf.issuer == certificate.subject,
            let subject = try? profile.subject(), leaf.subject == subject,
            let wanted = try? profile.extensions(issuer: certificate.publicKey),
            leaf.extensions == wanted
        else { return false }
        let renewal = Timestamp(leaf.notValidAfter) + Self.leafLifetime * -1 / 4
        return Timestamp(leaf.notValidBefore) <= now && now < renewal
    }
}

extension CertificateProfile {
    func subject() throws -> DistinguishedName {
        // Groups first, as other tools print it; the order means nothing.
        var names = organizations.map {
            RelativeDistinguishedName(.init(type: .RDNAttributeType.organizationName, utf8String: $0))
        }
        names.append(RelativeDistinguishedName(.init(type: .RDNAttributeType.commonName, utf8String: commonName)))
        return DistinguishedName(names)
    }

    func extensions(issuer: Certificate.PublicKey) throws -> Certificate.Extensions {
        var usages: [ExtendedKeyUsage.Usage] = []
        if isServer { usages.append(.serverAuth) }
        if isClient { usages.append(.clientAuth) }
        let identifier = SubjectKeyIdentifier(hash: issuer).keyIdentifier
        var extensions = try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            Critical(KeyUsage(digitalSignature: true))
            try ExtendedKeyUsage(usages)
            AuthorityKeyIdentifier(keyIdentifier: identifier)
        }
        let names =
            dnsNames.map { GeneralName.dnsName($0) }
            + addresses.map { GeneralName.ipAddress(ASN1OctetString(contentBytes: $0.bytes[...])) }
        if !names.isEmpty {
            try extensions.append(Certificate.Extension(SubjectAlternativeNames(names), critical: false))
        }
        return extensions
    }
}

extension Timestamp {
    var date: Date { Date(timeIntervalSince1970: Double(seconds)) }
    init(_ date: Date) {
        self.init(seconds: Int64(date.timeIntervalSince1970))
    }
    static func - (left: Timestamp, right: Duration) -> Timestamp { left + right * -1 }
}
