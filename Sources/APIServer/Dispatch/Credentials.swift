import NIOHTTP1
import ObjectModel
import Security
import Streaming

/// Finds out who sent a request: client certificate, bearer token, else nobody.
struct Credentials: Sendable {
    private let authenticator: any Authenticator
    private let authorizer: any Authorizer

    init(authenticator: any Authenticator, authorizer: any Authorizer) {
        self.authenticator = authenticator
        self.authorizer = authorizer
    }

    /// - Throws: `StatusError` 401 for a bad token, 403 for an impersonation that is not allowed.
    func user(of request: Request) async throws -> UserInfo {
        let user = try await ownUser(of: request)
        guard Self.impersonates(request) else { return user }
        return try await impersonated(by: user, request.headers)
    }

    /// The user, when the connection's certificate alone says who that is.
    func userAtOnce(of request: Request) -> UserInfo? {
        guard let user = request.connection.certificateUser, !Self.impersonates(request) else { return nil }
        return authenticated(user)
    }

    private static func impersonates(_ request: Request) -> Bool {
        request.headers.contains {
            $0.name.utf8.count > 12 && ($0.name.utf8.first ?? 0) | 0x20 == UInt8(ascii: "i")
                && $0.name.lowercased().hasPrefix("impersonate-")
        }
    }

    private func ownUser(of request: Request) async throws -> UserInfo {
        if let user = request.connection.certificateUser { return authenticated(user) }
        guard let token = Self.bearerToken(of: request) else {
            if request.connection.hasForeignCertificate { throw StatusError.unauthorized() }
            return .anonymous
        }
        do {
            return authenticated(try await authenticator.authenticate(token: token, audiences: []).user)
        } catch let error as StatusError where error.code >= 500 {
            throw error
        } catch {
            throw StatusError.unauthorized()
        }
    }

    /// The token of the `Authorization` header, or the one that a browser's WebSocket carries as a subprotocol, because it
    /// cannot set headers.
    private static func bearerToken(of request: Request) -> String? {
        if let header = request.headers.first(name: "authorization") {
            let parts = header.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
            let token = parts[1].drop { $0 == " " }
            return token.isEmpty ? nil : String(token)
        }
        guard request.headers.first(name: "upgrade")?.lowercased() == "websocket" else { return nil }
        let prefix = StreamNegotiation.bearerToken
        guard let name = request.tokens("sec-websocket-protocol").first(where: { $0.hasPrefix(prefix) }) else {
            return nil
        }
        return SecretData.text(base64URL: name.dropFirst(prefix.count))
    }

    private func authenticated(_ user: UserInfo) -> UserInfo {
        guard !user.groups.contains("system:authenticated"), user.name != UserInfo.anonymous.name else { return user }
        var user = user
        user.groups.append("system:authenticated")
        return user
    }

    /// Acting as somebody else needs the verb `impersonate` on every part of the identity.
    private func impersonated(by user: UserInfo, _ headers: HTTPHeaders) async throws -> UserInfo {
        let groups = headers["impersonate-group"]
        let uid = headers.first(name: "impersonate-uid") ?? ""
        var extra: [String: [String]] = [:]
        for (name, value) in headers where name.lowercased().hasPrefix("impersonate-extra-") {
            extra[percentDecoded(name.lowercased().dropFirst("impersonate-extra-".count)), default: []].append(value)
        }
        guard let name = headers.first(name: "impersonate-user"), !name.isEmpty else {
            // Groups of nobody in particular would escape the checks below.
            throw StatusError.badRequest("requested \(groups) \(extra.keys.sorted()) without impersonating a user")
        }
        var target = UserInfo(name: name, uid: uid, groups: groups, extra: extra)
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count == 4, parts[0] == "system", parts[1] == "serviceaccount" {
            let (namespace, account) = (String(parts[2]), String(parts[3]))
            try await require(user, "serviceaccounts", name: account, namespace: namespace)
            if groups.isEmpty {
                target.groups = ["system:serviceaccounts", "system:serviceaccounts:\(namespace)"]
            }
        } else {
            try await require(user, "users", name: name)
        }
        for group in groups { try await require(user, "groups", name: group) }
        if !uid.isEmpty { try await require(user, "uids", group: "authentication.k8s.io", name: uid) }
        for (key, values) in extra {
            for value in values {
                try await require(
                    user, "userextras", group: "authentication.k8s.io", subresource: key, name: value)
            }
        }
        if name == UserInfo.anonymous.name {
            if !target.groups.contains("system:unauthenticated") { target.groups.append("system:unauthenticated") }
            return target
        }
        return authenticated(target)
    }

    private func require(
        _ user: UserInfo, _ resource: String, group: String = "", subresource: String = "", name: String,
        namespace: String = ""
    ) async throws {
        try await authorizer.require(
            AuthorizationAttributes(
                user: user, verb: "impersonate",
                resource: .init(
                    group: group, version: "v1", resource: resource, subresource: subresource, namespace: namespace,
                    name: name)))
    }
}

extension Authorizer {
    /// - Throws: `StatusError` 403 in the API server's words.
    func require(_ attributes: AuthorizationAttributes) async throws {
        guard case .denied(let reason) = await authorize(attributes) else { return }
        throw StatusError.forbidden(attributes, reason: reason)
    }
}

extension StatusError {
    static func forbidden(_ attributes: AuthorizationAttributes, reason: String) -> StatusError {
        let suffix = reason.isEmpty ? "" : ": \(reason)"
        guard let resource = attributes.resource else {
            return StatusError(
                code: 403, reason: .forbidden,
                message: "forbidden: User \"\(attributes.user.name)\" cannot \(attributes.verb) path"
                    + " \"\(attributes.path)\"\(suffix)")
        }
        let full = resource.subresource.isEmpty ? resource.resource : "\(resource.resource)/\(resource.subresource)"
        let place = resource.namespace.isEmpty ? "at the cluster scope" : "in the namespace \"\(resource.namespace)\""
        return .forbidden(
            GroupResource(group: resource.group, resource: resource.resource), name: resource.name,
            "User \"\(attributes.user.name)\" cannot \(attributes.verb) resource \"\(full)\" in API group"
                + " \"\(resource.group)\" \(place)\(suffix)")
    }
}
