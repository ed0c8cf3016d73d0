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

    /// `system:serviceaccount:NAMESPACE:NAME`.
    public var username: String { Self.username(namespace: namespace, name: serviceAccount.name) }
    /// The user name of a service account.
    public static func username(namespace: String, name: String) -> String {
        "system:serviceaccount:\(namespace):\(name)"
    }

    /// The user that the token stands for, with groups and extra.
    public var user: UserInfo {
        let prefix = "authentication.kubernetes.io/"
        var extra: [String: [String]] = ["\(prefix)credential-id": ["JTI=\(id)"]]
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
