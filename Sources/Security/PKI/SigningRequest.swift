import ObjectModel
import SwiftASN1
import X509

/// A PKCS#10 certificate request that its key has signed: what somebody wants to be certified as.
public struct SigningRequest: Sendable {
    private(set) var commonName = ""
    /// Groups, for the API server.
    public private(set) var organizations: [String] = []
    private(set) var hasServerNames = false
    private(set) var hasOtherNames = false
    /// The names as they were asked for; nil without any.
    private(set) var names: SubjectAlternativeNames?
    let subject: DistinguishedName
    let publicKey: Certificate.PublicKey

    /// - Parameter pem: `-----BEGIN CERTIFICATE REQUEST-----`.
    /// - Throws: `SecurityError` saying what is wrong with it.
    public init(pem: String) throws(SecurityError) {
        let request: CertificateSigningRequest
        do {
            request = try CertificateSigningRequest(pemEncoded: pem)
            names = try request.attributes.extensionRequest?.extensions.subjectAlternativeNames
        } catch {
            throw SecurityError("unable to parse csr: PEM block type must be CERTIFICATE REQUEST")
        }
        guard request.publicKey.isValidSignature(request.signature, for: request) else {
            throw SecurityError("unable to verify csr: its signature was not made with its key")
        }
        subject = request.subject
        publicKey = request.publicKey
        for attribute in request.subject.flatMap({ $0 }) {
            if attribute.type == .RDNAttributeType.commonName {
                commonName = String(attribute.value) ?? commonName
            } else if attribute.type == .RDNAttributeType.organizationName, let name = String(attribute.value) {
                organizations.append(name)
            }
        }
        for name in names ?? SubjectAlternativeNames() {
            switch name {
            case .dnsName, .ipAddress: hasServerNames = true
            default: hasOtherNames = true
            }
        }
    }
}
