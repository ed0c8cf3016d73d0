import CEL
import JSON
import ObjectModel

/// Admission policies and their bindings.
enum PolicyValidation {
    static func validatingPolicy(_ tree: JSON) -> [FieldError] {
        let spec = tree["spec"]
        var problems = Problems()
        problems.frame(spec)
        let params: CELType? = spec["paramKind"].object == nil ? nil : .dyn
        let types = problems.variables(spec, params: params, libraries: .kubernetes)
        let environment = ExpressionScope.policy(params: params, variables: types)
        let plain = ExpressionScope.policy(params: params, variables: types, hasAuthorizer: false)
        if spec["validations"].elements.isEmpty, spec["auditAnnotations"].elements.isEmpty {
            let why = "validations or auditAnnotations must contain at least one item"
            problems.add(.required("spec.validations", why))
            problems.add(.required("spec.auditAnnotations", why))
        }
        for (index, validation) in spec["validations"].elements.enumerated() {
            problems.validation("spec.validations[\(index)]", validation, environment, plain)
        }
        var keys: Set<String> = []
        if spec["auditAnnotations"].elements.count > 20 {
            problems.add(
                .tooMany("spec.auditAnnotations", count: spec["auditAnnotations"].elements.count, maximum: 20))
        }
        for (index, annotation) in spec["auditAnnotations"].elements.prefix(20).enumerated() {
            let path = "spec.auditAnnotations[\(index)]"
            let key = annotation["key"].string ?? ""
            if key.isEmpty {
                problems.add(.required("\(path).key"))
            } else {
                let name = "\(tree["metadata"]["name"].string ?? "")/\(key)"
                problems.syntax("\(path).key", key, Names.qualifiedNameProblems(name))
                if !keys.insert(key).inserted { problems.add(.duplicate("\(path).key", .string(key))) }
            }
            let type = problems.expression("\(path).valueExpression", annotation["valueExpression"], environment, nil)
            if let type, type != .string, type != .null {
                problems.add(
                    .invalid(
                        "\(path).valueExpression", annotation["valueExpression"],
                        "compilation failed: must evaluate to one of [string null_type]"))
            }
        }
        return problems.list
    }

    static func mutatingPolicy(_ tree: JSON) -> [FieldError] {
        let spec = tree["spec"]
        var problems = Problems()
        problems.frame(spec)
        let reinvocation = spec["reinvocationPolicy"]
        problems.choice("spec.reinvocationPolicy", reinvocation, ["Never", "IfNeeded"], isNeeded: true)
        let params: CELType? = spec["paramKind"].object == nil ? nil : .dyn
        let libraries: CELLibraries = [.kubernetes, .mutation]
        let types = problems.variables(spec, params: params, libraries: libraries)
        let environment = ExpressionScope.policy(params: params, variables: types, libraries: libraries)
        problems.need("spec.mutations", spec["mutations"], "must contain at least one item")
        for (index, mutation) in spec["mutations"].elements.enumerated() {
            let path = "spec.mutations[\(index)]"
            let bodies = [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")]
            problems.choice("\(path).patchType", mutation["patchType"], bodies.map(\.0), isNeeded: true)
            for (type, field) in bodies {
                if mutation["patchType"].string == type {
                    if mutation[field].isNull {
                        problems.add(.required("\(path).\(field)", "must be specified when patchType is \(type)"))
                    } else {
                        problems.expression(
                            "\(path).\(field).expression", mutation[field]["expression"], environment, nil)
                    }
                } else if !mutation[field].isNull {
                    problems.add(
                        .invalid("\(path).\(field)", mutation[field], "may be specified only when patchType is \(type)")
                    )
                }
            }
        }
        return problems.list
    }

    static func validatingBinding(_ tree: JSON) -> [FieldError] {
        let spec = tree["spec"]
        var problems = Problems()
        problems.binding(spec)
        let actions = spec["validationActions"]
        problems.need("spec.validationActions", actions, "at least one validation action is required")
        var seen: Set<String> = []
        for (index, action) in actions.elements.enumerated() {
            problems.choice("spec.validationActions[\(index)]", action, ["Audit", "Deny", "Warn"], isNeeded: true)
            if !seen.insert(action.string ?? "").inserted {
                problems.add(.duplicate("spec.validationActions[\(index)]", action))
            }
        }
        if seen.isSuperset(of: ["Deny", "Warn"]) {
            problems.add(
                .invalid(
                    "spec.validationActions", actions,
                    "must not contain both Deny and Warn (repeating the same validation failure information in the API response "
                        + "and headers serves no purpose)"))
        }
        return problems.list
    }

    static func mutatingBinding(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        problems.binding(tree["spec"])
        return problems.list
    }
}

extension Problems {
    /// What both kinds of policies have.
    fileprivate mutating func frame(_ spec: JSON) {
        choice("spec.failurePolicy", spec["failurePolicy"], ["Fail", "Ignore"])
        let kind = spec["paramKind"]
        if kind.object != nil {
            need("spec.paramKind.apiVersion", kind["apiVersion"])
            need("spec.paramKind.kind", kind["kind"])
        }
        let constraints = spec["matchConstraints"]
        if constraints.isNull {
            add(.required("spec.matchConstraints"))
        } else {
            matchResources("spec.matchConstraints", constraints)
            need("spec.matchConstraints.resourceRules", constraints["resourceRules"])
        }
        matchConditions(
            "spec.matchConditions", spec["matchConditions"],
            ExpressionScope.policy(params: kind.object == nil ? nil : .dyn))
    }

