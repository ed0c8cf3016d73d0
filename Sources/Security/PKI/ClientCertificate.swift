import Crypto
import SwiftASN1
import X509

extension UserInfo {
    /// The user of a client certificate (kubernetes-api.md §14): name from the subject's CN, groups from every O.
    ///
    /// The chain must have been verified against the cluster authority before. Nil when the bytes are no certificate or
    /// it has no common name.
    /// - Parameter bytes: the leaf certificate, DER.
    public init?(clientCertificate bytes: [UInt8]) {
        guard let certificate = try? Certificate(derEncoded: bytes) else { return nil }
        var name = ""
        var groups: [String] = []
        for attribute in certificate.subject.flatMap({ $0 }) {
            if attribute.type == .RDNAttributeType.commonName {
                name = String(attribute.value) ?? name
            } else if attribute.type == .RDNAttributeType.organizationName, let group = String(attribute.value) {
                groups.append(group)
            }
        }
        if name.isEmpty { return nil }
        groups.append("system:authenticated")
        let digest = SHA256.hash(data: bytes).hexadecimal
        self.init(
            name: name, groups: groups,
            extra: ["authentication.kubernetes.io/credential-id": ["X509SHA256=\(digest)"]])
    }
}

extension Sequence<UInt8> {
    /// Lower-case hexadecimal digits.
    var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        var out: [UInt8] = []
        for byte in self {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }
}
