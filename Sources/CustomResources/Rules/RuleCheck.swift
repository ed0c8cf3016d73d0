import CEL
import JSON
import ObjectModel

/// Whether the rules of a schema compile, mean something, and cost no more than a server can bear.
struct RuleCheck {
    /// What one expression may cost on the largest object, and all of a schema together (KEP-2876).
    private static let perExpression: UInt64 = 10_000_000
    private static let perSchema: UInt64 = 100_000_000

    private let schema: StructuralSchema
    private let types: RuleTypes
    private var problems: [FieldError] = []
    private var total: UInt64 = 0
    private var expensive: [(field: String, cost: UInt64)] = []

    static func problems(of schema: JSON, path: String) -> [FieldError] {
        let compiled = StructuralSchema(schema)
        guard compiled.root.hasRules else { return [] }
        var check = RuleCheck(schema: compiled, types: RuleTypes(schema: compiled))
        check.check(0, path, count: 1, uncorrelatable: nil)
        if check.total > perSchema {
            for (field, _) in check.expensive.sorted(by: { $0.cost > $1.cost }).prefix(4) {
                check.problems.append(
                    .forbidden(
                        field,
                        "contributed to estimated rule & messageExpression cost total exceeding cost limit for entire "
                            + "OpenAPIv3 schema"))
            }
            check.problems.append(
                .forbidden(
                    path,
                    excess(
                        "x-kubernetes-validations estimated rule & messageExpression cost total for entire OpenAPIv3 "
                            + "schema", check.total, perSchema)))
        }
        return check.problems
    }

    private init(schema: StructuralSchema, types: RuleTypes) {
        self.schema = schema
        self.types = types
    }

    private static func excess(_ what: String, _ cost: UInt64, _ limit: UInt64) -> String {
        let factor = Double(cost) / Double(limit)
        let tenths = Int((max(factor, 1.1) * 10).rounded(.down))
        let text = factor > 100 ? "more than 100x" : "\(tenths / 10).\(tenths % 10)x"
        return
            "\(what) exceeds budget by factor of \(text) (try simplifying the rule, or adding maxItems, maxProperties, "
            + "and maxLength where arrays, maps, and strings are declared)"
    }

    /// - Parameters:
    ///   - count: how often the node can be in an object.
    ///   - uncorrelatable: the outermost list whose items cannot be told apart between versions.
    private mutating func check(_ place: Int, _ path: String, count: UInt64, uncorrelatable: String?) {
        let node = schema.nodes[place]
        guard node.hasRules else { return }
        if !node.rules.isEmpty {
            let type = types.type(place, isRoot: place == 0)
            for (index, rule) in node.rules.enumerated() {
                let field = "\(path).x-kubernetes-validations[\(index)]"
                form(rule, place, field)
                guard let type else {
                    problems.append(
                        FieldError(
                            field: "\(path).x-kubernetes-validations", reason: .internalError,
                            message: "Internal error: internal error: failed to retrieve type information for "
                                + "x-kubernetes-validations"))
                    break
                }
                self.rule(rule, type, place, field, count: count, uncorrelatable: uncorrelatable)
            }
        }
        for name in node.names {
            guard let part = node.properties[name] else { continue }
            check(part, "\(path).properties[\(name)]", count: count, uncorrelatable: uncorrelatable)
        }
        let size = types.maximumSize(place)
        if let part = node.additionalPlace {
            check(
                part, "\(path).additionalProperties", count: Self.product(count, size), uncorrelatable: uncorrelatable)
        }
        if node.items >= 0 {
            check(
                node.items, "\(path).items", count: Self.product(count, size),
                uncorrelatable: uncorrelatable ?? (node.listKind == .map ? nil : path))
        }
    }

    private static func product(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (result, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? .max : result
    }

    // MARK: One rule

    private mutating func form(_ rule: JSON, _ place: Int, _ field: String) {
        let source = rule["rule"].string ?? ""
        if source.allSatisfy(\.isWhitespace) {
            problems.append(.required("\(field).rule", "rule is not specified"))
        }
        if let message = rule["message"].string {
            if !message.isEmpty, message.allSatisfy(\.isWhitespace) {
                problems.append(.invalid("\(field).message", rule["message"], "must be non-empty if specified"))
            } else if message.contains(where: \.isNewline) {
                problems.append(.invalid("\(field).message", rule["message"], "must not contain line breaks"))
            }
        }
        if (rule["message"].string ?? "").isEmpty, (rule["messageExpression"].string ?? "").isEmpty,
            source.contains(where: \.isNewline)
        {
            problems.append(
                .required("\(field).message", "message must be specified if rule contains line breaks"))
        }
        if let text = rule["messageExpression"].string, text.allSatisfy(\.isWhitespace) {
            problems.append(
                .required("\(field).messageExpression", "messageExpression must be non-empty if specified"))
        }
        let reasons = ["FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate"]
        if let reason = rule["reason"].string, !reasons.contains(reason) {
            problems.append(.notSupported("\(field).reason", rule["reason"], reasons))
        }
        if let text = rule["fieldPath"].string, !text.isEmpty { fieldPath(text, place, "\(field).fieldPath") }
    }

    private mutating func fieldPath(_ text: String, _ place: Int, _ field: String) {
        if text.contains(where: \.isNewline) {
            problems.append(.invalid(field, .string(text), "must not contain line breaks"))
            return
        }
        var place = place
        for name in RulePath.members(text) ?? [""] {
            let node = schema.nodes[place]
            guard let next = node.properties[name] ?? node.additionalPlace else {
                problems.append(
                    .invalid(
                        field, .string(text), "fieldPath must be a valid path: does not refer to a valid field"))
                return
            }
            place = next
        }
    }

    private mutating func rule(
        _ json: JSON, _ type: CELType, _ place: Int, _ field: String, count: UInt64, uncorrelatable: String?
    ) {
        let rule = Rule(json, type: type)
        switch rule.program {
        case .failure(let problem):
            problems.append(.invalid("\(field).rule", json, "compilation failed: \(problem.description)"))
            return
        case .success(let program):
            if rule.isTransition, !rule.hasOptionalOldSelf, let uncorrelatable {
                problems.append(
                    .invalid(
                        "\(field).rule", json["rule"],
                        "oldSelf cannot be used on the uncorrelatable portion of the schema within \(uncorrelatable)"))
            }
            if rule.hasOptionalOldSelf, !rule.isTransition {
                problems.append(
                    .invalid("\(field).optionalOldSelf", true, "may not be set if oldSelf is not used in rule"))
            }
            cost(program, place, "\(field).rule", "estimated rule cost", count: count)
        }
        switch rule.messageProgram {
        case nil: return
        case .failure(let problem)?:
            problems.append(
                .invalid(
                    "\(field).messageExpression", json,
                    "messageExpression compilation failed: \(problem.description)"))
        case .success(let program)?:
            cost(program, place, "\(field).messageExpression", "estimated messageExpression cost", count: count)
        }
    }

    private mutating func cost(
        _ program: CELProgram, _ place: Int, _ field: String, _ what: String, count: UInt64
    ) {
        let types = types
        let single = program.estimateCost { path in
            guard let variable = path.first, variable == "self" || variable == "oldSelf" else { return nil }
            return types.size(path.dropFirst(), below: place)
        }
        let cost = Self.product(single.maximum, count)
        total = total > UInt64.max - cost ? .max : total + cost
        expensive.append((field, cost))
        if cost > Self.perExpression { problems.append(.forbidden(field, Self.excess(what, cost, Self.perExpression))) }
    }
}
