import JSON
import ObjectModel
import Security

/// Who may approve, sign and vouch in a signer's name (`CertificateApproval`, `CertificateSigning`,
/// `CertificateSubjectRestriction`, `ClusterTrustBundleAttest`).
struct CertificateAdmission: AdmissionPlugin {
    private static let requests = GroupResource(group: "certificates.k8s.io", resource: "certificatesigningrequests")
    private static let bundles = GroupResource(group: "certificates.k8s.io", resource: "clustertrustbundles")

    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {
        if request.place == Self.requests {
            switch (request.operation, request.subresource) {
            case (.create, nil): try subject(request)
            case (.update, "approval"):
                try permit(request, machinery, "approve", signer(request)) {
                    "user not permitted to approve requests with signerName \"\($0)\""
                }
            case (.update, "status"):
                guard isSigning(request) else { return }
                try permit(request, machinery, "sign", signer(request)) {
                    "user not permitted to sign requests with signerName \"\($0)\""
                }
            default: break
            }
        } else if request.place == Self.bundles, request.operation != .delete, request.subresource == nil {
            let signer = request.object["spec"]["signerName"].string ?? ""
            if signer.isEmpty { return }
            try permit(request, machinery, "attest", signer) {
                "user not permitted to attest for signerName \"\($0)\""
            }
        }
    }

    private func signer(_ request: AdmissionRequest) -> String {
        request.old?.tree["spec"]["signerName"].string ?? ""
    }

    /// A new certificate, or the condition that there will be none.
    private func isSigning(_ request: AdmissionRequest) -> Bool {
        let (new, old) = (request.object["status"], request.old?.tree["status"] ?? .null)
        func hasFailed(_ status: JSON) -> Bool {
            status["conditions"].elements.contains { $0["type"].string == "Failed" }
        }
        return new["certificate"] != old["certificate"] || hasFailed(new) != hasFailed(old)
    }

    /// The verb on the signer, or on all signers of its domain.
    private func permit(
        _ request: AdmissionRequest, _ machinery: Machinery, _ verb: String, _ signer: String,
        _ refusal: (String) -> String
    ) throws {
        let user = request.context.user
        guard let roles = machinery.configuration.roles, !user.groups.contains("system:masters") else { return }
        let domain = signer.prefix { $0 != "/" } + "/*"
        let isPermitted = [signer, String(domain)].contains { name in
            roles.authorize(
                AuthorizationAttributes(
                    user: user, verb: verb,
                    resource: .init(group: "certificates.k8s.io", version: "*", resource: "signers", name: name))
            ).isAllowed
        }
        if !isPermitted { throw request.forbidden(refusal(signer)) }
    }

    /// Nobody becomes administrator by a certificate.
    private func subject(_ request: AdmissionRequest) throws {
        let spec = request.object["spec"]
        guard spec["signerName"].string == "kubernetes.io/kube-apiserver-client",
            let pem = Base64.decode((spec["request"].string ?? "").utf8),
            let asked = try? SigningRequest(pem: String(decoding: pem, as: UTF8.self)),
            asked.organizations.contains("system:masters")
        else { return }
        throw request.forbidden(
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed")
    }
}
