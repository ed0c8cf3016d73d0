import JSON
import ObjectModel

/// One check of an object against its schema, in the words of Kubernetes.
///
/// What an update did not change is not looked at (KEP-4008): an object that was stored under an older schema can be
/// changed as long as the change itself is in order.
struct Validation {
    private let schema: StructuralSchema
    private(set) var problems: [FieldError] = []
    /// Rules cannot be trusted to say anything of an object whose types or sizes are wrong.
    private(set) var blocksRules = false
    /// Nobody reads more.
    private static let maximumProblems = 100
    private var failures = 0

    init(schema: StructuralSchema) { self.schema = schema }

    mutating func check(_ object: JSON, old: JSON?) {
        if let old, old == object { return }
        check(object, 0, old, path: .root)
        if schema.root.hasUniqueLists { checkLists(object, 0, old, path: .root) }
        if schema.root.hasEmbedded { checkEmbedded(object, 0, old, path: .root) }
    }

    private mutating func add(_ problem: FieldError) {
        failures += 1
        guard problems.count < Self.maximumProblems else { return }
        problems.append(problem)
        switch problem.reason {
        case .required, .tooLong, .tooMany, .typeInvalid: blocksRules = true
        default: break
        }
    }

    private mutating func invalid(_ path: FieldPath, _ value: JSON, _ why: String) {
        add(.invalid(path.text, value, "\(path.plain) in body \(why)"))
    }

    // MARK: Types

    private mutating func checkType(_ value: JSON, _ node: StructuralSchema.Node, path: FieldPath) {
        let found: String
        switch value {
        case .null:
            if node.isNullable || (node.kind == .any && !node.isIntOrString) { return }
            found = "null"
        case .object: if node.kind == .object || isUntyped(node) { return } else { found = "object" }
        case .array: if node.kind == .array || isUntyped(node) { return } else { found = "array" }
        case .string:
            if node.kind == .string || node.isIntOrString || isUntyped(node) { return } else { found = "string" }
        case .bool: if node.kind == .boolean || isUntyped(node) { return } else { found = "boolean" }
        case .integer:
            if node.kind == .integer || node.kind == .number || node.isIntOrString || isUntyped(node) { return }
            found = "integer"
        case .number(let number):
            if node.kind == .number || isUntyped(node) { return }
            let isWhole = number.doubleValue.rounded() == number.doubleValue && number.doubleValue.isFinite
            if isWhole, node.kind == .integer || node.isIntOrString { return }
            found = "number"
        }
        let wanted = node.isIntOrString && node.kind == .any ? "integer,string" : node.kind.name
        add(
            FieldError(
                field: path.text, reason: .typeInvalid,
                message: "Invalid value: \"\(found)\": \(path.plain) in body must be of type \(wanted): \"\(found)\""))
    }

    private func isUntyped(_ node: StructuralSchema.Node) -> Bool { node.kind == .any && !node.isIntOrString }

    private mutating func check(_ value: JSON, _ place: Int, _ old: JSON?, path: FieldPath) {
        let node = schema.nodes[place]
        checkType(value, node, path: path)
        if let checks = node.checks {
            if value.isNull {
                checkEnumeration(value, checks, path: path)
                return
            }
            checkJunctors(value, checks, path: path)
        }
        switch value {
        case .null: return
        case .string(let text): if let checks = node.checks { check(text, value, checks, path: path) }
        case .integer, .number: if let checks = node.checks { checkNumber(value, checks, path: path) }
        case .array(let elements): check(elements, node, old, path: path)
        case .bool, .object: break
        }
        if let checks = node.checks { checkEnumeration(value, checks, path: path) }
        if case .object(let members) = value { check(members, node, old, path: path) }
    }

    // MARK: Parts

    private mutating func check(
        _ elements: [JSON], _ node: StructuralSchema.Node, _ old: JSON?, path: FieldPath
    ) {
        if node.items >= 0 {
            let before = OldItems(old, node)
            for (index, element) in elements.enumerated() {
                let earlier = before.item(for: element)
                if let earlier, earlier == element { continue }
                check(element, node.items, earlier, path: path.index(index))
            }
        }
        guard let checks = node.checks else { return }
        if let least = checks.minItems, elements.count < least {
            invalid(path, JSON(elements.count), "should have at least \(least) items")
        }
        if let most = checks.maxItems, elements.count > most {
            add(.tooMany(path.text, count: elements.count, maximum: most))
        }
    }

