/// Reader of the role tables beside this file.
///
/// A line without indentation begins a role: its name, then labels of the form `+aggregate-to-edit`. An indented line is
/// a rule: `verbs | API groups | resources | names`, or `verbs | path | URLs`; lists are separated by spaces. `core` is
/// the group "", `read` is get, list, watch, `write` is create, update, patch, delete, deletecollection.
struct RoleTable: Sendable {
    struct Role: Sendable {
        var name: String
        var aggregatesTo: [String]
        var rules: [PolicyRule]
    }
    private(set) var roles: [Role] = []

    /// - Precondition: the text is well formed; it is part of the program.
    init(_ text: String) {
        for line in text.split(separator: "\n") {
            if line.first != " " {
                let words = line.split(separator: " ").map(String.init)
                roles.append(
                    Role(
                        name: words[0],
                        aggregatesTo: words.dropFirst().map { String($0.dropFirst("+aggregate-to-".count)) },
                        rules: []))
            } else {
                guard let rule = Self.rule(line), !roles.isEmpty else { preconditionFailure("bad line: \(line)") }
                roles[roles.count - 1].rules.append(rule)
            }
        }
    }

    private static func rule(_ line: Substring) -> PolicyRule? {
        let columns = line.split(separator: "|").map { $0.split(separator: " ").map(String.init) }
        guard columns.count == 3 || columns.count == 4 else { return nil }
        let verbs = columns[0].flatMap { verb -> [String] in
            switch verb {
            case "read": ["get", "list", "watch"]
            case "write": ["create", "delete", "deletecollection", "patch", "update"]
            default: [verb]
            }
        }
        if columns[1] == ["path"] { return PolicyRule(verbs: verbs, nonResourceURLs: columns[2]) }
        return PolicyRule(
            verbs: verbs, apiGroups: columns[1].map { $0 == "core" ? "" : $0 }, resources: columns[2],
            resourceNames: columns.count == 4 ? columns[3] : [])
    }
}
