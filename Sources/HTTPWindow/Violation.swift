public import JSON

/// What is wrong with one member of a document, as Marathon and Metronome tell it.
public struct Violation: Sendable, Hashable {
    /// For example `/healthChecks(0)/path`.
    public var path: String
    public var message: String

    public init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    /// `[{"path": …, "errors": […]}]`, a member's problems together, in the order in which members came first.
    public static func details(_ violations: [Violation]) -> JSON {
        var order: [String] = []
        var byPath: [String: [JSON]] = [:]
        for violation in violations {
            if byPath[violation.path] == nil { order.append(violation.path) }
            byPath[violation.path, default: []].append(.string(violation.message))
        }
        return .array(order.map { ["path": .string($0), "errors": .array(byPath[$0] ?? [])] })
    }

    /// Details on one line, for logs and annotations.
    public static func text(_ details: JSON) -> String {
        details.elements.map { "\($0["path"].string ?? ""): \($0["errors"][0].string ?? "")" }.joined(separator: "; ")
    }
}