    fileprivate mutating func matchResources(_ path: String, _ resources: JSON) {
        choice("\(path).matchPolicy", resources["matchPolicy"], ["Exact", "Equivalent"])
        labelSelector("\(path).namespaceSelector", resources["namespaceSelector"])
        labelSelector("\(path).objectSelector", resources["objectSelector"])
        for list in ["resourceRules", "excludeResourceRules"] {
            for (index, rule) in resources[list].elements.enumerated() {
                let place = "\(path).\(list)[\(index)]"
                admissionRule(place, rule)
                var names: Set<String> = []
                for (number, name) in rule["resourceNames"].elements.compactMap(\.string).enumerated() {
                    syntax("\(place).resourceNames[\(number)]", name, Names.pathSegmentProblems(name))
                    if !names.insert(name).inserted {
                        add(.duplicate("\(place).resourceNames[\(number)]", .string(name)))
                    }
                }
            }
        }
    }

    /// Names and expressions of variables.
    /// - Returns: the type of `variables` for the expressions after them.
    fileprivate mutating func variables(_ spec: JSON, params: CELType?, libraries: CELLibraries) -> CELObjectType {
        var fields: [String: CELObjectType.Field] = [:]
        for (index, variable) in spec["variables"].elements.enumerated() {
            let path = "spec.variables[\(index)]"
            let name = variable["name"].string ?? ""
            let isIdentifier =
                name.first.map { $0.isASCII && ($0.isLetter || $0 == "_") } ?? false
                && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
            if name.isEmpty {
                add(.required("\(path).name", "name is not specified"))
            } else if !isIdentifier {
                add(.invalid("\(path).name", .string(name), "name is not a valid CEL identifier"))
            } else if fields[name] != nil {
                add(.duplicate("\(path).name", .string(name)))
            }
            let known = fields
            let environment = ExpressionScope.policy(
                params: params, variables: CELObjectType(name: "kubernetes.variables") { known }, libraries: libraries)
            let type = expression("\(path).expression", variable["expression"], environment, nil)
            fields[name] = .init(type ?? .dyn)
        }
        let all = fields
        return CELObjectType(name: "kubernetes.variables") { all }
    }

    fileprivate mutating func validation(
        _ path: String, _ validation: JSON, _ environment: CELEnvironment, _ plain: CELEnvironment
    ) {
        let source = validation["expression"].string ?? ""
        if source.trimmed.isEmpty {
            add(.required("\(path).expression", "expression is not specified"))
        } else {
            expression("\(path).expression", validation["expression"], environment, .bool)
        }
        if let message = validation["message"].string {
            if message.trimmed.isEmpty, !message.isEmpty {
                add(.invalid("\(path).message", .string(message), "message must be non-empty if specified"))
            } else if message.trimmed.contains(where: \.isNewline) {
                add(.invalid("\(path).message", .string(message), "message must not contain line breaks"))
            }
        }
        if source.trimmed.contains(where: \.isNewline), (validation["message"].string ?? "").isEmpty,
            (validation["messageExpression"].string ?? "").isEmpty
        {
            add(
                .required(
                    "\(path).message",
                    "message or messageExpression must be specified if expression contains line breaks"))
        }
        if let text = validation["messageExpression"].string, !text.isEmpty {
            expression("\(path).messageExpression", validation["messageExpression"], plain, .string)
        }
        choice(
            "\(path).reason", validation["reason"], ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"])
    }

    /// What both kinds of bindings have.
    fileprivate mutating func binding(_ spec: JSON) {
        let policy = spec["policyName"].string ?? ""
        if policy.isEmpty {
            add(.required("spec.policyName"))
        } else {
            syntax("spec.policyName", policy, Names.dns1123SubdomainProblems(policy))
        }
        if !spec["matchResources"].isNull { matchResources("spec.matchResources", spec["matchResources"]) }
        let reference = spec["paramRef"]
        guard reference.object != nil else { return }
        let name = reference["name"].string ?? ""
        if name.isEmpty, reference["selector"].isNull {
            add(.required("spec.paramRef", "one of name or selector must be specified"))
        } else if !name.isEmpty, !reference["selector"].isNull {
            add(.forbidden("spec.paramRef.name", "name and selector are mutually exclusive"))
        }
        if !name.isEmpty { syntax("spec.paramRef.name", name, Names.pathSegmentProblems(name)) }
        labelSelector("spec.paramRef.selector", reference["selector"])
        let action = reference["parameterNotFoundAction"]
        if action.isNull {
            add(.required("spec.paramRef.parameterNotFoundAction"))
        } else {
            choice("spec.paramRef.parameterNotFoundAction", action, ["Allow", "Deny"], isNeeded: true)
        }
    }
}
