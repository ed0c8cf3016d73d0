/// Who makes a request.
public struct UserInfo: Sendable, Hashable {
    public var name: String
    public var uid: String
    public var groups: [String]
    public var extra: [String: [String]]

    public init(name: String, uid: String = "", groups: [String] = [], extra: [String: [String]] = [:]) {
        self.name = name
        self.uid = uid
        self.groups = groups
        self.extra = extra
    }

    /// Nobody in particular.
    public static let anonymous = UserInfo(name: "system:anonymous", groups: ["system:unauthenticated"])
    /// The server itself and the components inside its process.
    public static let system = UserInfo(name: "system:apiserver", groups: ["system:masters", "system:authenticated"])
}

/// What is asked for, as the authorizer sees it.
public struct AuthorizationAttributes: Sendable, Hashable {
    public var user: UserInfo
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the HTTP method in lower
    /// case for paths that are no resource.
    public var verb: String
    /// Nil when a path is asked for.
    public var resource: Resource?
    /// The path when no resource is asked for.
    public var path: String

    public struct Resource: Sendable, Hashable {
        public var group: String
        public var version: String
        public var resource: String
        public var subresource: String
        public var namespace: String
        public var name: String
        /// Fields that a list, watch or collection delete selects by equality, with their values.
        public var selectedFields: [String: String]
        public init(
            group: String, version: String, resource: String, subresource: String = "", namespace: String = "",
            name: String = "", selectedFields: [String: String] = [:]
        ) {
            self.group = group
            self.version = version
            self.resource = resource
            self.subresource = subresource
            self.namespace = namespace
            self.name = name
            self.selectedFields = selectedFields
        }
    }

    public init(user: UserInfo, verb: String, resource: Resource) {
        self.user = user
        self.verb = verb
        self.resource = resource
        path = ""
    }
    public init(user: UserInfo, verb: String, path: String) {
        self.user = user
        self.verb = verb
        resource = nil
        self.path = path
    }
}
