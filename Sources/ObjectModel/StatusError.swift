public import JSON

/// The API's own error: what clients receive as a `Status` object, and what every layer of Apus throws towards a client.
public struct StatusError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The machine-readable reasons clients switch on (`metav1.StatusReason`).
    public enum Reason: String, Sendable, Hashable {
        case unknown = ""
        case badRequest = "BadRequest"
        case unauthorized = "Unauthorized"
        case forbidden = "Forbidden"
        case notFound = "NotFound"
        case methodNotAllowed = "MethodNotAllowed"
        case notAcceptable = "NotAcceptable"
        case alreadyExists = "AlreadyExists"
        case conflict = "Conflict"
        case gone = "Gone"
        case expired = "Expired"
        case requestEntityTooLarge = "RequestEntityTooLarge"
        case unsupportedMediaType = "UnsupportedMediaType"
        case invalid = "Invalid"
        case tooManyRequests = "TooManyRequests"
        case internalError = "InternalError"
        case serverTimeout = "ServerTimeout"
        case serviceUnavailable = "ServiceUnavailable"
        case timeout = "Timeout"
    }

    /// One entry of `details.causes`.
    public struct Cause: Sendable, Hashable {
        public var reason: String
        public var message: String
        public var field: String

        public init(reason: String, message: String, field: String = "") {
            self.reason = reason
            self.message = message
            self.field = field
        }
    }

    /// HTTP status code.
    public var code: Int
    public var reason: Reason
    public var message: String
    /// `details`: object name, group, kind (the plural resource, but the Kind for Invalid), uid.
    public var name = ""
    public var group = ""
    public var kind = ""
    public var uid = ""
    public var causes: [Cause] = []
    public var retryAfterSeconds: Int?
    /// A fresh continue token, for expired lists.
    public var continueToken: String?

    public init(code: Int, reason: Reason, message: String) {
        self.code = code
        self.reason = reason
        self.message = message
    }

    public var description: String { "\(reason.rawValue.isEmpty ? "Unknown" : reason.rawValue) (\(code)): \(message)" }

    // MARK: The usual ones, in Kubernetes's wording

    public static func badRequest(_ message: String) -> StatusError {
        StatusError(code: 400, reason: .badRequest, message: message)
    }
    public static func unauthorized() -> StatusError {
        StatusError(code: 401, reason: .unauthorized, message: "Unauthorized")
    }
    /// `pods "x" is forbidden: why`.
    public static func forbidden(_ resource: GroupResource, name: String, _ why: String) -> StatusError {
        var error = StatusError(
            code: 403, reason: .forbidden,
            message: name.isEmpty ? "\(resource) is forbidden: \(why)" : "\(resource) \"\(name)\" is forbidden: \(why)")
        error.about(resource, name)
        return error
    }
    /// `pods "x" not found`.
    public static func notFound(_ resource: GroupResource, name: String) -> StatusError {
        var error = StatusError(code: 404, reason: .notFound, message: "\(resource) \"\(name)\" not found")
        error.about(resource, name)
        return error
    }
    /// `pods "x" already exists`.
    public static func alreadyExists(_ resource: GroupResource, name: String) -> StatusError {
        var error = StatusError(code: 409, reason: .alreadyExists, message: "\(resource) \"\(name)\" already exists")
        error.about(resource, name)
        return error
    }
    /// `Operation cannot be fulfilled on pods "x": why`.
    public static func conflict(
        _ resource: GroupResource, name: String,
        _ why: String = "the object has been modified; please apply your changes to the latest version and try again"
    ) -> StatusError {
        var error = StatusError(
            code: 409, reason: .conflict, message: "Operation cannot be fulfilled on \(resource) \"\(name)\": \(why)")
        error.about(resource, name)
        return error
    }
    /// `Pod "x" is invalid: …`, or `Deployment.apps "x" is invalid: …` outside of the core group, with one cause per problem.
    public static func invalid(_ kind: GroupVersionKind, name: String, _ problems: [FieldError]) -> StatusError {
        let texts = problems.map(\.description)
        let joined = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
        let qualified = kind.group.isEmpty ? kind.kind : "\(kind.kind).\(kind.group)"
        var error = StatusError(
            code: 422, reason: .invalid, message: "\(qualified) \"\(name)\" is invalid: \(joined)")
        error.name = name
        error.group = kind.group
        error.kind = kind.kind
        error.causes = problems.map { Cause(reason: $0.reason.rawValue, message: $0.message, field: $0.field) }
        return error
    }
    public static func expired(_ message: String) -> StatusError {
        StatusError(code: 410, reason: .expired, message: message)
    }
    public static func methodNotAllowed(_ message: String) -> StatusError {
        StatusError(code: 405, reason: .methodNotAllowed, message: message)
    }
    public static func tooManyRequests(_ message: String, retryAfterSeconds: Int = 1) -> StatusError {
        var error = StatusError(code: 429, reason: .tooManyRequests, message: message)
        error.retryAfterSeconds = retryAfterSeconds
        return error
    }
    public static func internalError(_ message: String) -> StatusError {
        StatusError(code: 500, reason: .internalError, message: "Internal error occurred: \(message)")
    }
    public static func serviceUnavailable(_ message: String) -> StatusError {
        StatusError(code: 503, reason: .serviceUnavailable, message: message)
    }
    public static func timeout(_ message: String) -> StatusError {
        StatusError(code: 504, reason: .timeout, message: "Timeout: \(message)")
    }

    private mutating func about(_ resource: GroupResource, _ name: String) {
        self.name = name
        group = resource.group
        kind = resource.resource
    }

    // MARK: Wire form

    /// The `Status` object that is sent to clients.
    public var json: JSON {
        var details: JSON = [:]
        if !name.isEmpty { details["name"] = .string(name) }
        if !group.isEmpty { details["group"] = .string(group) }
        if !kind.isEmpty { details["kind"] = .string(kind) }
        if !uid.isEmpty { details["uid"] = .string(uid) }
        if !causes.isEmpty {
            details["causes"] = .array(
                causes.map { cause in
                    var json: JSON = [:]
                    if !cause.reason.isEmpty { json["reason"] = .string(cause.reason) }
                    if !cause.message.isEmpty { json["message"] = .string(cause.message) }
                    if !cause.field.isEmpty { json["field"] = .string(cause.field) }
                    return json
                })
        }
        if let retryAfterSeconds { details["retryAfterSeconds"] = .integer(Int64(retryAfterSeconds)) }
        var metadata: JSON = [:]
        if let continueToken { metadata["continue"] = .string(continueToken) }
        var status: JSON = [
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": .string(message),
        ]
        if reason != .unknown { status["reason"] = .string(reason.rawValue) }
        if !details.members.isEmpty { status["details"] = details }
        status["code"] = .integer(Int64(code))
        return status
    }

    /// Reads a `Status` object; missing parts get neutral values.
    public init(status json: JSON) {
        code = json["code"].int ?? 500
        reason = Reason(rawValue: json["reason"].string ?? "") ?? .unknown
        message = json["message"].string ?? ""
        let details = json["details"]
        name = details["name"].string ?? ""
        group = details["group"].string ?? ""
        kind = details["kind"].string ?? ""
        uid = details["uid"].string ?? ""
        causes = details["causes"].elements.map {
            Cause(
                reason: $0["reason"].string ?? "", message: $0["message"].string ?? "", field: $0["field"].string ?? "")
        }
        retryAfterSeconds = details["retryAfterSeconds"].int
        continueToken = json["metadata"]["continue"].string
    }
}

