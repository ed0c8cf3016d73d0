import JSON
import ObjectModel
import Synchronization
import Testing

@testable import Security

/// The objects that exist.
private final class Objects: BoundObjectLookup {
    /// Tokens of secrets, by namespace and name.
    let held = Mutex<[String: String]>([:])
    func holdsToken(_ secret: ObjectKey, _ token: String) async -> Bool {
        held.withLock { $0["\(secret)"] == token }
    }
    private let known = Mutex<[String: ObjectMetadata]>([:])
    func set(_ resource: String, _ namespace: String, _ name: String, uid: String?, deletion: Timestamp? = nil) {
        var metadata = ObjectMetadata()
        metadata.name = name
        metadata.uid = uid ?? ""
        metadata.deletionTimestamp = deletion
        known.withLock { [metadata] in $0["\(resource) \(namespace)/\(name)"] = uid == nil ? nil : metadata }
    }
    func boundObject(_ resource: GroupVersionResource, _ key: ObjectKey) async -> ObjectMetadata? {
        known.withLock { $0["\(resource.resource) \(key.namespace)/\(key.name)"] }
    }
}

@Suite struct TokenTests {
    private static let key = Result { try TokenSigningKey.make() }
    private let key: TokenSigningKey
    private let issuer: TokenIssuer
    private let verifier: TokenVerifier
    private let objects = Objects()
    private let request = TokenIssuer.Request(
        namespace: "ns", serviceAccount: BoundReference(name: "robot", uid: "u1"), expirationSeconds: 3600,
        pod: BoundReference(name: "web-1", uid: "p1"), node: BoundReference(name: "node-a", uid: "n1"))

    init() throws {
        key = try Self.key.get()
        issuer = TokenIssuer(key: key, issuer: "https://issuer", audiences: ["api"])
        verifier = TokenVerifier(keys: [key.publicKey], issuers: ["https://issuer"], audiences: ["api"])
        objects.set("serviceaccounts", "ns", "robot", uid: "u1")
        objects.set("pods", "ns", "web-1", uid: "p1")
    }

    /// Why a token is refused; nil when it is accepted.
    private func refusal(_ token: String, audiences: [String] = [], at now: Timestamp = noon) async -> String? {
        do {
            _ = try await verifier.verify(token, audiences: audiences, now: now, objects: objects)
            return nil
        } catch {
            return error.description
        }
    }

