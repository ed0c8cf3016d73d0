import Glibc
public import ObjectModel

/// All keys and certificates of one cluster, in one directory that only its owner can read.
///
/// Made at the first start and read at every later one; certificates are re-issued when their names change or less than
/// a quarter of their year is left. Files: `ca.crt` `ca.key` (cluster authority), `front-proxy-ca.crt/.key` (who may
/// pass user names in headers), `sa.key` `sa.pub` (service-account tokens, RSA), `encryption.key` (secrets at rest), and
/// `NAME.crt` `NAME.key` for each issued certificate. Every method may write files: call them at the start, from
/// where blocking is allowed.
public struct ClusterPKI: Sendable {
    /// The directory.
    public let directory: String
    /// Signs serving and client certificates.
    public let authority: CertificateAuthority
    /// Signs the certificates of front proxies (kubernetes-api.md §14).
    public let frontProxyAuthority: CertificateAuthority
    /// Signs service-account tokens.
    public let tokenKey: TokenSigningKey
    /// Encrypts secrets at rest.
    public let secretBox: SecretBox

    /// Reads the keys of a cluster, making what is missing.
    /// - Throws: `SecurityError` naming the file that is damaged or cannot be read or written. A half pair (certificate
    ///   without key or the reverse) of an authority is an error, never silently replaced: clients trust it.
    public static func loadOrCreate(directory: String, now: Timestamp = .now) throws(SecurityError) -> ClusterPKI {
        try PrivateFile.makeDirectory(directory)
        return ClusterPKI(
            directory: directory,
            authority: try loadAuthority(directory, "ca", name: "apus-cluster-ca", now: now),
            frontProxyAuthority: try loadAuthority(
                directory, "front-proxy-ca", name: "apus-front-proxy-ca", now: now),
            tokenKey: try loadTokenKey(directory),
            secretBox: try loadSecretBox(directory))
    }

    /// The API server's certificate; re-issued when a name changed or it gets old.
    ///
    /// Always covers `kubernetes`, `kubernetes.default`, `.svc`, `.svc.<domain>`, `localhost`, 127.0.0.1 and ::1.
    /// - Parameters:
    ///   - names: further DNS names (the node's name; more from flags).
    ///   - addresses: further addresses (the node's, the first of the service range).
    public func serverCertificate(
        names: [String], addresses: [IPAddress], clusterDomain: String = "cluster.local", now: Timestamp = .now
    ) throws(SecurityError) -> CertifiedKey {
        let service = "kubernetes.default.svc"
        var dnsNames = ["kubernetes", "kubernetes.default", service, "\(service).\(clusterDomain)", "localhost"]
        for name in names where !dnsNames.contains(name) { dnsNames.append(name) }
        var all = [IPAddress("127.0.0.1"), IPAddress("::1")].compactMap { $0 }
        for address in addresses where !all.contains(address) { all.append(address) }
        return try certificate(
            file: "apiserver", .server("kube-apiserver", dnsNames: dnsNames, addresses: all), now: now)
    }

    /// The administrator's certificate: `kubernetes-admin` in `system:masters`. RSA, for the clients that read its
    /// kubeconfig.
    public func adminCertificate(now: Timestamp = .now) throws(SecurityError) -> CertifiedKey {
        try certificate(
            file: "admin", .client("kubernetes-admin", groups: ["system:masters"], keyType: .rsa2048),
            now: now)
    }

    /// A component's certificate, for example `system:kube-scheduler`; kept in a file named after it.
    public func componentCertificate(_ user: String, groups: [String] = [], now: Timestamp = .now) throws(SecurityError)
        -> CertifiedKey
    {
        try certificate(file: fileName(user), .client(user, groups: groups), now: now)
    }

    /// A node agent's client certificate: `system:node:NAME` in `system:nodes`.
    public func nodeCertificate(_ node: String, now: Timestamp = .now) throws(SecurityError) -> CertifiedKey {
        try certificate(
            file: fileName("node-" + node), .client("system:node:\(node)", groups: ["system:nodes"]), now: now)
    }

