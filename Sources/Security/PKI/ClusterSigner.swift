public import JSON
public import ObjectModel
import X509

/// The signers that every cluster has (CertificateSigningRequest `spec.signerName`): each certifies one sort of subject
/// with the cluster authority, and refuses all others however they were approved.
public struct ClusterSigner: Sendable {
    private let authority: CertificateAuthority

    /// - Parameter authority: the one that the API server trusts clients by.
    public init(authority: CertificateAuthority) {
        self.authority = authority
    }

    private enum Kind: String {
        case client = "kubernetes.io/kube-apiserver-client"
        case kubeletClient = "kubernetes.io/kube-apiserver-client-kubelet"
        case kubeletServing = "kubernetes.io/kubelet-serving"
    }

    /// The certificate that an approved request asks for, PEM; nil when its signer is not one of ours.
    ///
    /// It starts five minutes ago and lives `spec.expirationSeconds`, a year without, and never longer than the
    /// authority.
    /// - Parameter request: a CertificateSigningRequest.
    /// - Throws: `SecurityError` when the signer does not certify such a subject or such usages.
    public func certificate(for request: JSON, now: Timestamp = .now) throws(SecurityError) -> String? {
        let spec = request["spec"]
        guard let kind = spec["signerName"].string.flatMap(Kind.init) else { return nil }
        let wanted = try Self.read(spec)
        let usages = Set(spec["usages"].elements.compactMap(\.string))
        if let problem = Self.problem(wanted, kind, usages) { throw SecurityError(problem) }
        let seconds = spec["expirationSeconds"].int ?? 365 * 86400
        do {
            return try authority.issue(wanted, usages: usages, lifetime: .seconds(max(600, seconds)), now: now)
        } catch {
            throw SecurityError("the certificate could not be made: \(error)")
        }
    }

    /// What would let a request be approved without asking a human: a permission of its author, and what is said of the
    /// request when they have it. Only for client certificates of node agents.
    /// - Parameter request: a CertificateSigningRequest.
    public static func automaticApproval(of request: JSON) -> (need: AuthorizationAttributes, message: String)? {
        let spec = request["spec"]
        let usages = Set(spec["usages"].elements.compactMap(\.string))
        guard spec["signerName"].string == Kind.kubeletClient.rawValue, let wanted = try? read(spec),
            problem(wanted, .kubeletClient, usages) == nil
        else { return nil }
        var extra: [String: [String]] = [:]
        for (key, values) in spec["extra"].members { extra[key] = values.elements.compactMap(\.string) }
        let user = UserInfo(
            name: spec["username"].string ?? "", uid: spec["uid"].string ?? "",
            groups: spec["groups"].elements.compactMap(\.string), extra: extra)
        let isOwn = user.name == wanted.commonName
        let need = AuthorizationAttributes(
            user: user, verb: "create",
            resource: .init(
                group: "certificates.k8s.io", version: "*", resource: "certificatesigningrequests",
                subresource: isOwn ? "selfnodeclient" : "nodeclient"))
        let what = isOwn ? "self kubelet client" : "kubelet client"
        return (need, "Auto approving \(what) certificate after SubjectAccessReview.")
    }

    private static func read(_ spec: JSON) throws(SecurityError) -> SigningRequest {
        guard let pem = spec["request"].string.flatMap({ Base64.decode($0.utf8) }) else {
            throw SecurityError("unable to parse csr: spec.request is not base64")
        }
        return try SigningRequest(pem: String(decoding: pem, as: UTF8.self))
    }

    private static func problem(_ request: SigningRequest, _ kind: Kind, _ usages: Set<String>) -> String? {
        let base: Set = ["digital signature", "key encipherment"]
        let needed = kind == .kubeletServing ? "server auth" : "client auth"
        let isUsable = usages.contains(needed) && usages.subtracting(base.union([needed])).isEmpty
        if kind == .client {
            return isUsable ? nil : "usages did not match: client auth, digital signature and key encipherment only"
        }
        if request.organizations != ["system:nodes"] { return "organization name is not [system:nodes]" }
        if !request.commonName.hasPrefix("system:node:") { return "CommonName does not start with system:node:" }
        if !isUsable || !usages.contains("digital signature") {
            return "usages did not match: expected digital signature, \(needed) and perhaps key encipherment"
        }
        switch kind {
        case .kubeletClient where request.hasServerNames || request.hasOtherNames:
            return "subjectAltNames are not allowed"
        case .kubeletServing where request.hasOtherNames: return "email and URI subjectAltNames are not allowed"
        case .kubeletServing where !request.hasServerNames: return "DNS or IP subjectAltName is required"
        default: return nil
        }
    }
}
