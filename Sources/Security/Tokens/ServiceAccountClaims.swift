import JSON
public import ObjectModel

/// Name and uid of an object that a token is bound to.
public struct BoundReference: Sendable, Hashable {
    public var name: String
    public var uid: String
    public init(name: String, uid: String) {
        self.name = name
        self.uid = uid
    }
    init?(_ json: JSON) {
        guard let name = json["name"].string, !name.isEmpty, let uid = json["uid"].string else { return nil }
        self.init(name: name, uid: uid)
    }
    var json: JSON { ["name": .string(name), "uid": .string(uid)] }
}

/// The claims of a service-account token (kubernetes-api.md §14).
public struct ServiceAccountClaims: Sendable, Hashable {
    public var issuer: String
    public var audiences: [String]
    public var issuedAt: Timestamp
    public var notBefore: Timestamp
    public var expires: Timestamp
    /// Unique id of the token (`jti`).
    public var id: String
    public var namespace: String
    public var serviceAccount: BoundReference
    /// The pod, node or secret that the token lives and dies with. A pod's token also names its node.
    public var pod: BoundReference?
    public var node: BoundReference?
    public var secret: BoundReference?
    /// When a client that still uses the token should have renewed it: set on tokens that live longer than asked for.
    public var warnAfter: Timestamp?
    /// A token kept in a secret of type `kubernetes.io/service-account-token`: it has no end and no audience, and counts
    /// as long as its secret (`secret`, of which it knows no uid) holds it.
    public var isLegacy = false

    /// The issuer that legacy tokens name.
    static let legacyIssuer = "kubernetes/serviceaccount"
    private static let legacyPrefix = "kubernetes.io/serviceaccount/"

    /// `system:serviceaccount:NAMESPACE:NAME`.
    public var username: String { Self.username(namespace: namespace, name: serviceAccount.name) }
    /// The user name of a service account.
    public static func username(namespace: String, name: String) -> String {
        "system:serviceaccount:\(namespace):\(name)"
    }

    /// The user that the token stands for, with groups and extra.
    public var user: UserInfo {
        let prefix = "authentication.kubernetes.io/"
        var extra: [String: [String]] = [:]
        if !id.isEmpty { extra["\(prefix)credential-id"] = ["JTI=\(id)"] }
        if let pod {
            extra["\(prefix)pod-name"] = [pod.name]
            extra["\(prefix)pod-uid"] = [pod.uid]
        }
        if let node {
            extra["\(prefix)node-name"] = [node.name]
            extra["\(prefix)node-uid"] = [node.uid]
        }
        return UserInfo(
            name: username, uid: serviceAccount.uid,
            groups: ["system:serviceaccounts", "system:serviceaccounts:\(namespace)", "system:authenticated"],
            extra: extra)
    }

    /// The JWT payload.
    var json: JSON {
        if isLegacy {
            return [
                "iss": .string(issuer), "\(Self.legacyPrefix)namespace": .string(namespace),
                "\(Self.legacyPrefix)secret.name": .string(secret?.name ?? ""),
                "\(Self.legacyPrefix)service-account.name": .string(serviceAccount.name),
                "\(Self.legacyPrefix)service-account.uid": .string(serviceAccount.uid), "sub": .string(username),
            ]
        }
        var own: JSON = ["namespace": .string(namespace)]
        own.setMember("node", node?.json)
        own.setMember("pod", pod?.json)
        own.setMember("secret", secret?.json)
        own["serviceaccount"] = serviceAccount.json
        own.setMember("warnafter", warnAfter.map { .integer($0.seconds) })
        return [
            "aud": JSON(audiences), "exp": .integer(expires.seconds), "iat": .integer(issuedAt.seconds),
            "iss": .string(issuer), "jti": .string(id), "kubernetes.io": own, "nbf": .integer(notBefore.seconds),
            "sub": .string(username),
        ]
    }

    /// Reads a payload; nil when a claim that must be there is not, or the subject does not fit the account.
    init?(_ json: JSON) {
        if json["iss"].string == Self.legacyIssuer {
            self.init(legacy: json)
        } else {
            self.init(bound: json)
        }
    }

    private init?(bound json: JSON) {
        let own = json["kubernetes.io"]
        guard let issuer = json["iss"].string, let issued = json["iat"].int, let expires = json["exp"].int,
            let namespace = own["namespace"].string, !namespace.isEmpty,
            let account = BoundReference(own["serviceaccount"]),
            json["sub"].string == Self.username(namespace: namespace, name: account.name)
        else { return nil }
        // RFC 7519 allows a single audience to stand alone.
        audiences = json["aud"].string.map { [$0] } ?? json["aud"].elements.compactMap(\.string)
        self.issuer = issuer
        issuedAt = Timestamp(seconds: Int64(issued))
        notBefore = Timestamp(seconds: Int64(json["nbf"].int ?? issued))
        self.expires = Timestamp(seconds: Int64(expires))
        id = json["jti"].string ?? ""
        self.namespace = namespace
        serviceAccount = account
        pod = BoundReference(own["pod"])
        node = BoundReference(own["node"])
        secret = BoundReference(own["secret"])
        warnAfter = own["warnafter"].int.map { Timestamp(seconds: Int64($0)) }
    }

    private init?(legacy json: JSON) {
        func text(_ name: String) -> String? {
            json["\(Self.legacyPrefix)\(name)"].string.flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let namespace = text("namespace"), let name = text("service-account.name"),
            let uid = text("service-account.uid"), let secret = text("secret.name"),
            json["sub"].string == Self.username(namespace: namespace, name: name)
        else { return nil }
        self.init(
            legacyFor: ObjectKey(namespace: namespace, name: name), uid: uid, secret: secret)
    }

    /// The claims of a token that is kept in a secret.
    init(legacyFor account: ObjectKey, uid: String, secret: String) {
        self.init(
            issuer: Self.legacyIssuer, audiences: [], issuedAt: Timestamp(seconds: 0),
            expires: Timestamp(microseconds: .max), id: "", namespace: account.namespace,
            serviceAccount: BoundReference(name: account.name, uid: uid))
        self.secret = BoundReference(name: secret, uid: "")
        isLegacy = true
    }

    init(
        issuer: String, audiences: [String], issuedAt: Timestamp, expires: Timestamp, id: String, namespace: String,
        serviceAccount: BoundReference
    ) {
        self.issuer = issuer
        self.audiences = audiences
        self.issuedAt = issuedAt
        notBefore = issuedAt
        self.expires = expires
        self.id = id
        self.namespace = namespace
        self.serviceAccount = serviceAccount
    }
}