    /// A certificate kept in `FILE.crt` and `FILE.key`, re-issued when it no longer fits the profile.
    public func certificate(file: String, _ profile: CertificateProfile, now: Timestamp = .now) throws(SecurityError)
        -> CertifiedKey
    {
        let path = "\(directory)/\(file)"
        if let certificate = try Self.text("\(path).crt"), let key = try Self.text("\(path).key") {
            let stored = CertifiedKey(certificatePEM: certificate, privateKeyPEM: key)
            if authority.isCurrent(stored, for: profile, now: now) { return stored }
        }
        let issued: CertifiedKey
        do {
            issued = try authority.issue(profile, now: now)
        } catch {
            throw SecurityError("no certificate for \(profile.commonName) could be issued: \(error)")
        }
        // A crash between the two leaves a pair that does not match, which the check above replaces.
        try PrivateFile.write("\(path).key", Array(issued.privateKeyPEM.utf8))
        try PrivateFile.write("\(path).crt", Array(issued.certificatePEM.utf8))
        return issued
    }

    /// Writes a file (a kubeconfig, say) into any directory, whole or not at all, for its owner alone.
    public static func writePrivateFile(_ path: String, _ text: String) throws(SecurityError) {
        try PrivateFile.write(path, Array(text.utf8))
    }

    private func fileName(_ user: String) -> String {
        String(user.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "." ? $0 : "-" })
    }

    // MARK: Loading

    private static func text(_ path: String) throws(SecurityError) -> String? {
        try PrivateFile.read(path).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func loadAuthority(_ directory: String, _ file: String, name: String, now: Timestamp)
        throws(SecurityError) -> CertificateAuthority
    {
        let path = "\(directory)/\(file)"
        let certificate = try text("\(path).crt")
        let key = try text("\(path).key")
        switch (certificate, key) {
        case (let certificate?, let key?):
            do {
                return try CertificateAuthority(certificatePEM: certificate, privateKeyPEM: key)
            } catch {
                throw SecurityError("\(path).crt or .key is damaged (\(error)); restore both from a backup")
            }
        case (nil, _):
            // The certificate is written last: a key alone is a first start that was cut short.
            do {
                let made = try CertificateAuthority.make(name: name, now: now)
                try PrivateFile.write("\(path).key", Array(made.privateKeyPEM.utf8))
                try PrivateFile.write("\(path).crt", Array(made.certificatePEM.utf8))
                return made
            } catch let error as SecurityError {
                throw error
            } catch {
                throw SecurityError("no authority \(name) could be made: \(error)")
            }
        case (_?, nil):
            throw SecurityError("\(path).key is missing beside \(path).crt; restore it from a backup")
        }
    }

    private static func loadTokenKey(_ directory: String) throws(SecurityError) -> TokenSigningKey {
        let path = "\(directory)/sa.key"
        if let text = try text(path) {
            do {
                return try TokenSigningKey(pem: text)
            } catch {
                throw SecurityError("\(path) is damaged (\(error)); restore it from a backup")
            }
        }
        let key: TokenSigningKey
        do {
            key = try TokenSigningKey.make()
        } catch {
            throw SecurityError("no key for service-account tokens could be made: \(error)")
        }
        try PrivateFile.write("\(directory)/sa.pub", Array(key.publicKey.pem.utf8))
        try PrivateFile.write(path, Array(key.pem.utf8))
        return key
    }

    private static func loadSecretBox(_ directory: String) throws(SecurityError) -> SecretBox {
        let path = "\(directory)/encryption.key"
        if let text = try text(path) { return try SecretBox(keyFile: text, path: path) }
        let made = SecretBox.makeKeyFile()
        try PrivateFile.write(path, Array(made.utf8))
        return try SecretBox(keyFile: made, path: path)
    }
}
