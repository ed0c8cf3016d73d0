import JSON
import ObjectModel

/// Gathers field errors while an object is looked through. Every check names the field it is about.
struct Problems {
    private(set) var list: [FieldError] = []

    mutating func add(_ problem: FieldError) { list.append(problem) }
    mutating func add(_ problems: [FieldError]) { list += problems }

    /// An error per complaint about the syntax of a text.
    mutating func syntax(_ field: String, _ text: String, _ complaints: [String]) {
        for complaint in complaints { list.append(.invalid(field, .string(text), complaint)) }
    }

    /// Present and not empty.
    mutating func need(_ field: String, _ value: JSON, _ why: String = "") {
        switch value {
        case .null: list.append(.required(field, why))
        case .string(let text) where text.isEmpty: list.append(.required(field, why))
        case .array(let elements) where elements.isEmpty: list.append(.required(field, why))
        default: break
        }
    }

    /// One of a few words; absent is fine unless needed.
    /// - Parameter isSorted: whether the error lists the words by the alphabet.
    mutating func choice(
        _ field: String, _ value: JSON, _ allowed: [String], isNeeded: Bool = false, isSorted: Bool = true
    ) {
        guard let text = value.string, !text.isEmpty else {
            if isNeeded { list.append(.required(field)) }
            return
        }
        if !allowed.contains(text) { list.append(.notSupported(field, value, allowed, isSorted: isSorted)) }
    }

    /// Not negative; absent is fine.
    mutating func notNegative(_ field: String, _ value: JSON) {
        if let number = value.int, number < 0 {
            list.append(.invalid(field, value, "must be greater than or equal to 0"))
        }
    }

    /// Greater than zero; absent is fine.
    mutating func positive(_ field: String, _ value: JSON) {
        if let number = value.int, number < 1 { list.append(.invalid(field, value, "must be greater than 0")) }
    }

    /// A number of pieces or a share of them: not negative, and a share no more than a limit.
    /// - Parameter mostPercent: nil when more than all makes sense.
    mutating func share(_ field: String, _ value: JSON, mostPercent: Int? = 100) {
        notNegative(field, value)
        guard let text = value.string else { return }
        guard text.hasSuffix("%"), let percent = Int(text.dropLast()), percent >= 0, !text.hasPrefix("+") else {
            return add(
                .invalid(
                    field, value,
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
                        + "regex used for validation is '[0-9]+%')"))
        }
        if let mostPercent, percent > mostPercent {
            add(.invalid(field, value, "must not be greater than \(mostPercent)%"))
        }
    }

    /// A domain and a path below it, such as `acme.io/foo`.
    mutating func domainPath(_ field: String, _ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
            return add(.invalid(field, .string(text), "must be a domain-prefixed path (such as \"acme.io/foo\")"))
        }
        syntax(field, parts[0], Names.dns1123SubdomainProblems(parts[0]))
    }

    /// Label keys and values.
    mutating func labels(_ field: String, _ labels: JSON) {
        for (key, value) in labels.members {
            syntax(field, key, Names.qualifiedNameProblems(key))
            if let text = value.string { syntax(field, text, Names.labelValueProblems(text)) }
        }
    }

    /// A `metav1.LabelSelector`.
    mutating func labelSelector(_ field: String, _ selector: JSON) {
        labels("\(field).matchLabels", selector["matchLabels"])
        for (index, expression) in selector["matchExpressions"].elements.enumerated() {
            let path = "\(field).matchExpressions[\(index)]"
            let values = expression["values"].elements
            switch expression["operator"].string ?? "" {
            case "In", "NotIn":
                if values.isEmpty {
                    add(.required("\(path).values", "must be specified when `operator` is 'In' or 'NotIn'"))
                }
            case "Exists", "DoesNotExist":
                if !values.isEmpty {
                    add(
                        .forbidden(
                            "\(path).values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
                }
            default: add(.invalid("\(path).operator", expression["operator"], "not a valid selector operator"))
            }
            let key = expression["key"].string ?? ""
            syntax("\(path).key", key, Names.qualifiedNameProblems(key))
        }
    }

    /// A port number, or the name of a port.
    /// - Parameter mayBeAssigned: whether a host port of the pod may be meant, by `ports.apus.dev/<index>`.
    mutating func portOrName(_ field: String, _ value: JSON, mayBeAssigned: Bool = false) {
        if let number = value.int {
            if !Names.portNumberProblems(number).isEmpty {
                add(.invalid(field, value, "must be between 1 and 65535, inclusive"))
            }
        } else if let name = value.string {
            if mayBeAssigned, name.hasPrefix("ports.apus.dev/"), Int(name.dropFirst(15)).map({ $0 >= 0 }) == true {
                return
            }
            syntax(field, name, Names.portNameProblems(name))
        } else {
            add(.required(field))
        }
    }
}
