import CEL
import JSON
import ObjectModel

/// One rule (`x-kubernetes-validations`), compiled.
struct Rule: Sendable {
    let source: String
    let program: Result<CELProgram, CELProblem>
    let messageProgram: Result<CELProgram, CELProblem>?
    /// What the definition says to whoever breaks it.
    let message: String
    let reason: FieldError.Reason
    /// Appended to the path of the value: `.spec.x`; empty: the value itself.
    let fieldPath: String
    let hasOptionalOldSelf: Bool
    /// It compares with the value before the change.
    let isTransition: Bool

    init(_ json: JSON, type: CELType) {
        source = json["rule"].string ?? ""
        message = Self.trimmed(json["message"].string ?? "")
        reason = json["reason"].string.flatMap { FieldError.Reason(rawValue: $0) } ?? .invalid
        fieldPath = json["fieldPath"].string ?? ""
        hasOptionalOldSelf = json["optionalOldSelf"].bool ?? false
        let environment = CELEnvironment(
            variables: [("self", type), ("oldSelf", hasOptionalOldSelf ? .optional(type) : type)])
        let program = Self.compile(source, environment, .bool)
        self.program = program
        messageProgram = json["messageExpression"].string.map { Self.compile(Self.trimmed($0), environment, .string) }
        isTransition = (try? program.get())?.references.contains("oldSelf") ?? false
    }

    private static func compile(_ source: String, _ environment: CELEnvironment, _ type: CELType)
        -> Result<CELProgram, CELProblem>
    {
        do throws(CELProblem) {
            return .success(try environment.compile(source, expecting: type))
        } catch {
            return .failure(error)
        }
    }

    private static func trimmed(_ text: String) -> String {
        String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }

    /// How messages name the rule.
    var title: String { message.isEmpty ? source : message }
}

/// All rules of a schema, compiled once, by the node they belong to.
final class RuleSet: Sendable {
    fileprivate let schema: StructuralSchema
    fileprivate let rules: [Int: [Rule]]
    fileprivate let types: [Int: CELType]

    init(_ schema: StructuralSchema) {
        self.schema = schema
        var rules: [Int: [Rule]] = [:]
        var types: [Int: CELType] = [:]
        let builder = RuleTypes(schema: schema)
        for (place, node) in schema.nodes.enumerated() where !node.rules.isEmpty {
            let type = builder.type(place, isRoot: place == 0) ?? .dyn
            types[place] = type
            rules[place] = node.rules.map { Rule($0, type: type) }
        }
        self.rules = rules
        self.types = types
    }

    /// What the rules say of an object, or of a change.
    func problems(of object: JSON, old: JSON?) -> [FieldError] {
        var run = RuleRun(set: self)
        run.check(object, 0, old, path: .root)
        return run.problems
    }
}

/// One evaluation of all rules on one object, within one budget.
private struct RuleRun {
    let set: RuleSet
    var problems: [FieldError] = []
    private var budget = CELBudget(limit: CELBudget.perObject)
    private var isOver = false

    init(set: RuleSet) { self.set = set }

    mutating func check(_ value: JSON, _ place: Int, _ old: JSON?, path: FieldPath) {
        let node = set.schema.nodes[place]
        guard node.hasRules, !isOver, problems.count < 100 else { return }
        if let rules = set.rules[place], let type = set.types[place], !value.isNull {
            evaluate(rules, value, type, place, old, path: path)
        }
        switch value {
        case .object(let members):
            for (name, member) in members {
                if let property = node.properties[name] {
                    check(member, property, old?.object?[name], path: path.member(name))
                } else if let part = node.additionalPlace {
                    check(member, part, old?.object?[name], path: path.key(name))
                }
            }
        case .array(let elements):
            guard node.items >= 0, set.schema.nodes[node.items].hasRules else { return }
            let before = OldItems(old, node)
            for (index, element) in elements.enumerated() {
                check(element, node.items, before.item(for: element), path: path.index(index))
            }
        default: return
        }
    }

