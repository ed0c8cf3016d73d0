extension CELValue {
    /// The value of the variable `authorizer`.
    public static func authorizer(_ authorizer: any CELAuthorizer) -> CELValue {
        .opaque(AuthorizerValue(stage: .authorizer, question: CELAuthorizationQuestion(), authorizer: authorizer))
    }

    /// The value of the variable `authorizer.requestResource`: a question that already names the request's resource.
    public static func resourceCheck(_ question: CELAuthorizationQuestion, _ authorizer: any CELAuthorizer) -> CELValue
    {
        .opaque(AuthorizerValue(stage: .resource, question: question, authorizer: authorizer))
    }
}

/// A question being put together, or its answer. Questions are never equal, as upstream.
struct AuthorizerValue: CELOpaque {
    enum Stage: Sendable, Hashable {
        case authorizer, path, group, resource
        case decision(CELAuthorizationDecision)
    }
    var stage: Stage
    var question: CELAuthorizationQuestion
    var authorizer: any CELAuthorizer

    var typeName: String {
        switch stage {
        case .authorizer: "kubernetes.authorization.Authorizer"
        case .path: "kubernetes.authorization.PathCheck"
        case .group: "kubernetes.authorization.GroupCheck"
        case .resource: "kubernetes.authorization.ResourceCheck"
        case .decision: "kubernetes.authorization.Decision"
        }
    }
    func isEqual(to other: any CELOpaque) -> Bool { false }
}
