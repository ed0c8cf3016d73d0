import JSON
import NIOHTTP1
import ObjectModel
import Schema
import Security

/// Questions about identity and permission: objects that are created to be answered and are never stored.
extension Dispatcher {
    /// Nil when the resource is an ordinary one.
    func review(_ call: Call, _ definition: ResourceDefinition) async throws -> Answer? {
        let resource = definition.resource
        guard call.info.verb == "create",
            resource.group == "authentication.k8s.io" || resource.group == "authorization.k8s.io"
        else { return nil }
        _ = try Representation(call.request, shapes: false)
        var body = try BodyReader.read(call.request, as: definition.kind, backend.catalog).value
        guard body.object != nil else { throw StatusError.badRequest("the body must be a \(definition.kind.kind)") }
        if let kind = body["kind"].string, kind != definition.kind.kind {
            throw StatusError.badRequest(
                "\(kind) in version \"\(resource.version)\" cannot be handled as a \(definition.kind.kind): the kinds differ"
            )
        }
        body["apiVersion"] = .string(definition.kind.apiVersion)
        body["kind"] = .string(definition.kind.kind)
        if body["metadata"].object == nil { body["metadata"] = [:] }
        switch resource.resource {
        case "selfsubjectreviews": body["status"] = ["userInfo": json(of: call.user)]
        case "tokenreviews": body["status"] = await reviewToken(body["spec"])
        case "selfsubjectaccessreviews":
            body["status"] = try await reviewAccess(call.user, body["spec"], definition.kind)
        case "subjectaccessreviews":
            body["status"] = try await reviewAccess(
                try subject(body["spec"], definition.kind), body["spec"], definition.kind)
        case "localsubjectaccessreviews":
            let namespace = body["spec"]["resourceAttributes"]["namespace"].string ?? ""
            guard namespace == call.info.namespace else {
                throw StatusError.invalid(
                    definition.kind, name: "",
                    [
                        .invalid(
                            "spec.resourceAttributes.namespace", .string(namespace),
                            "must match metadata.namespace")
                    ])
            }
            body["status"] = try await reviewAccess(
                try subject(body["spec"], definition.kind), body["spec"], definition.kind)
        case "selfsubjectrulesreviews":
            guard let namespace = body["spec"]["namespace"].string, !namespace.isEmpty else {
                throw StatusError.badRequest("no namespace on request")
            }
            let rules = await authorizer.rules(for: call.user, namespace: namespace)
            body["status"] = [
                "resourceRules": .array(rules.resourceRules), "nonResourceRules": .array(rules.nonResourceRules),
                "incomplete": .bool(rules.isIncomplete),
            ]
            if !rules.evaluationError.isEmpty { body["status"]["evaluationError"] = .string(rules.evaluationError) }
        default: return nil
        }
        return try one(Object(body), call, definition: nil, status: .created)
    }

    private func json(of user: UserInfo) -> JSON {
        var info: JSON = ["username": .string(user.name)]
        if !user.uid.isEmpty { info["uid"] = .string(user.uid) }
        if !user.groups.isEmpty { info["groups"] = JSON(user.groups) }
        if !user.extra.isEmpty {
            info["extra"] = [:]
            for key in user.extra.keys.sorted() { info["extra"][key] = JSON(user.extra[key] ?? []) }
        }
        return info
    }

    private func reviewToken(_ spec: JSON) async -> JSON {
        let audiences = spec["audiences"].elements.compactMap(\.string)
        guard let token = spec["token"].string, !token.isEmpty else {
            return ["user": [:], "error": "[invalid bearer token, token lookup failed]"]
        }
        do {
            let identity = try await authenticator.authenticate(token: token, audiences: audiences)
            var user = identity.user
            if !user.groups.contains("system:authenticated") { user.groups.append("system:authenticated") }
            var status: JSON = ["authenticated": true, "user": json(of: user)]
            if !identity.audiences.isEmpty { status["audiences"] = JSON(identity.audiences) }
            return status
        } catch {
            return ["user": [:], "error": .string(statusError(error).message)]
        }
    }

    private func subject(_ spec: JSON, _ kind: GroupVersionKind) throws -> UserInfo {
        let name = spec["user"].string ?? ""
        let groups = spec["groups"].elements.compactMap(\.string)
        guard !name.isEmpty || !groups.isEmpty else {
            throw StatusError.invalid(
                kind, name: "", [.invalid("spec.user", .string(""), "at least one of user or group must be specified")])
        }
        var extra: [String: [String]] = [:]
        for (key, values) in spec["extra"].members { extra[key] = values.elements.compactMap(\.string) }
        return UserInfo(name: name, uid: spec["uid"].string ?? "", groups: groups, extra: extra)
    }

    /// Fields that a review's `fieldSelector` selects by equality.
    private static func selectedFields(_ selector: JSON) -> [String: String] {
        var fields = RequestInfo.equalities(selector["rawSelector"].string ?? "")
        for requirement in selector["requirements"].elements
        where requirement["operator"].string == "In" && requirement["values"].elements.count == 1 {
            fields[requirement["key"].string ?? ""] = requirement["values"][0].string ?? ""
        }
        return fields
    }

    private func reviewAccess(_ user: UserInfo, _ spec: JSON, _ kind: GroupVersionKind) async throws -> JSON {
        let resource = spec["resourceAttributes"]
        let path = spec["nonResourceAttributes"]
        guard resource.isNull != path.isNull else {
            throw StatusError.invalid(
                kind, name: "",
                [
                    .invalid(
                        "spec.resourceAttributes", resource,
                        "exactly one of nonResourceAttributes or resourceAttributes must be specified")
                ])
        }
        let attributes =
            if path.isNull {
                AuthorizationAttributes(
                    user: user, verb: resource["verb"].string ?? "",
                    resource: .init(
                        group: resource["group"].string ?? "", version: resource["version"].string ?? "",
                        resource: resource["resource"].string ?? "", subresource: resource["subresource"].string ?? "",
                        namespace: resource["namespace"].string ?? "", name: resource["name"].string ?? "",
                        selectedFields: Self.selectedFields(resource["fieldSelector"])))
            } else {
                AuthorizationAttributes(user: user, verb: path["verb"].string ?? "", path: path["path"].string ?? "")
            }
        var status: JSON
        let text: String
        switch await authorizer.authorize(attributes) {
        case .allowed(let reason): (status, text) = (["allowed": true], reason)
        case .denied(let reason): (status, text) = (["allowed": false], reason)
        }
        if !text.isEmpty { status["reason"] = .string(text) }
        return status
    }
}
