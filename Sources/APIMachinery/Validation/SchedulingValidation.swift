import JSON
import ObjectModel

extension Problems {
    /// What a pod says about where it may run.
    mutating func scheduling(_ spec: JSON, _ path: String) {
        for (index, toleration) in spec["tolerations"].elements.enumerated() {
            self.toleration(toleration, "\(path).tolerations[\(index)]")
        }
        var gates: Set<String> = []
        for (index, gate) in spec["schedulingGates"].elements.enumerated() {
            let name = gate["name"].string ?? ""
            syntax("\(path).schedulingGates[\(index)]", name, Names.qualifiedNameProblems(name))
            if !gates.insert(name).inserted { add(.duplicate("\(path).schedulingGates[\(index)]", .string(name))) }
        }
        spread(spec["topologySpreadConstraints"], "\(path).topologySpreadConstraints")
        let affinity = spec["affinity"]
        guard !affinity.isNull else { return }
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
        let node = affinity["nodeAffinity"]
        if !node[required].isNull {
            let field = "\(path).affinity.nodeAffinity.\(required).nodeSelectorTerms"
            let terms = node[required]["nodeSelectorTerms"]
            if terms.elements.isEmpty { add(.required(field, "must have at least one node selector term")) }
            for (index, term) in terms.elements.enumerated() { nodeTerm(term, "\(field)[\(index)]") }
        }
        for (index, term) in node[preferred].elements.enumerated() {
            let field = "\(path).affinity.nodeAffinity.\(preferred)[\(index)]"
            weight(term["weight"], "\(field).weight")
            nodeTerm(term["preference"], "\(field).preference")
        }
        for kind in ["podAffinity", "podAntiAffinity"] {
            for (index, term) in affinity[kind][required].elements.enumerated() {
                podTerm(term, "\(path).affinity.\(kind).\(required)[\(index)]")
            }
            for (index, term) in affinity[kind][preferred].elements.enumerated() {
                let field = "\(path).affinity.\(kind).\(preferred)[\(index)]"
                weight(term["weight"], "\(field).weight")
                podTerm(term["podAffinityTerm"], "\(field).podAffinityTerm")
            }
        }
    }

    private mutating func weight(_ value: JSON, _ field: String) {
        if !(1...100).contains(value.int ?? 0) {
            add(.invalid(field, value.isNull ? 0 : value, "must be in the range 1-100"))
        }
    }

    private mutating func podTerm(_ term: JSON, _ path: String) {
        labelSelector("\(path).labelSelector", term["labelSelector"])
        labelSelector("\(path).namespaceSelector", term["namespaceSelector"])
        let key = term["topologyKey"].string ?? ""
        for name in term["namespaces"].elements.compactMap(\.string) {
            syntax("\(path).namespace", name, Names.dns1123LabelProblems(name))
        }
        if key.isEmpty { add(.required("\(path).topologyKey", "can not be empty")) }
        syntax("\(path).topologyKey", key, Names.qualifiedNameProblems(key))
    }

    private mutating func nodeTerm(_ term: JSON, _ path: String) {
        for (index, expression) in term["matchExpressions"].elements.enumerated() {
            let field = "\(path).matchExpressions[\(index)]"
            let key = expression["key"].string ?? ""
            let values = expression["values"].elements
            syntax("\(field).key", key, Names.qualifiedNameProblems(key))
            switch expression["operator"].string ?? "" {
            case "In", "NotIn":
                if values.isEmpty {
                    add(.required("\(field).values", "must be specified when `operator` is 'In' or 'NotIn'"))
                }
            case "Exists", "DoesNotExist":
                if !values.isEmpty {
                    add(
                        .forbidden(
                            "\(field).values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
                }
            case "Gt", "Lt":
                if values.count != 1 {
                    add(.required("\(field).values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
                }
            default: add(.invalid("\(field).operator", expression["operator"], "not a valid selector operator"))
            }
        }
        for (index, expression) in term["matchFields"].elements.enumerated() {
            let field = "\(path).matchFields[\(index)]"
            if expression["key"].string != "metadata.name" {
                add(.invalid("\(field).key", expression["key"], "not a valid field selector key"))
            }
            if expression["values"].elements.count != 1 {
                add(
                    .required(
                        "\(field).values",
                        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
            }
        }
    }

    private mutating func toleration(_ toleration: JSON, _ path: String) {
        let key = toleration["key"].string ?? ""
        let op = toleration["operator"].string ?? ""
        if !key.isEmpty { syntax("\(path).key", key, Names.qualifiedNameProblems(key)) }
        if key.isEmpty, op != "Exists" {
            add(
                .invalid(
                    "\(path).operator", .string(op),
                    "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
        }
        choice("\(path).operator", toleration["operator"], ["Equal", "Exists"])
        if op == "Exists", let value = toleration["value"].string, !value.isEmpty {
            add(.invalid("\(path).operator", .string(value), "value must be empty when `operator` is 'Exists'"))
        }
        choice(
            "\(path).effect", toleration["effect"], ["NoSchedule", "PreferNoSchedule", "NoExecute"], isSorted: false)
        if !toleration["tolerationSeconds"].isNull, toleration["effect"].string != "NoExecute" {
            add(
                .invalid(
                    "\(path).effect", toleration["effect"].isNull ? "" : toleration["effect"],
                    "effect must be 'NoExecute' when `tolerationSeconds` is set"))
        }
    }

    private mutating func spread(_ constraints: JSON, _ path: String) {
        var seen: [String: Int] = [:]
        for (index, constraint) in constraints.elements.enumerated() {
            let field = "\(path)[\(index)]"
            if (constraint["maxSkew"].int ?? 0) <= 0 {
                add(
                    .invalid(
                        "\(field).maxSkew", constraint["maxSkew"].isNull ? 0 : constraint["maxSkew"],
                        "must be greater than zero"))
            }
            let key = constraint["topologyKey"].string ?? ""
            if key.isEmpty {
                add(.required("\(field).topologyKey", "can not be empty"))
            } else {
                syntax("\(field).topologyKey", key, Names.qualifiedNameProblems(key))
            }
            choice(
                "\(field).whenUnsatisfiable", constraint["whenUnsatisfiable"], ["DoNotSchedule", "ScheduleAnyway"],
                isNeeded: true)
            let pair = "{\(key), \(constraint["whenUnsatisfiable"].string ?? "")}"
            if let first = seen[pair] {
                add(.duplicate("\(path)[\(first)].{topologyKey, whenUnsatisfiable}", .string(pair)))
            } else {
                seen[pair] = index
            }
            for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
                choice("\(field).\(policy)", constraint[policy], ["Honor", "Ignore"])
            }
            if !constraint["matchLabelKeys"].elements.isEmpty, constraint["labelSelector"].isNull {
                add(.forbidden("\(field).matchLabelKeys", "must not be specified when labelSelector is not set"))
            } else {
                for (place, key) in constraint["matchLabelKeys"].elements.compactMap(\.string).enumerated() {
                    syntax("\(field).matchLabelKeys[\(place)]", key, Names.qualifiedNameProblems(key))
                }
            }
            labelSelector("\(field).labelSelector", constraint["labelSelector"])
            if let domains = constraint["minDomains"].int {
                if domains <= 0 {
                    add(.invalid("\(field).minDomains", constraint["minDomains"], "must be greater than zero"))
                }
                if constraint["whenUnsatisfiable"].string != "DoNotSchedule" {
                    add(
                        .invalid(
                            "\(field).minDomains", constraint["minDomains"],
                            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \(constraint["whenUnsatisfiable"].string ?? "")"
                        ))
                }
            }
        }
    }
}
