import NIOHTTP1
import ObjectModel
import Security

/// What a request asks for, read from its method and path alone.
struct RequestInfo: Sendable {
    /// Decoded, without trailing slashes (except `/`).
    var path: String
    var segments: [String]
    var isResource = false
    /// API verb, or the method in lower case for paths that are no resource.
    var verb: String
    var group = ""
    var version = ""
    var namespace = ""
    var resource = ""
    var name = ""
    var subresource = ""
    /// What follows the subresource (`proxy`).
    var tail: [String] = []

    init(method: HTTPMethod, path rawPath: String, query: Query) {
        segments = rawPath.utf8.split(separator: UInt8(ascii: "/")).map { percentDecoded(Substring($0)) }
        path = "/" + segments.joined(separator: "/")
        verb = method.rawValue.lowercased()
        var rest: ArraySlice<String>
        if segments.first == "api", segments.count >= 3 {
            version = segments[1]
            rest = segments[2...]
        } else if segments.first == "apis", segments.count >= 4 {
            group = segments[1]
            version = segments[2]
            rest = segments[3...]
        } else {
            return
        }
        var isWatch = query.flag("watch")
        if rest.first == "watch" {
            rest = rest.dropFirst()
            isWatch = true
            guard !rest.isEmpty else { return }
        }
        isResource = true
        if rest.first == "namespaces", rest.count > 1 {
            let parts = Array(rest)
            namespace = parts[1]
            if parts.count > 2, !["status", "finalize"].contains(parts[2]) { rest = rest.dropFirst(2) }
        }
        let parts = Array(rest)
        resource = parts[0]
        if parts.count > 1 { name = parts[1] }
        if parts.count > 2 { subresource = parts[2] }
        if parts.count > 3 { tail = Array(parts[3...]) }
        setVerb(method, isWatch: isWatch, isWatchPath: segments.contains("watch") && isWatch)
        guard name.isEmpty, ["list", "watch", "deletecollection"].contains(verb),
            let fields = query["fieldSelector"]
        else { return }
        selectedFields = Self.equalities(fields)
    }

    /// Fields that the request selects by equality.
    private(set) var selectedFields: [String: String] = [:]
    /// Permissions may be given for one name: a list or watch that selects it counts as a request for it.
    private var fieldName: String {
        verb == "deletecollection" ? "" : selectedFields["metadata.name"] ?? ""
    }

    private mutating func setVerb(_ method: HTTPMethod, isWatch: Bool, isWatchPath: Bool) {
        switch method {
        case .GET, .HEAD:
            if name.isEmpty {
                verb = isWatch ? "watch" : "list"
            } else {
                verb = isWatchPath && subresource.isEmpty && segments.dropLast().contains("watch") ? "watch" : "get"
            }
        case .POST: verb = "create"
        case .PUT: verb = "update"
        case .PATCH: verb = "patch"
        case .DELETE: verb = name.isEmpty ? "deletecollection" : "delete"
        default: break
        }
    }

    /// Requirements `field=value` and `field==value` of a field selector.
    static func equalities(_ fields: String) -> [String: String] {
        var result: [String: String] = [:]
        for part in fields.split(separator: ",") {
            let sides = part.split(separator: "=", omittingEmptySubsequences: true)
            if sides.count == 2, sides[0].last != "!" { result[String(sides[0])] = String(sides[1]) }
        }
        return result
    }

    var isLongRunning: Bool {
        isResource && (verb == "watch" || ["attach", "exec", "proxy", "log", "portforward"].contains(subresource))
    }
    var isMutating: Bool {
        isResource ? !["get", "list", "watch"].contains(verb) : !["get", "head"].contains(verb)
    }
    var gvr: GroupVersionResource { GroupVersionResource(group: group, version: version, resource: resource) }
    var groupResource: GroupResource { GroupResource(group: group, resource: resource) }

    func attributes(for user: UserInfo) -> AuthorizationAttributes {
        guard isResource else { return AuthorizationAttributes(user: user, verb: verb, path: path) }
        return AuthorizationAttributes(
            user: user, verb: verb,
            resource: .init(
                group: group, version: version, resource: resource, subresource: subresource, namespace: namespace,
                name: name.isEmpty ? fieldName : name, selectedFields: selectedFields))
    }
}
