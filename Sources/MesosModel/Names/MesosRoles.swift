/// Rules of role names, and their hierarchy.
public enum MesosRoles {
    /// Why a text is no role; nil when it is one. `*` is a role.
    public static func problem(_ role: String) -> String? {
        if role == "*" { return nil }
        if role.isEmpty { return "Empty role name is invalid" }
        if role.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\\") }) {
            return "Role '\(role)' cannot contain whitespace, backslash or control characters"
        }
        if role.hasPrefix("/") || role.hasSuffix("/") { return "Role '\(role)' cannot start or end with a slash" }
        if role.utf8.count > 255 { return "Role '\(role.prefix(32))…' is longer than 255 bytes" }
        for part in role.split(separator: "/", omittingEmptySubsequences: false) {
            if part.isEmpty { return "Role '\(role)' cannot contain two adjacent slashes" }
            if part == "." || part == ".." { return "Role '\(role)' cannot include '\(part)' as a component" }
            if part == "*" { return "Role '\(role)' cannot include '*' as a component" }
            if part.hasPrefix("-") { return "Role '\(role)' cannot have a component that starts with '-'" }
        }
        return nil
    }

    /// The roles above, nearest first; `a/b/c` has `a/b` and `a`.
    public static func ancestors(of role: String) -> [String] {
        var result: [String] = []
        var rest = role[...]
        while let slash = rest.lastIndex(of: "/") {
            rest = rest[..<slash]
            result.append(String(rest))
        }
        return result
    }

    /// True when `role` lies strictly below `ancestor`.
    public static func isStrictDescendant(_ role: String, of ancestor: String) -> Bool {
        role.utf8.count > ancestor.utf8.count + 1 && role.hasPrefix(ancestor)
            && role.utf8.dropFirst(ancestor.utf8.count).first == UInt8(ascii: "/")
    }

    /// True when what is reserved for `reservation` may be offered to `role`: the same role or one below it.
    public static func mayUse(_ role: String, reservation: String) -> Bool {
        role == reservation || isStrictDescendant(role, of: reservation)
    }

    /// The topmost role of a hierarchy: `a` of `a/b/c`.
    public static func top(of role: String) -> String {
        role.firstIndex(of: "/").map { String(role[..<$0]) } ?? role
    }

    /// Roles of a FrameworkInfo: `roles` when it has the MULTI_ROLE capability, else `role` (default `*`).
    public static func roles(isMultiRole: Bool, role: String?, roles: [String]) -> [String] {
        isMultiRole ? roles : [role ?? "*"]
    }
}

/// Rules of ids that frameworks choose.
public enum MesosIDs {
    /// Why a text is no id of a task, executor, framework or agent; nil when it is one.
    public static func problem(_ id: String) -> String? {
        if id.isEmpty { return "ID must not be empty" }
        if id.utf8.count > 255 { return "ID must not be greater than 255 characters" }
        if id == "." || id == ".." { return "'\(id)' is disallowed" }
        if id.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }) {
            return "'\(id)' contains invalid characters"
        }
        return nil
    }
}
