import CEL
import JSON
import ObjectModel
import Schema

/// Asks the validating policies about one request (KEP-3488).
struct PolicyReview {
    /// A validation that did not hold.
    struct Failure {
        var policy: String
        /// Nil when the policy itself does not work.
        var binding: String?
        var message: String
        var reason: String
        /// For the audit event; -1 when no expression failed.
        var index = -1
        var actions: Set<String>
    }
    let request: HookedRequest
    let machinery: Machinery
    private(set) var failures: [Failure] = []
    private var annotations: [(key: String, value: String)] = []

    init(_ request: HookedRequest, in machinery: Machinery) {
        self.request = request
        self.machinery = machinery
    }

    mutating func ask(_ policy: ValidatingPolicy, _ bindings: [PolicyBinding]) throws {
        let frame = policy.frame
        guard let matched = try frame.criteria.match(request, in: machinery) else { return }
        var base: [String: CELValue]?
        for binding in bindings {
            if let criteria = binding.criteria, try criteria.match(request, in: machinery) == nil { continue }
            let parameters: [JSON]
            do {
                parameters = try machinery.parameters(frame.paramKind, binding.paramRef, request)
            } catch {
                if frame.ignoresFailures { continue }
                failures.append(
                    Failure(
                        policy: frame.name, binding: binding.name, message: "failed to configure binding: \(error)",
                        reason: "", actions: ["Deny"]))
                continue
            }
            var values = base ?? ExpressionScope.values(request, as: matched, in: machinery)
            if base == nil {
                values["namespaceObject"] = ExpressionScope.namespaceValue(request, in: machinery)
                base = values
            }
            for parameter in parameters {
                values["params"] = CELValue(json: parameter, type: .dyn)
                evaluate(policy, binding, values)
            }
        }
    }

    private mutating func evaluate(
        _ policy: ValidatingPolicy, _ binding: PolicyBinding, _ given: [String: CELValue]
    ) {
        let frame = policy.frame
        func failure(_ message: String, _ reason: String = "", index: Int = -1) -> Failure {
            Failure(
                policy: frame.name, binding: binding.name, message: message, reason: reason, index: index,
                actions: binding.actions)
        }
        switch frame.conditions.evaluate(given) {
        case .matches: break
        case .differs: return
        case .failed(let why):
            if !frame.ignoresFailures { failures.append(failure(why)) }
            return
        }
        let compiled = policy.compiled
        var values = given
        let variables = PolicyVariables(compiled.variables.programs, compiled.variables.type, given)
        values["variables"] = .object(.fields(variables, compiled.variables.type))
        var plain = values
        for name in ["authorizer", "authorizer.requestResource"] { plain[name] = nil }
        var budget = CELBudget()
        for (index, validation) in compiled.validations.enumerated() {
            do {
                if case .bool(true) = try validation.expression.evaluate(values, &budget) { continue }
                let message = Self.message(validation, plain, &budget)
                failures.append(failure(message, validation.reason, index: index))
            } catch {
                if frame.ignoresFailures { continue }
                failures.append(
                    failure(
                        "expression '\(validation.expression.source)' resulted in error: \(error.message)",
                        index: index))
            }
        }
        for annotation in compiled.auditAnnotations {
            do {
                let value = try annotation.value.evaluate(values, &budget)
                if case .string(let text) = value, !text.allSatisfy(\.isWhitespace) {
                    annotations.append(("\(frame.name)/\(annotation.key)", String(text.prefix(10 << 10))))
                }
            } catch {
                if frame.ignoresFailures { continue }
                failures.append(
                    failure(
                        "expression '\(annotation.value.source)' resulted in error: \(error.message)"))
            }
        }
    }

    private static func message(
        _ validation: ValidatingPolicy.Validation, _ values: [String: CELValue], _ budget: inout CELBudget
    ) -> String {
        if let expression = validation.messageExpression,
            case .string(let text)? = try? expression.evaluate(values, &budget)
        {
            let isUsable = !text.allSatisfy(\.isWhitespace) && !text.contains(where: \.isNewline)
            if isUsable, text.utf8.count <= 5 << 10 { return text }
        }
        if !validation.message.isEmpty { return validation.message }
        return "failed expression: \(validation.expression.source.trimmed)"
    }

    /// Warns and notes, then refuses if a binding says so.
    func conclude() throws {
        var notes: [(key: String, values: [String])] = []
        for (key, value) in annotations {
            if let index = notes.firstIndex(where: { $0.key == key }) {
                if !notes[index].values.contains(value) { notes[index].values.append(value) }
            } else {
                notes.append((key, [value]))
            }
        }
        for (key, values) in notes { request.context.annotate(key, values.joined(separator: ", ")) }
        for failure in failures where failure.actions.contains("Warn") {
            let binding = failure.binding.map { " with binding '\($0)'" } ?? ""
            request.context.warn(
                "Validation failed for ValidatingAdmissionPolicy '\(failure.policy)'\(binding): \(failure.message)")
        }
        let audited = failures.filter { $0.actions.contains("Audit") }
        if !audited.isEmpty {
            let entries = audited.map { failure -> JSON in
                var entry: JSON = [
                    "message": .string(failure.message), "policy": .string(failure.policy),
                    "binding": .string(failure.binding ?? ""), "expressionIndex": JSON(failure.index),
                    "validationActions": JSON(failure.actions.sorted()),
                ]
                if failure.index < 0 { entry.removeMember("expressionIndex") }
                return entry
            }
            request.context.annotate(
                "validation.policy.admission.k8s.io/validation_failure", "\(JSON.array(entries))")
        }
        if let first = failures.first(where: { $0.actions.contains("Deny") }) { throw refusal(first) }
    }

    private func refusal(_ failure: Failure) -> StatusError {
        let binding = failure.binding.map { " with binding '\($0)'" } ?? ""
        let text = "ValidatingAdmissionPolicy '\(failure.policy)'\(binding) denied request: \(failure.message)"
        var error = StatusError.forbidden(request.place, name: request.key.name, text)
        error.causes = [.init(reason: "", message: text)]
        error.reason = StatusError.Reason(rawValue: failure.reason.isEmpty ? "Invalid" : failure.reason) ?? .invalid
        switch error.reason {
        case .forbidden: error.code = 403
        case .unauthorized: error.code = 401
        case .requestEntityTooLarge: error.code = 413
        default: error.code = 422
        }
        return error
    }
}

extension String {
    /// Without blanks and line breaks at both ends.
    var trimmed: String {
        let start = drop(while: \.isWhitespace)
        return String(start.reversed().drop(while: \.isWhitespace).reversed())
    }
}
