import JSON
import ObjectModel
import SwiftASN1
import Testing
import X509

@testable import Security

@Suite struct SignerTests {
    private static let authority = Result { try CertificateAuthority.make(name: "test", now: noon) }
    private let signer: ClusterSigner

    init() throws {
        signer = ClusterSigner(authority: try Self.authority.get())
    }

    private static func request(
        _ name: String, organizations: [String] = [], names: [GeneralName] = [], signer: String,
        usages: [String] = ["digital signature", "client auth"], seconds: Int? = nil, by user: String = "anna"
    ) throws -> JSON {
        let key = try Certificate.PrivateKey(
            pemEncoded: authority.get().issue(.client("key"), now: noon).privateKeyPEM)
        var attributes = CertificateSigningRequest.Attributes()
        if !names.isEmpty {
            var extensions = Certificate.Extensions()
            try extensions.append(Certificate.Extension(SubjectAlternativeNames(names), critical: false))
            try attributes.insert(.init(ExtensionRequest(extensions: extensions)))
        }
        let profile = CertificateProfile.client(name, groups: organizations)
        let csr = try CertificateSigningRequest(
            version: .v1, subject: try profile.subject(), privateKey: key, attributes: attributes)
        var spec: JSON = [
            "signerName": .string("kubernetes.io/" + signer), "usages": JSON(usages), "username": .string(user),
            "request": .string(SecretData.encoded(try csr.serializeAsPEM().pemString)),
        ]
        if let seconds { spec["expirationSeconds"] = JSON(seconds) }
        return ["spec": spec]
    }

    @Test("a client certificate names its user, for as long as was asked")
    func client() throws {
        let request = try Self.request(
            "jane", organizations: ["dev"], signer: "kube-apiserver-client", usages: ["client auth"], seconds: 600)
        let pem = try #require(try signer.certificate(for: request, now: noon))
        let leaf = try Certificate(pemEncoded: pem)
        let authority = try Self.authority.get()
        #expect(
            try Certificate(pemEncoded: authority.certificatePEM).publicKey.isValidSignature(leaf.signature, for: leaf))
        #expect(Timestamp(leaf.notValidAfter) == noon + .seconds(300) && Timestamp(leaf.notValidBefore) < noon)
        #expect(try leaf.extensions.keyUsage == nil && leaf.extensions.extendedKeyUsage?.contains(.clientAuth) == true)
        var serializer = DER.Serializer()
        try serializer.serialize(leaf)
        let user = UserInfo(clientCertificate: serializer.serializedBytes)
        #expect(user?.name == "jane" && user?.groups == ["dev", "system:authenticated"])
    }

    @Test("each signer certifies its own sort of subject only")
    func limits() throws {
        let node = "system:node:n1"
        let nodes = ["system:nodes"]
        func problem(_ request: JSON) -> String? {
            do {
                _ = try signer.certificate(for: request, now: noon)
                return nil
            } catch { return error.message }
        }
        let serving = ["digital signature", "server auth"]
        let dns: [GeneralName] = [.dnsName("n1")]
        let kubelet = "kube-apiserver-client-kubelet"
        #expect(problem(try Self.request(node, organizations: nodes, signer: kubelet)) == nil)
        #expect(problem(try Self.request(node, organizations: ["system:masters"], signer: kubelet)) != nil)
        #expect(problem(try Self.request("jane", organizations: nodes, signer: kubelet)) != nil)
        #expect(problem(try Self.request(node, organizations: nodes, names: dns, signer: kubelet)) != nil)
        #expect(problem(try Self.request(node, organizations: nodes, signer: kubelet, usages: serving)) != nil)
        #expect(
            problem(
                try Self.request(node, organizations: nodes, names: dns, signer: "kubelet-serving", usages: serving))
                == nil)
        #expect(
            problem(try Self.request(node, organizations: nodes, signer: "kubelet-serving", usages: serving))
                == "DNS or IP subjectAltName is required")
        #expect(problem(try Self.request("jane", signer: "kube-apiserver-client", usages: serving)) != nil)
        var broken = try Self.request("jane", signer: "kube-apiserver-client")
        broken["spec"]["request"] = "bm9uc2Vuc2U="
        #expect(problem(broken)?.hasPrefix("unable to parse csr") == true)
        #expect(try signer.certificate(for: Self.request("x", signer: "legacy-unknown"), now: noon) == nil)
    }

    @Test("node agents may be approved by permission, others by people only")
    func approval() throws {
        let node = "system:node:n1"
        let nodes = ["system:nodes"]
        let kubelet = "kube-apiserver-client-kubelet"
        let own = try Self.request(node, organizations: nodes, signer: kubelet, by: node)
        #expect(ClusterSigner.automaticApproval(of: own)?.need.resource?.subresource == "selfnodeclient")
        let other = try Self.request(node, organizations: nodes, signer: kubelet)
        #expect(ClusterSigner.automaticApproval(of: other)?.need.resource?.subresource == "nodeclient")
        let client = try Self.request("jane", signer: "kube-apiserver-client")
        #expect(ClusterSigner.automaticApproval(of: client) == nil)
    }
}
