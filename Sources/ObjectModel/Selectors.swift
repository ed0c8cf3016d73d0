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
        var parser = LabelSelectorParser(text)
        requirements = try parser.parse()
    }
    /// Reads `metav1.LabelSelector` (`matchLabels`, `matchExpressions`); nil for JSON null.
    /// - Throws: `SelectorError` for an unknown operator or a wrong number of values.
    public init?(labelSelector json: JSON) throws(SelectorError) {
        guard case .object = json else {
            if json.isNull { return nil }
            throw SelectorError("a label selector must be an object")
        }
        requirements = json["matchLabels"].stringMap.sorted { $0.key < $1.key }.map {
            Requirement(key: $0.key, op: .in, values: [$0.value])
        }
        for expression in json["matchExpressions"].elements {
            let name = expression["operator"].string ?? ""
            // Gt and Lt belong to node selectors.
            guard let op = Requirement.Operator(rawValue: name), op != .greaterThan, op != .lessThan else {
                throw SelectorError("\"\(name)\" is not a valid label selector operator")
            }
            requirements.append(
                try Requirement(
                    checkedKey: expression["key"].string ?? "", op: op,
                    values: expression["values"].elements.compactMap(\.string)))
        }
    }
    /// True when the labels fulfil every requirement.
    public func matches(_ labels: [String: String]) -> Bool {
        requirements.allSatisfy { $0.matches(labels) }
    }
    public var isEmpty: Bool { requirements.isEmpty }
}

extension LabelSelector: CustomStringConvertible {
    /// The query-string grammar, canonical: sorted by key.
    public var description: String {
        requirements.sorted { $0.key < $1.key }.map(\.description).joined(separator: ",")
    }
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
        requirements = try FieldSelectorParser.parse(text)
    }
    /// True when every requirement holds for the values that `field` gives; an absent field reads as empty.
    public func matches(_ field: (String) -> String?) -> Bool {
        requirements.allSatisfy { (field($0.field) ?? "") == $0.value ? $0.isEqual : !$0.isEqual }
    }
    public var isEmpty: Bool { requirements.isEmpty }
}

extension FieldSelector: CustomStringConvertible {
    /// The query-string grammar, with special characters escaped.
    public var description: String {
        requirements.map { requirement in
            "\(requirement.field)\(requirement.isEqual ? "=" : "!=")\(FieldSelectorParser.escape(requirement.value))"
        }.joined(separator: ",")
    }
}

/// Why a selector could not be parsed.
public struct SelectorError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) {
        self.description = description
    }
}
