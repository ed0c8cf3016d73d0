public import JSON

/// A label selector: requirements that must all hold. An empty one matches everything.
public struct LabelSelector: Sendable, Hashable {
    /// One requirement on one key.
    public struct Requirement: Sendable, Hashable {
        public enum Operator: String, Sendable, Hashable {
            case `in` = "In"
            case notIn = "NotIn"
            case exists = "Exists"
            case doesNotExist = "DoesNotExist"
            case greaterThan = "Gt"
            case lessThan = "Lt"
        }
        public var key: String
        public var op: Operator
        /// Sorted; one integer for greater and less than; empty for the existence operators.
        public var values: [String]

        public init(key: String, op: Operator, values: [String] = []) {
            self.key = key
            self.op = op
            self.values = values.sorted()
        }
    }
    public var requirements: [Requirement]

    public init(_ requirements: [Requirement] = []) {
        self.requirements = requirements
    }
    /// `key = value` for every pair.
    public init(matching labels: [String: String]) {
        requirements = labels.keys.sorted().map { Requirement(key: $0, op: .in, values: [labels[$0] ?? ""]) }
    }
    /// Parses the query-string grammar (`a=b,c!=d,e in (f,g),!h`).
    /// - Throws: `SelectorError` saying what is wrong.
    public init(parsing text: String) throws(SelectorError) {
        fatalError("being written")
    }
    /// Reads `metav1.LabelSelector` (`matchLabels`, `matchExpressions`); nil for JSON null.
    /// - Throws: `SelectorError` for an unknown operator or a wrong number of values.
    public init?(labelSelector json: JSON) throws(SelectorError) {
        fatalError("being written")
    }
    public func matches(_ labels: [String: String]) -> Bool {
        fatalError("being written")
    }
    public var isEmpty: Bool { requirements.isEmpty }
}

extension LabelSelector: CustomStringConvertible {
    /// The query-string grammar, canonical.
    public var description: String { fatalError("being written") }
}

/// A field selector (`metadata.name=x,status.phase!=Failed`). Which fields a kind supports is decided above.
public struct FieldSelector: Sendable, Hashable {
    public struct Requirement: Sendable, Hashable {
        public var field: String
        public var value: String
        /// True for `=`/`==`, false for `!=`.
        public var isEqual: Bool
        public init(field: String, value: String, isEqual: Bool) {
            self.field = field
            self.value = value
            self.isEqual = isEqual
        }
    }
    public var requirements: [Requirement]
    public init(_ requirements: [Requirement] = []) {
        self.requirements = requirements
    }
    /// Parses the query-string grammar; backslash escapes `\,`, `\=` and `\\`.
    public init(parsing text: String) throws(SelectorError) {
        fatalError("being written")
    }
    public var isEmpty: Bool { requirements.isEmpty }
}

extension FieldSelector: CustomStringConvertible {
    public var description: String { fatalError("being written") }
}

/// Why a selector could not be parsed.
public struct SelectorError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) {
        self.description = description
    }
}
