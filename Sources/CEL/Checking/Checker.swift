/// What the checker found out about a tree, by node number.
struct CheckedExpression: Sendable {
    enum Reference: Sendable {
        /// A variable of the environment; also for a whole chain such as `authorizer.requestResource`.
        case variable(String)
        /// A variable of a fold.
        case local(String)
        case type(CELType)
        /// The overloads that fit the static types.
        case function([Overload])
        /// A field of a declared object by its name in JSON.
        case field(String, CELObjectType.Field)
    }
    let root: Expression
    var types: [CELType]
    var references: [Int: Reference]
    /// Calls such as `ip.isCanonical(x)` or `math.greatest(…)`, whose target is part of the name.
    var qualifiedCalls: Set<Int>

    func type(of expression: Expression) -> CELType { types[expression.id] }
}

/// Gradual typing: what is known must fit, `dyn` fits everything.
struct Checker {
    private let environment: CELEnvironment
    private let functions: FunctionTable
    private(set) var issues: [(offset: Int, message: String)] = []
    private var substitution = Substitution()
    private var scopes: [[String: CELType]] = []
    private var types: [CELType?]
    private var references: [Int: CheckedExpression.Reference] = [:]
    private var qualifiedCalls: Set<Int> = []
    private var variableCount = 0

    init(_ environment: CELEnvironment, nodeCount: Int) {
        self.environment = environment
        functions = FunctionTable.table(environment.libraries)
        types = Array(repeating: nil, count: nodeCount)
    }

    mutating func check(_ root: Expression) -> CheckedExpression {
        _ = visit(root)
        let resolved = types.map { substitution.resolve($0 ?? .dyn, unboundAsDyn: true) }
        return CheckedExpression(
            root: root, types: resolved, references: references, qualifiedCalls: qualifiedCalls)
    }

    private mutating func report(_ offset: Int, _ message: String) {
        if issues.count < 100 { issues.append((offset, message)) }
    }
    private mutating func undeclared(_ offset: Int, _ name: String) {
        report(offset, "undeclared reference to '\(name)' (in container '\(environment.container)')")
    }
    private mutating func freshVariable() -> CELType {
        variableCount += 1
        return .parameter("_var\(variableCount)")
    }

    private mutating func visit(_ expression: Expression) -> CELType {
        if let known = types[expression.id] { return known }
        let type: CELType =
            switch expression.kind {
            case .literal(let value): Self.literalType(value)
            case .identifier(let name): visitIdentifier(expression, name)
            case .select(let operand, let field, let isTest): visitSelect(expression, operand, field, isTest)
            case .call(let name, let target, let arguments): visitCall(expression, name, target, arguments)
            case .list(let elements, let optional): visitList(elements, optional)
            case .map(let entries): visitMap(entries)
            case .structure(let name, let members): visitStructure(expression, name, members)
            case .comprehension(let fold): visitFold(fold)
            }
        types[expression.id] = type
        return type
    }

    static func literalType(_ value: CELValue) -> CELType {
        switch value {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .uint: .uint
        case .double: .double
        case .string: .string
        case .bytes: .bytes
        default: .dyn
        }
    }

    // MARK: Names

    /// A name as written, tried within the container from inside out; a leading dot means the outermost.
    private func candidates(_ name: String) -> [String] {
        if name.hasPrefix(".") { return [String(name.dropFirst())] }
        var names: [String] = []
        var container = Substring(environment.container)
        while !container.isEmpty {
            names.append("\(container).\(name)")
            container = container.lastIndex(of: ".").map { container[..<$0] } ?? ""
        }
        return names + [name]
    }

    private mutating func resolve(_ name: String, _ expression: Expression) -> CELType? {
        for candidate in candidates(name) {
            if let type = environment.variables[candidate] {
                references[expression.id] = .variable(candidate)
                return type
            }
            if let type = TypeNames.type(candidate, environment.libraries) {
                references[expression.id] = .type(type)
                return .type(type)
            }
        }
        return nil
    }

    private mutating func visitIdentifier(_ expression: Expression, _ name: String) -> CELType {
        for scope in scopes.reversed() {
            if let type = scope[name] {
                references[expression.id] = .local(name)
                return type
            }
        }
        if let type = resolve(name, expression) { return type }
        undeclared(expression.offset, name)
        return .dyn
    }

    private func qualifiedName(_ expression: Expression) -> String? {
        switch expression.kind {
        case .identifier(let name):
            scopes.contains { $0[name] != nil } ? nil : name
        case .select(let operand, let field, false): qualifiedName(operand).map { "\($0).\(field)" }
        default: nil
        }
    }

    // MARK: Selection