    private mutating func check(
        _ members: JSONObject, _ node: StructuralSchema.Node, _ old: JSON?, path: FieldPath
    ) {
        if let checks = node.checks {
            if let least = checks.minProperties, members.count < least {
                invalid(path, JSON(members.count), "should have at least \(least) properties")
            }
            if let most = checks.maxProperties, members.count > most {
                add(.tooMany(path.text, count: members.count, maximum: most))
            }
            for name in checks.required where members[name] == nil { add(.required(path.member(name).text)) }
        }
        if node.properties.isEmpty, node.additionalPlace == nil { return }
        let before = old?.object
        for (name, member) in members {
            guard let part = node.properties[name] ?? node.additionalPlace else { continue }
            let earlier = before?[name]
            if let earlier, earlier == member { continue }
            check(member, part, earlier, path: path.member(name))
        }
    }

    // MARK: Values

    private mutating func check(_ text: String, _ value: JSON, _ checks: ValueChecks, path: FieldPath) {
        if checks.minLength != nil || checks.maxLength != nil {
            let length = text.unicodeScalars.count
            if let most = checks.maxLength, length > most { add(.tooLong(path.text, maximumBytes: most)) }
            if let least = checks.minLength, length < least {
                invalid(path, value, "should be at least \(least) chars long")
            }
        }
        if let (source, pattern) = checks.pattern, !pattern.matches(text) {
            invalid(path, value, "should match '\(source)'")
        }
        if let format = checks.format, !Formats.accepts(text, format) {
            add(
                FieldError(
                    field: path.text, reason: .typeInvalid,
                    message: "Invalid value: \(value): \(path.plain) in body must be of type \(format): \(value)"))
        }
    }

    private mutating func checkNumber(_ value: JSON, _ checks: ValueChecks, path: FieldPath) {
        guard let number = value.double else { return }
        if let factor = checks.multipleOf, factor > 0 {
            let quotient = number / factor
            if quotient != quotient.rounded() {
                invalid(path, value, "should be a multiple of \(Self.text(factor))")
            }
        }
        if let bound = checks.maximum, bound.isExclusive ? number >= bound.value : number > bound.value {
            let word = bound.isExclusive ? "less than" : "less than or equal to"
            invalid(path, value, "should be \(word) \(Self.text(bound.value))")
        }
        if let bound = checks.minimum, bound.isExclusive ? number <= bound.value : number < bound.value {
            let word = bound.isExclusive ? "greater than" : "greater than or equal to"
            invalid(path, value, "should be \(word) \(Self.text(bound.value))")
        }
    }

    /// A double as Go prints it.
    private static func text(_ value: Double) -> String {
        if let whole = Int64(exactly: value), abs(value) < 1e21 { return String(whole) }
        return "\(value)"
    }

    private mutating func checkEnumeration(_ value: JSON, _ checks: ValueChecks, path: FieldPath) {
        guard let allowed = checks.enumeration, !allowed.contains(value) else { return }
        add(.notSupported(path.text, value, allowed.map { $0.string ?? $0.description }))
    }

    // MARK: Alternatives

    /// Checks nested schemas without reporting: how many hold, and what the one that came closest says.
    private func outcome(of value: JSON, _ parts: [Int], path: FieldPath) -> (held: Int, closest: [FieldError]) {
        var held = 0
        var closest: [FieldError]?
        for part in parts {
            var attempt = Validation(schema: schema)
            attempt.check(value, part, nil, path: path)
            if attempt.failures == 0 {
                held += 1
            } else if attempt.problems.count < closest?.count ?? Int.max {
                closest = attempt.problems
            }
        }
        return (held, closest ?? [])
    }

    private mutating func checkJunctors(_ value: JSON, _ checks: ValueChecks, path: FieldPath) {
        func whole(_ why: String) -> FieldError { .invalid("<nil>", "", "\"\(path.plain)\" \(why)") }
        if !checks.anyOf.isEmpty {
            let (held, closest) = outcome(of: value, checks.anyOf, path: path)
            if held == 0 {
                add(whole("must validate at least one schema (anyOf)"))
                for problem in closest { add(problem) }
            }
        }
        if !checks.oneOf.isEmpty {
            let (held, closest) = outcome(of: value, checks.oneOf, path: path)
            if held == 0 {
                add(whole("must validate one and only one schema (oneOf). Found none valid"))
                for problem in closest { add(problem) }
            } else if held > 1 {
                add(whole("must validate one and only one schema (oneOf). Found \(held) valid alternatives"))
            }
        }
        if !checks.allOf.isEmpty {
            var isBroken = false
            var held = 0
            for part in checks.allOf {
                let before = failures
                check(value, part, nil, path: path)
                if failures > before { isBroken = true } else { held += 1 }
            }
            if isBroken {
                add(whole("must validate all the schemas (allOf)" + (held == 0 ? ". None validated" : "")))
            }
        }
        if let not = checks.not, outcome(of: value, [not], path: path).held == 1 {
            add(whole("must not validate the schema (not)"))
        }
    }