    private mutating func evaluate(
        _ rules: [Rule], _ value: JSON, _ type: CELType, _ place: Int, _ old: JSON?, path: FieldPath
    ) {
        let listKind = RuleTypes(schema: set.schema).listKind(place)
        let own = CELValue(json: value, type: type, listKind: listKind)
        let isUnchanged = old == value
        for rule in rules where !isOver {
            // What did not change was in order, or was there before the rule.
            if isUnchanged, !rule.isTransition { continue }
            var variables: [String: CELValue] = ["self": own]
            if rule.isTransition {
                let before = old.map { CELValue(json: $0, type: type, listKind: listKind) }
                if rule.hasOptionalOldSelf {
                    variables["oldSelf"] = .optional(before)
                } else {
                    guard let before else { continue }
                    variables["oldSelf"] = before
                }
            }
            run(rule, variables, value, place, path: path)
        }
    }

    private mutating func run(
        _ rule: Rule, _ variables: [String: CELValue], _ value: JSON, _ place: Int, path: FieldPath
    ) {
        let typeName = JSON.string(set.schema.nodes[place].kind.name)
        do throws(CELFailure) {
            let program: CELProgram
            switch rule.program {
            case .success(let compiled): program = compiled
            case .failure(let problem):
                problems.append(.invalid(path.text, typeName, "rule compile error: \(problem.description)"))
                return
            }
            if case .bool(true) = try program.evaluate(variables, budget: &budget) { return }
        } catch {
            let why: String
            switch error.kind {
            case .budgetExceeded:
                isOver = true
                why = "validation failed due to running out of cost budget, no further validation rules will be run"
            case .callCostExceeded:
                isOver = true
                why =
                    "'\(error.message)': no further validation rules will be run due to call cost exceeds limit for "
                    + "rule: \(rule.title)"
            case .error where error.message.hasPrefix("no such overload"):
                why =
                    "'\(error.message)': call arguments did not match a supported operator, function or macro "
                    + "signature for rule: \(rule.title)"
            case .error: why = "\(error.message) evaluating rule: \(rule.title)"
            }
            problems.append(.invalid(path.text, typeName, why))
            return
        }
        report(rule, message(rule, variables), value, path: path)
    }

    /// What a broken rule says: its expression's text if there is a usable one, else its message, else itself.
    private mutating func message(_ rule: Rule, _ variables: [String: CELValue]) -> String {
        if case .success(let program)? = rule.messageProgram,
            case .string(let text)? = try? program.evaluate(variables, budget: &budget),
            text.utf8.count <= 5 * 1024, !text.contains(where: \.isNewline), text.contains(where: { !$0.isWhitespace })
        {
            return text
        }
        return rule.message.isEmpty ? "failed rule: \(rule.source)" : rule.message
    }

    private mutating func report(_ rule: Rule, _ text: String, _ value: JSON, path: FieldPath) {
        var field = path.plain
        if !rule.fieldPath.isEmpty {
            let rest = RulePath.text(rule.fieldPath)
            field += field.isEmpty && rest.hasPrefix(".") ? String(rest.dropFirst()) : rest
        }
        if field.isEmpty { field = "<nil>" }
        var shown = ""
        switch value {
        case .object, .array: break
        default: shown = ": \(value)"
        }
        let head: String
        switch rule.reason {
        case .required: (head, shown) = ("Required value", "")
        case .forbidden: (head, shown) = ("Forbidden", "")
        case .duplicate: head = "Duplicate value"
        default: head = "Invalid value"
        }
        problems.append(FieldError(field: field, reason: rule.reason, message: "\(head)\(shown): \(text)"))
    }
}

/// The paths of rules: `.spec.list`, `.map['key']`.
enum RulePath {
    /// The member names of a path; nil when it is none.
    static func members(_ path: String) -> [String]? {
        guard path.hasPrefix(".") || path.hasPrefix("["), let members = try? JSONPath(path).members, !members.isEmpty
        else { return nil }
        return members
    }

    /// The path as problems show it: entries of maps stand in brackets.
    static func text(_ path: String) -> String {
        var text = path
        for quote in ["'", "\""] {
            text = text.split(separator: "[\(quote)", omittingEmptySubsequences: false).joined(separator: "[")
            text = text.split(separator: "\(quote)]", omittingEmptySubsequences: false).joined(separator: "]")
        }
        return text
    }
}
