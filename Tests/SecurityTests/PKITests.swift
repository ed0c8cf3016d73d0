import Glibc
import ObjectModel
import SwiftASN1
import Testing
import X509

@testable import Security

@Suite struct PKITests {
    private let addresses = ["10.1.2.3", "10.96.0.1"].compactMap { IPAddress($0) }

    @Test("the first start makes all keys, private to their owner; the next one reads the same")
    func loadTwice() async throws {
        try await withDirectory { directory in
            let first = try ClusterPKI.loadOrCreate(directory: directory, now: noon)
            let server = try first.serverCertificate(names: ["node-a"], addresses: addresses, now: noon)
            let files = names(in: directory)
            #expect(
                files == [
                    "apiserver.crt", "apiserver.key", "ca.crt", "ca.key", "encryption.key", "front-proxy-ca.crt",
                    "front-proxy-ca.key", "sa.key", "sa.pub",
                ])
            for file in files {
                var status = stat()
                let result = stat("\(directory)/\(file)", &status)
                #expect(result == 0 && status.st_mode & 0o777 == 0o600, "\(file)")
            }
            let second = try ClusterPKI.loadOrCreate(directory: directory, now: noon + .seconds(60))
            #expect(second.authority.certificatePEM == first.authority.certificatePEM)
            #expect(second.frontProxyAuthority.certificatePEM == first.frontProxyAuthority.certificatePEM)
            #expect(second.authority.certificatePEM != second.frontProxyAuthority.certificatePEM)
            #expect(second.tokenKey.publicKey.id == first.tokenKey.publicKey.id)
            let sealed = try first.secretBox.seal([1, 2, 3], context: "x")
            #expect(try second.secretBox.open(sealed, context: "x") == [1, 2, 3])
            #expect(try second.serverCertificate(names: ["node-a"], addresses: addresses, now: noon) == server)
        }
    }

    @Test("the serving certificate is for every name of the API server and verifies against the authority")
    func serverNames() async throws {
        try await withDirectory { directory in
            let pki = try ClusterPKI.loadOrCreate(directory: directory, now: .now)
            let pair = try pki.serverCertificate(names: ["node-a"], addresses: addresses, now: .now)
            #expect(pair.privateKeyPEM.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
            let leaf = try Certificate(pemEncoded: pair.certificatePEM)
            let names = try #require(try leaf.extensions.subjectAlternativeNames)
            #expect(
                names.compactMap { if case .dnsName(let name) = $0 { name } else { nil } } == [
                    "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                    "kubernetes.default.svc.cluster.local", "localhost", "node-a",
                ])
            #expect(
                names.compactMap { name -> String? in
                    guard case .ipAddress(let bytes) = name else { return nil }
                    return IPAddress(bytes: bytes.bytes)?.description
                } == ["127.0.0.1", "::1", "10.1.2.3", "10.96.0.1"])
            let root = try Certificate(pemEncoded: pki.authority.certificatePEM)
            var verifier = Verifier(rootCertificates: CertificateStore([root])) {
                RFC5280Policy()
            }
            let result = await verifier.validate(leaf: leaf, intermediates: CertificateStore([]))
            guard case .validCertificate = result else {
                Issue.record("\(result)")
                return
            }
        }
    }

    @Test("a certificate is issued again when its names change, when it gets old, and when its key is lost")
    func reissue() async throws {
        try await withDirectory { directory in
            let pki = try ClusterPKI.loadOrCreate(directory: directory, now: noon)
            func issue(_ names: [String], _ now: Timestamp = noon) throws -> CertifiedKey {
                try pki.serverCertificate(names: names, addresses: addresses, now: now)
            }
            let first = try issue(["a"])
            let second = try issue(["b"])
            #expect(first != second)
            #expect(try issue(["b"], noon + .seconds(270 * 86400)) == second)
            let renewed = try issue(["b"], noon + .seconds(280 * 86400))
            #expect(renewed != second)
            // What a crash between the two files leaves.
            try ClusterPKI.writePrivateFile("\(directory)/apiserver.key", first.privateKeyPEM)
            let repaired = try issue(["b"], noon + .seconds(280 * 86400))
            #expect(repaired.certificatePEM != renewed.certificatePEM)
            // Of another authority.
            try await withDirectory { other in
                let stranger = try ClusterPKI.loadOrCreate(directory: other, now: noon)
                let foreign = try stranger.adminCertificate(now: noon)
                try ClusterPKI.writePrivateFile("\(directory)/admin.crt", foreign.certificatePEM)
                try ClusterPKI.writePrivateFile("\(directory)/admin.key", foreign.privateKeyPEM)
                let admin = try pki.adminCertificate(now: noon)
                #expect(admin != foreign)
                // Java's clients take the key of a kubeconfig for RSA.
                #expect(admin.privateKeyPEM.hasPrefix("-----BEGIN RSA PRIVATE KEY-----\n"))
                #expect(try pki.adminCertificate(now: noon) == admin)
            }
        }
    }

    @Test("a damaged or half lost authority is an error that names the file, and is never replaced")
    func damaged() async throws {
        try await withDirectory { directory in
            _ = try ClusterPKI.loadOrCreate(directory: directory, now: noon)
            let key = "\(directory)/ca.key"
            let text = try #require(try PrivateFile.read(key))
            unlink(key)
            let missing = securityError { _ = try ClusterPKI.loadOrCreate(directory: directory) }
            #expect(missing?.contains("ca.key is missing") == true)
            try PrivateFile.write(key, Array("nonsense".utf8))
            let damaged = securityError { _ = try ClusterPKI.loadOrCreate(directory: directory) }
            #expect(damaged?.contains("ca.crt or .key is damaged") == true)
            try PrivateFile.write(key, text)
            _ = try ClusterPKI.loadOrCreate(directory: directory)
            try PrivateFile.write("\(directory)/encryption.key", Array("xyz\n".utf8))
            let box = securityError { _ = try ClusterPKI.loadOrCreate(directory: directory) }
            #expect(box?.contains("encryption.key is damaged") == true)
        }
    }

    @Test("a client certificate says who it is for")
    func clientCertificate() async throws {
        try await withDirectory { directory in
            let pki = try ClusterPKI.loadOrCreate(directory: directory, now: noon)
            func user(_ pair: CertifiedKey) throws -> UserInfo {
                let document = try PEMDocument(pemString: pair.certificatePEM)
                return try #require(UserInfo(clientCertificate: document.derBytes))
            }
            let admin = try user(pki.adminCertificate(now: noon))
            #expect(admin.name == "kubernetes-admin")
            #expect(admin.groups == ["system:masters", "system:authenticated"])
            let id = try #require(admin.extra["authentication.kubernetes.io/credential-id"]?.first)
            #expect(id.hasPrefix("X509SHA256=") && id.utf8.count == 11 + 64)
            let node = try user(pki.nodeCertificate("node-a", now: noon))
            #expect(node.name == "system:node:node-a")
            #expect(node.groups == ["system:nodes", "system:authenticated"])
            #expect(try user(pki.componentCertificate("system:kube-scheduler")).name == "system:kube-scheduler")
            let authority = try PEMDocument(pemString: pki.authority.certificatePEM)
            #expect(UserInfo(clientCertificate: Array(authority.derBytes.dropLast())) == nil)
        }
    }

    @Test("the kubeconfig embeds everything")
    func kubeconfig() {
        let text = Kubeconfig.admin(
            server: "https://127.0.0.1:6443", ca: "CA", certificate: "CERT", key: "KEY", cluster: "my \"one\"")
        for line in [
            "    server: \"https://127.0.0.1:6443\"", "    certificate-authority-data: Q0E=",
            "    client-certificate-data: Q0VSVA==", "    client-key-data: S0VZ", "- name: \"my \\\"one\\\"\"",
            "current-context: \"kubernetes-admin@my \\\"one\\\"\"",
        ] {
            #expect(text.contains(line + "\n"), "\(line) is not in \(text)")
        }
    }
}

