/// Groups of functions and macros beyond the language's own.
public struct CELLibraries: OptionSet, Sendable, Hashable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// What Kubernetes gives every expression: strings, sets, lists, two-variable comprehensions, optionals, regex,
    /// URLs, quantities, addresses, formats, semantic versions, authorizer.
    public static let kubernetes = CELLibraries(rawValue: 1)
    /// What a mutating admission policy has besides: `Object{…}`, `Object.spec{…}`, `JSONPatch{…}`, `jsonpatch.escapeKey`.
    public static let mutation = CELLibraries(rawValue: 2)
    /// `cel.bind`, `math.…`, `base64.…` and newer string functions: in CEL's conformance tests, not in Kubernetes.
    public static let extensions = CELLibraries(rawValue: 4)
}

/// What expressions may mention: variables and functions. Compiling is thread-safe.
public struct CELEnvironment: Sendable {
    /// Names and types of the variables.
    public let variables: [String: CELType]
    /// The functions and macros.
    public let libraries: CELLibraries

    /// Where names are looked up first, for example `a.b` for `a.b.x`; empty in Kubernetes.
    public var container = ""

    /// An environment. The `authorizer` and `authorizer.requestResource` variables have the types
    /// `CELEnvironment.authorizer` and `.resourceCheck`; their values come from `CELValue.authorizer`.
    public init(variables: [(String, CELType)], libraries: CELLibraries = .kubernetes) {
        self.variables = Dictionary(variables, uniquingKeysWith: { _, last in last })
        self.libraries = libraries
    }

    /// The type of the variable `authorizer`.
    public static let authorizer = CELType.opaque("kubernetes.authorization.Authorizer")
    /// The type of the variable `authorizer.requestResource`.
    public static let resourceCheck = CELType.opaque("kubernetes.authorization.ResourceCheck")
}