    private mutating func visitSelect(
        _ expression: Expression, _ operand: Expression, _ field: String, _ isTest: Bool
    ) -> CELType {
        // The longest chain that is the name of a variable or type wins.
        if !isTest, let name = qualifiedName(expression), let type = resolve(name, expression) { return type }
        let type = visitField(expression, operand, field, isOptional: false)
        return isTest ? .bool : substitution.resolve(type)
    }

    private mutating func visitField(
        _ expression: Expression, _ operand: Expression, _ field: String, isOptional: Bool
    ) -> CELType {
        var target = substitution.resolve(visit(operand))
        var wraps = isOptional
        if case .optional(let inner) = target {
            target = inner
            wraps = true
        }
        let result: CELType
        switch target {
        case .map(_, let value): result = value
        case .object(let type):
            if type.isOpen {
                result = .dyn
            } else if let (name, declared) = type.lookup(field) {
                references[expression.id] = .field(name, declared)
                result = declared.type
            } else {
                report(expression.offset, "undefined field '\(field)'")
                result = .dyn
            }
        case .parameter:
            _ = substitution.assign(.dyn, target)
            result = .dyn
        case .dyn: result = .dyn
        default:
            report(expression.offset, "type '\(target)' does not support field selection")
            result = .dyn
        }
        return wraps ? .optional(result) : result
    }

    // MARK: Calls

    private mutating func visitCall(
        _ expression: Expression, _ name: String, _ target: Expression?, _ arguments: [Expression]
    ) -> CELType {
        if name == Operator.optionalSelect, target == nil {
            guard case .literal(.string(let field)) = arguments[1].kind else {
                report(expression.offset, "unsupported optional field selection")
                return .dyn
            }
            types[arguments[1].id] = .string
            return substitution.resolve(visitField(expression, arguments[0], field, isOptional: true))
        }
        let argumentTypes = arguments.map { visit($0) }
        guard let target else {
            for candidate in candidates(name) {
                if let overloads = functions.overloads[candidate] {
                    return resolveCall(expression, candidate, overloads, nil, arguments, argumentTypes)
                }
            }
            undeclared(expression.offset, name)
            return .dyn
        }
        if let prefix = qualifiedName(target) {
            for candidate in candidates("\(prefix).\(name)") {
                if let overloads = functions.overloads[candidate] {
                    qualifiedCalls.insert(expression.id)
                    return resolveCall(expression, candidate, overloads, nil, arguments, argumentTypes)
                }
            }
        }
        let targetType = visit(target)
        guard let overloads = functions.overloads[name] else {
            undeclared(expression.offset, name)
            return .dyn
        }
        return resolveCall(expression, name, overloads, targetType, arguments, argumentTypes)
    }

    private mutating func resolveCall(
        _ expression: Expression, _ name: String, _ overloads: [Overload], _ target: CELType?,
        _ arguments: [Expression], _ argumentTypes: [CELType]
    ) -> CELType {
        if name == Operator.and || name == Operator.or {
            for (argument, type) in zip(arguments, argumentTypes) where !substitution.assign(.bool, type) {
                report(argument.offset, "expected type 'bool' but found '\(substitution.resolve(type))'")
            }
            references[expression.id] = .function(overloads)
            return .bool
        }
        let actual = (target.map { [$0] } ?? []) + argumentTypes
        var fitting: [Overload] = []
        var result: CELType?
        for overload in overloads where overload.isMember == (target != nil) {
            let (parameters, candidateResult) = instantiate(overload)
            guard substitution.assign(parameters, actual) else { continue }
            fitting.append(overload)
            let type = substitution.resolve(candidateResult)
            if let known = result {
                if known != .dyn, known != type { result = .dyn }
            } else {
                result = type
            }
        }
        guard let result else {
            let texts = actual.map { substitution.resolve($0, unboundAsDyn: true).description }
            let signature =
                target == nil
                ? "(\(texts.joined(separator: ", ")))"
                : "\(texts[0]).(\(texts.dropFirst().joined(separator: ", ")))"
            report(expression.offset, "found no matching overload for '\(name)' applied to '\(signature)'")
            return .dyn
        }
        references[expression.id] = .function(fitting)
        return result
    }

    /// The signature with type variables of its own.
    private mutating func instantiate(_ overload: Overload) -> ([CELType], CELType) {
        guard overload.isGeneric else { return (overload.parameters, overload.result) }
        variableCount += 1
        let suffix = variableCount
        func fresh(_ type: CELType) -> CELType {
            switch type {
            case .parameter(let name): .parameter("\(name)_\(suffix)")
            case .list(let inner): .list(fresh(inner))
            case .map(let key, let value): .map(fresh(key), fresh(value))
            case .optional(let inner): .optional(fresh(inner))
            case .type(let inner): .type(fresh(inner))
            default: type
            }
        }
        return (overload.parameters.map(fresh), fresh(overload.result))
    }