    // MARK: Lists and embedded resources

    /// Sets and keyed lists must not repeat an item.
    private mutating func checkLists(_ value: JSON, _ place: Int, _ old: JSON?, path: FieldPath) {
        let node = schema.nodes[place]
        guard node.hasUniqueLists, old != value else { return }
        switch value {
        case .array(let elements):
            switch node.listKind {
            case .atomic: break
            case .set:
                var seen: Set<String> = []
                for (index, element) in elements.enumerated() where !seen.insert(element.sortedText).inserted {
                    add(.duplicate(path.index(index).text, element))
                }
            case .map:
                var seen: Set<String> = []
                for (index, element) in elements.enumerated() {
                    let key = OldItems.key(of: element, node.listKeys)
                    if !seen.insert(key.sortedText).inserted { add(.duplicate(path.index(index).text, key)) }
                }
            }
            if node.items >= 0 {
                let before = OldItems(old, node)
                for (index, element) in elements.enumerated() {
                    checkLists(element, node.items, before.item(for: element), path: path.index(index))
                }
            }
        case .object(let members):
            for (name, member) in members {
                guard let part = node.properties[name] ?? node.additionalPlace else { continue }
                checkLists(member, part, old?[name], path: path.member(name))
            }
        default: return
        }
    }

    /// Embedded resources say what they are, and their metadata is metadata.
    private mutating func checkEmbedded(
        _ value: JSON, _ place: Int, _ old: JSON?, path: FieldPath
    ) {
        let node = schema.nodes[place]
        guard node.hasEmbedded, old != value else { return }
        switch value {
        case .array(let elements):
            guard node.items >= 0 else { return }
            for (index, element) in elements.enumerated() {
                checkEmbedded(element, node.items, nil, path: path.index(index))
            }
        case .object(let members):
            if node.isEmbedded {
                for name in ["apiVersion", "kind"] {
                    switch members[name] {
                    case nil: add(.required(path.member(name).text, "must not be empty"))
                    case .string(let text)? where text.isEmpty:
                        add(.required(path.member(name).text, "must not be empty"))
                    case .string(let text)?:
                        if name == "kind", case let problems = Names.dns1035LabelProblems(text.lowercased()),
                            !problems.isEmpty
                        {
                            add(
                                .invalid(
                                    path.member(name).text, .string(text),
                                    "may have mixed case, but should otherwise match: "
                                        + problems.joined(separator: ",")))
                        }
                    case let other?:
                        add(.invalid(path.member(name).text, other, "must be a string"))
                    }
                }
                if let metadata = members["metadata"], metadata.object == nil, !metadata.isNull {
                    add(.invalid(path.member("metadata").text, metadata, "must be an object"))
                }
            }
            for (name, member) in members {
                guard let part = node.properties[name] ?? node.additionalPlace else { continue }
                checkEmbedded(member, part, old?[name], path: path.member(name))
            }
        default: return
        }
    }
}

/// The items of a list before a change, to be found by what identifies them. Only items of keyed lists can be told
/// apart when lists change.
struct OldItems {
    private let items: [String: JSON]
    private let keys: [String]

    init(_ old: JSON?, _ node: StructuralSchema.Node) {
        keys = node.listKeys
        guard node.listKind == .map, let elements = old?.array else {
            items = [:]
            return
        }
        items = Dictionary(
            elements.map { (Self.key(of: $0, node.listKeys).sortedText, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func item(for element: JSON) -> JSON? {
        items.isEmpty ? nil : items[Self.key(of: element, keys).sortedText]
    }

    static func key(of element: JSON, _ keys: [String]) -> JSON {
        var key: JSONObject = [:]
        for name in keys {
            let value = element[name]
            if !value.isNull { key[name] = value }
        }
        return .object(key)
    }
}

extension JSON {
    /// Text that is equal for equal values, whatever the order of members.
    var sortedText: String {
        switch self {
        case .object(let members):
            "{" + members.keys.sorted().map { "\(JSON.string($0)):\(self[$0].sortedText)" }.joined(separator: ",") + "}"
        case .array(let elements): "[" + elements.map(\.sortedText).joined(separator: ",") + "]"
        case .number(let number): Int64(exactly: number.doubleValue).map { "\($0)" } ?? "\(number.doubleValue)"
        default: description
        }
    }
}
