/// Answers the questions that expressions ask through the `authorizer` variable.
public protocol CELAuthorizer: Sendable {
    /// Decides on one question. Called at `check(verb)`; each call costs 350,000 units of the budget.
    func decide(_ question: CELAuthorizationQuestion) -> CELAuthorizationDecision
}

/// What an expression asks: a path, or an action on a resource.
public struct CELAuthorizationQuestion: Sendable, Hashable {
    /// Set for `authorizer.path(…)`; the resource fields are then empty.
    public var path: String?
    public var group = ""
    /// `*` unless the server knows better: expressions name no version.
    public var version = "*"
    public var resource = ""
    public var subresource = ""
    public var namespace = ""
    public var name = ""
    public var verb = ""
    /// `fieldSelector(…)`: the text as it was written.
    public var fieldSelector: String?
    /// `labelSelector(…)`: the text as it was written.
    public var labelSelector: String?
    /// `serviceAccount(namespace, name)`: ask for that account instead of the request's user.
    public var serviceAccount: (namespace: String, name: String)? {
        get { account.map { ($0.namespace, $0.name) } }
        set { account = newValue.map { Account(namespace: $0.namespace, name: $0.name) } }
    }
    private var account: Account?

    private struct Account: Sendable, Hashable {
        var namespace: String
        var name: String
    }

    /// A question with everything empty.
    public init() {}
}

/// An answer to a question.
public struct CELAuthorizationDecision: Sendable, Hashable {
    public var allowed: Bool
    /// Why, as `reason()` gives it; may be empty.
    public var reason: String
    /// What went wrong while deciding, as `errored()` and `error()` give it.
    public var error: String?

    /// An answer.
    public init(allowed: Bool, reason: String = "", error: String? = nil) {
        self.allowed = allowed
        self.reason = reason
        self.error = error
    }
}