/// One problem of one field, in Kubernetes's words: `spec.selector: Required value`.
public struct FieldError: Sendable, Hashable, CustomStringConvertible {
    /// `metav1.CauseType` of field problems.
    public enum Reason: String, Sendable {
        case notFound = "FieldValueNotFound"
        case required = "FieldValueRequired"
        case duplicate = "FieldValueDuplicate"
        case invalid = "FieldValueInvalid"
        case notSupported = "FieldValueNotSupported"
        case forbidden = "FieldValueForbidden"
        case tooLong = "FieldValueTooLong"
        case tooMany = "FieldValueTooMany"
        case typeInvalid = "FieldValueTypeInvalid"
        case internalError = "InternalError"
    }
    /// Path such as `spec.template.spec.containers[0].image`.
    public var field: String
    public var reason: Reason
    /// Everything after the path: `Required value: why`.
    public var message: String

    public init(field: String, reason: Reason, message: String) {
        self.field = field
        self.reason = reason
        self.message = message
    }

    public var description: String { "\(field): \(message)" }

    public static func required(_ field: String, _ why: String = "") -> FieldError {
        FieldError(field: field, reason: .required, message: why.isEmpty ? "Required value" : "Required value: \(why)")
    }
    /// `Invalid value: "x": why`; strings are quoted, other values printed as JSON.
    public static func invalid(_ field: String, _ value: JSON, _ why: String) -> FieldError {
        FieldError(field: field, reason: .invalid, message: "Invalid value: \(value): \(why)")
    }
    public static func duplicate(_ field: String, _ value: JSON) -> FieldError {
        FieldError(field: field, reason: .duplicate, message: "Duplicate value: \(value)")
    }
    /// - Parameter isSorted: whether the words are listed by the alphabet, as upstream does for most members.
    public static func notSupported(
        _ field: String, _ value: JSON, _ supported: [String], isSorted: Bool = true
    ) -> FieldError {
        let list = (isSorted ? supported.sorted() : supported).map { "\"\($0)\"" }.joined(separator: ", ")
        return FieldError(
            field: field, reason: .notSupported, message: "Unsupported value: \(value): supported values: \(list)")
    }
    public static func forbidden(_ field: String, _ why: String) -> FieldError {
        FieldError(field: field, reason: .forbidden, message: "Forbidden: \(why)")
    }
    public static func notFound(_ field: String, _ value: JSON) -> FieldError {
        FieldError(field: field, reason: .notFound, message: "Not found: \(value)")
    }
    public static func tooLong(_ field: String, maximumBytes: Int) -> FieldError {
        FieldError(field: field, reason: .tooLong, message: "Too long: may not be more than \(maximumBytes) bytes")
    }
    public static func tooMany(_ field: String, count: Int, maximum: Int) -> FieldError {
        FieldError(
            field: field, reason: .tooMany, message: "Too many: \(count): must have at most \(maximum) items")
    }
}