@Suite struct Base64Tests {
    @Test func texts() {
        for length in 0..<70 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255) }
            let text = Base64.encode(bytes)
            #expect(text.utf8.count == (length + 2) / 3 * 4 && Base64.decode(text.utf8) == bytes)
            #expect(Base64.decode((text.filter { $0 != "=" } + "\n").utf8) == bytes)
        }
        for bad in ["A", "A===", "====", "AA=A", "AAA==", "A*AA", "AA-A"] { #expect(Base64.decode(bad.utf8) == nil) }
    }

    @Test("RFC 4648 vectors")
    func vectors() {
        let cases = [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy"),
        ]
        for (plain, encoded) in cases {
            #expect(Base64.encode(Array(plain.utf8)) == encoded)
            let url = encoded.filter { $0 != "=" }
            #expect(Base64.decodeURL(url.utf8) == Array(plain.utf8))
        }
        #expect(Base64.encodeURL([0xFB, 0xFF]) == "-_8")
        let all = (0...255).map { UInt8($0) }
        #expect(Base64.decodeURL(Base64.encodeURL(all).utf8) == all)
    }

    @Test("only the one spelling is read", arguments: ["Zg==", "Zh", "Z", "Zm9vY", "Zm 9v", "Zm+v", "Zm/v", "Zm9é"])
    func strict(_ text: String) {
        #expect(Base64.decodeURL(text.utf8) == nil)
    }
}

@Suite struct SecretBoxTests {
    @Test("sealing hides, opening gives back, and a value cannot be changed or moved")
    func sealing() throws {
        let file = SecretBox.makeKeyFile()
        let box = try SecretBox(keyFile: file, path: "f")
        let plain = Array("the password of the aunt".utf8)
        let sealed = try box.seal(plain, context: "/registry/secrets/a/b")
        #expect(SecretBox.isSealed(sealed) && !SecretBox.isSealed(plain))
        #expect(sealed.count == plain.count + 12 + 4 + 12 + 16)
        #expect(try box.open(sealed, context: "/registry/secrets/a/b") == plain)
        #expect(try box.seal(plain, context: "/registry/secrets/a/b") != sealed)
        #expect(securityError { _ = try box.open(sealed, context: "/registry/secrets/a/c") } != nil)
        for index in sealed.indices.dropFirst(12) {
            var changed = sealed
            changed[index] ^= 1
            #expect(securityError { _ = try box.open(changed, context: "/registry/secrets/a/b") } != nil)
        }
        #expect(securityError { _ = try box.open(Array(sealed.prefix(30)), context: "") } != nil)
        #expect(try box.open(plain, context: "x") == plain, "what was never sealed is read as it is")
        #expect(try box.open(box.seal([], context: "e"), context: "e") == [])
    }

    @Test("a further line in the key file rotates; old values stay readable")
    func rotation() throws {
        let old = SecretBox.makeKeyFile()
        let new = SecretBox.makeKeyFile()
        let before = try SecretBox(keyFile: old, path: "f")
        let after = try SecretBox(keyFile: old + new, path: "f")
        let sealed = try before.seal([7], context: "c")
        #expect(try after.open(sealed, context: "c") == [7])
        let fresh = try after.seal([7], context: "c")
        #expect(securityError { _ = try before.open(fresh, context: "c") }?.contains("key file does not have") == true)
    }
}