    // MARK: Literals

    private mutating func join(_ expression: Expression, _ previous: CELType?, _ current: CELType) -> CELType {
        guard let previous else { return current }
        if substitution.assign(previous, current) {
            if current == .null { return previous }
            if previous == .null { return current }
            return Substitution.isMoreGeneral(previous, current) ? previous : current
        }
        // Kubernetes wants literals of one type; CEL at large lets them be mixed.
        if !environment.libraries.contains(.extensions) {
            report(
                expression.offset,
                "expected type '\(substitution.resolve(previous))' but found '\(substitution.resolve(current))'")
        }
        return .dyn
    }

    private mutating func unwrap(_ expression: Expression, _ type: CELType, _ isOptional: Bool) -> CELType {
        guard isOptional else { return type }
        switch substitution.resolve(type) {
        case .optional(let inner): return inner
        case .dyn: return .dyn
        case let other:
            report(expression.offset, "expected type '\(CELType.optional(other))' but found '\(other)'")
            return other
        }
    }

    private mutating func visitList(_ elements: [Expression], _ optional: Set<Int>) -> CELType {
        var type: CELType?
        for (index, element) in elements.enumerated() {
            let own = unwrap(element, visit(element), optional.contains(index))
            type = join(element, type, own)
        }
        return .list(type ?? freshVariable())
    }

    private mutating func visitMap(_ entries: [Expression.Entry]) -> CELType {
        var keyType: CELType?
        var valueType: CELType?
        for entry in entries {
            keyType = join(entry.key, keyType, visit(entry.key))
            let value = unwrap(entry.value, visit(entry.value), entry.isOptional)
            valueType = join(entry.value, valueType, value)
        }
        guard let keyType, let valueType else { return .map(freshVariable(), freshVariable()) }
        return .map(keyType, valueType)
    }

    private mutating func visitStructure(
        _ expression: Expression, _ name: String, _ members: [Expression.Member]
    ) -> CELType {
        var found: CELType?
        for candidate in candidates(name) where found == nil {
            found = TypeNames.constructible(candidate, environment.libraries)
        }
        guard let found else {
            undeclared(expression.offset, name)
            return .dyn
        }
        references[expression.id] = .type(found)
        for member in members {
            let type = unwrap(member.value, visit(member.value), member.isOptional)
            guard case .object(let object) = found, !object.isOpen else { continue }
            if let (_, field) = object.lookup(member.name) {
                if !substitution.assign(field.type, type) {
                    report(
                        member.offset,
                        "expected type of field '\(member.name)' is '\(field.type)' but provided type is '\(type)'")
                }
            } else {
                report(member.offset, "undefined field '\(member.name)'")
            }
        }
        return found
    }

    // MARK: Folds

    private mutating func visitFold(_ fold: Comprehension) -> CELType {
        let range = substitution.resolve(visit(fold.range))
        let accumulator = visit(fold.initial)
        scopes.append([fold.accumulator: accumulator])
        var first: CELType
        var second: CELType = .dyn
        switch range {
        case .list(let element): (first, second) = fold.secondVariable == nil ? (element, .dyn) : (.int, element)
        case .map(let key, let value): (first, second) = (key, value)
        case .dyn: first = .dyn
        case .parameter:
            _ = substitution.assign(.dyn, range)
            first = .dyn
        default:
            report(
                fold.range.offset,
                "expression of type '\(range)' cannot be range of a comprehension (must be list, map, or dynamic)")
            first = .dyn
        }
        var scope = [fold.variable: first]
        if let name = fold.secondVariable { scope[name] = second }
        scopes.append(scope)
        assert(fold.condition, .bool)
        assert(fold.step, accumulator)
        scopes.removeLast()
        let result = visit(fold.result)
        scopes.removeLast()
        return substitution.resolve(result)
    }

    private mutating func assert(_ expression: Expression, _ wanted: CELType) {
        let type = visit(expression)
        if !substitution.assign(wanted, type) {
            report(
                expression.offset,
                "expected type '\(substitution.resolve(wanted))' but found '\(substitution.resolve(type))'")
        }
    }
}

extension CELObjectType {
    /// The field that an identifier means: the property's name in JSON and the field.
    func lookup(_ identifier: String) -> (String, Field)? {
        if let field = fields[identifier] { return (identifier, field) }
        guard let name = CELName.unescape(identifier), let field = fields[name] else { return nil }
        return (name, field)
    }
}