    @Test("a token stands for its account, and says what it is bound to")
    func roundTrip() async throws {
        let issued = try issuer.issue(request, now: noon)
        #expect(issued.expiration == noon + .seconds(3600) && issued.audiences == ["api"])
        for _ in 0..<2 {  // The second time from the cache.
            let verified = try await verifier.verify(issued.token, now: noon, objects: objects)
            #expect(verified.audiences == ["api"])
            let user = verified.user
            #expect(user.name == "system:serviceaccount:ns:robot" && user.uid == "u1")
            #expect(user.groups == ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"])
            #expect(user.extra["authentication.kubernetes.io/pod-name"] == ["web-1"])
            #expect(user.extra["authentication.kubernetes.io/node-uid"] == ["n1"])
            #expect(user.extra["authentication.kubernetes.io/credential-id"] == ["JTI=\(issued.claims.id)"])
        }
        let parts = issued.token.split(separator: ".")
        let header = try JSON.parse(try #require(Base64.decodeURL(parts[0].utf8)))
        #expect(header == ["alg": "RS256", "kid": .string(key.publicKey.id)])
        let payload = try JSON.parse(try #require(Base64.decodeURL(parts[1].utf8)))
        let expected: JSON = [
            "aud": ["api"], "exp": 1_800_003_600, "iat": 1_800_000_000, "iss": "https://issuer",
            "jti": .string(issued.claims.id), "nbf": 1_800_000_000, "sub": "system:serviceaccount:ns:robot",
            "kubernetes.io": [
                "namespace": "ns", "serviceaccount": ["name": "robot", "uid": "u1"],
                "pod": ["name": "web-1", "uid": "p1"], "node": ["name": "node-a", "uid": "n1"],
            ],
        ]
        #expect(payload == expected)
        #expect(verifier.isOurs(issued.token) && !verifier.isOurs("a.b.c") && !verifier.isOurs("static"))
    }

    @Test("only 3607 seconds for the API server are made a year")
    func extension3607() async throws {
        var request = self.request
        request.expirationSeconds = 3607
        let extended = try issuer.issue(request, now: noon)
        #expect(extended.expiration == noon + .seconds(3607))
        #expect(extended.claims.expires == noon + .seconds(365 * 86400))
        #expect(extended.claims.warnAfter == noon + .seconds(3607))
        #expect(await refusal(extended.token, at: noon + .seconds(300 * 86400)) == nil)
        request.audiences = ["vault"]
        let other = try issuer.issue(request, now: noon)
        #expect(other.claims.expires == noon + .seconds(3607) && other.claims.warnAfter == nil)
    }

    @Test("time and audience count")
    func timeAndAudience() async throws {
        let token = try issuer.issue(request, now: noon).token
        #expect(await refusal(token, at: noon + .seconds(3599)) == nil)
        #expect(await refusal(token, at: noon + .seconds(3600))?.contains("expired") == true)
        #expect(await refusal(token, at: Timestamp(seconds: noon.seconds - 60))?.contains("not valid before") == true)
        #expect(await refusal(token, audiences: ["vault"])?.contains("not for this server") == true)
        var request = self.request
        request.audiences = ["vault", "api"]
        let both = try issuer.issue(request, now: noon).token
        #expect(
            try await verifier.verify(both, audiences: ["x", "vault"], now: noon, objects: objects).audiences == [
                "vault"
            ])
    }

    @Test("a token dies with what it is bound to, with a minute of grace")
    func binding() async throws {
        let token = try issuer.issue(request, now: noon).token
        objects.set("pods", "ns", "web-1", uid: "p1", deletion: noon)
        #expect(await refusal(token, at: noon + .seconds(59)) == nil)
        #expect(await refusal(token, at: noon + .seconds(60))?.contains("being deleted") == true)
        objects.set("pods", "ns", "web-1", uid: "p2")
        #expect(await refusal(token)?.contains("pods web-1 that the token is bound to is gone") == true)
        objects.set("pods", "ns", "web-1", uid: "p1")
        #expect(await refusal(token) == nil)
        objects.set("serviceaccounts", "ns", "robot", uid: "u2")
        #expect(await refusal(token)?.contains("serviceaccounts robot") == true)
        objects.set("serviceaccounts", "ns", "robot", uid: "u1")

        let secret = TokenIssuer.Request(
            namespace: "ns", serviceAccount: request.serviceAccount, secret: BoundReference(name: "s", uid: "s1"))
        #expect(await refusal(try issuer.issue(secret, now: noon).token)?.contains("secrets s") == true)
        let node = TokenIssuer.Request(
            namespace: "ns", serviceAccount: request.serviceAccount, node: BoundReference(name: "node-a", uid: "n1"))
        let nodeToken = try issuer.issue(node, now: noon).token
        #expect(await refusal(nodeToken)?.contains("nodes node-a") == true)
        objects.set("nodes", "", "node-a", uid: "n1")
        #expect(await refusal(nodeToken) == nil)
    }

    @Test("a forged, changed or malformed token is refused")
    func forgery() async throws {
        let token = try issuer.issue(request, now: noon).token
        let parts = token.split(separator: ".").map(String.init)
        func encoded(_ json: JSON) -> String { Base64.encodeURL(json.encoded()) }
        let kid = JSON.string(key.publicKey.id)
        let masters = try JSON.parse(try #require(Base64.decodeURL(parts[1].utf8)))
        var changed = masters
        changed["sub"] = "system:serviceaccount:kube-system:boss"
        let stranger = try TokenSigningKey.make()
        let strange = try TokenIssuer(key: stranger, issuer: "https://issuer", audiences: ["api"]).issue(
            request, now: noon)
        let strangeBody = "\(parts[0]).\(parts[1])"
        let forged = try stranger.signature(for: Array(strangeBody.utf8))
        let otherIssuer = try TokenIssuer(key: key, issuer: "https://other", audiences: ["api"]).issue(
            request, now: noon)
        var signatureBytes = try #require(Base64.decodeURL(parts[2].utf8))
        signatureBytes[0] ^= 1
        let bad = [
            "", ".", "..", "...", "a.b.c", token + ".", token + "=", " " + token, parts[0] + "." + parts[1],
            "\(parts[0]).\(encoded(changed)).\(parts[2])", "\(encoded(["alg": "none", "kid": kid])).\(parts[1]).",
            "\(encoded(["alg": "HS256", "kid": kid])).\(parts[1]).\(parts[2])",
            "\(encoded(["alg": "RS256"])).\(parts[1]).\(parts[2])",
            "\(encoded(["alg": "RS256", "kid": kid, "crit": ["x"]])).\(parts[1]).\(parts[2])",
            "\(strangeBody).\(Base64.encodeURL(forged))", strange.token, otherIssuer.token,
            "\(parts[0]).\(parts[1]).\(Base64.encodeURL(signatureBytes))",
            "\(parts[0]).\(Base64.encodeURL(Array("[[[[".utf8))).\(parts[2])", String(repeating: "a", count: 100_000),
        ]
        for token in bad { #expect(await refusal(token) != nil, "\(token.prefix(200)) was accepted") }
        #expect(await refusal(token) == nil)
    }

    @Test("the key set and the discovery document let others verify")
    func discovery() throws {
        let keys = TokenDiscovery.keySet([key.publicKey])
        let jwk = keys["keys"][0]
        #expect(jwk["kty"].string == "RSA" && jwk["alg"].string == "RS256" && jwk["use"].string == "sig")
        #expect(jwk["kid"].string == key.publicKey.id && jwk["e"].string == "AQAB")
        #expect(Base64.decodeURL((jwk["n"].string ?? "").utf8)?.count == 256)
        let reread = try TokenVerificationKey(pem: key.publicKey.pem)
        #expect(reread.id == key.publicKey.id)
        let document = TokenDiscovery.configuration(issuer: "https://issuer", keysURL: "https://x/openid/v1/jwks")
        #expect(document["issuer"].string == "https://issuer")
        #expect(document["jwks_uri"].string == "https://x/openid/v1/jwks")
    }

    @Test("the cache is bounded")
    func boundedCache() async throws {
        let small = TokenVerifier(keys: [key.publicKey], issuers: ["https://issuer"], audiences: ["api"], cacheSize: 3)
        for _ in 0..<8 {
            let token = try issuer.issue(request, now: noon).token
            _ = try await small.verify(token, now: noon, objects: objects)
            #expect(small.cachedCount <= 3)
        }
    }

    @Test("the token of a secret counts while the secret holds it and the account is the same")
    func legacy() async throws {
        let account = ObjectKey(namespace: "ns", name: "robot")
        let token = try issuer.issueLegacy(account, uid: "u1", secret: "kept")
        objects.set("serviceaccounts", "ns", "robot", uid: "u1")
        await #expect(throws: TokenError.self) { try await verifier.verify(token, objects: objects) }
        objects.held.withLock { $0["ns/kept"] = token }
        let user = try await verifier.verify(token, objects: objects).user
        #expect(user.name == "system:serviceaccount:ns:robot" && user.uid == "u1" && user.extra.isEmpty)
        await #expect(throws: TokenError.self, "it is for this server alone") {
            try await verifier.verify(token, audiences: ["vault"], objects: objects)
        }
        objects.set("serviceaccounts", "ns", "robot", uid: "u2")
        await #expect(throws: TokenError.self) { try await verifier.verify(token, objects: objects) }
    }
}

@Suite struct BootstrapTokenTests {
    private static func secret(_ more: [String: String] = [:]) -> JSON {
        var data = [
            "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:worker",
        ]
        for (key, value) in more { data[key] = value }
        return [
            "type": .string(BootstrapToken.secretType), "metadata": ["name": "bootstrap-token-abcdef"],
            "data": JSON(data.mapValues(SecretData.encoded)),
        ]
    }

    @Test("a bootstrap token stands for its user while its secret says so")
    func authenticate() throws {
        let token = try #require(BootstrapToken("abcdef.0123456789abcdef"))
        let user = try #require(token.user(provedBy: Self.secret(), now: noon))
        #expect(user.name == "system:bootstrap:abcdef")
        #expect(user.groups == ["system:bootstrappers", "system:bootstrappers:worker", "system:authenticated"])
        let later = (noon + .seconds(1)).rfc3339
        #expect(token.user(provedBy: Self.secret(["expiration": later]), now: noon) != nil)
        for bad in [
            ["expiration": noon.rfc3339], ["expiration": "soon"], ["usage-bootstrap-authentication": "no"],
            ["token-secret": "0123456789abcdee"], ["auth-extra-groups": "system:masters"],
        ] {
            #expect(token.user(provedBy: Self.secret(bad), now: noon) == nil, "\(bad)")
        }
        for text in ["abcdef.0123", "ABCDEF.0123456789abcdef", "abcdef0123456789abcdef", "a.b.c"] {
            #expect(BootstrapToken(text) == nil)
        }
    }

    @Test("who knows the token can check what it signed")
    func signature() throws {
        let token = try #require(BootstrapToken("abcdef.0123456789abcdef"))
        // Computed with Python's hmac and base64.
        #expect(
            token.signature(of: "hello")
                == "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..MxsnbCjBaYzcbNIFa06F-wuF9LX26rhMlrL4zA1511s")
    }
}
