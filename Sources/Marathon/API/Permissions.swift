import HTTPWindow
import JSON
import MesosModel

/// What the principal of a request may do.
///
/// An app or pod is asked for as its object in the cluster, in the namespace of its role. What is allowed for a group holds
/// for everything below it, so that roles can speak of paths.
struct Permissions: Sendable {
    private static let group = "marathon.apus.dev"

    private let access: WindowAccess
    private let principal: String?

    /// Nobody is asked: the window has no credentials, or it is Marathon itself that acts.
    static let all = Permissions(.open, principal: nil)

    init(_ access: WindowAccess, principal: String?) {
        self.access = access
        self.principal = principal
    }

    // MARK: Wishes

    private static func resource(_ kind: RunSpec.Kind) -> String { kind == .app ? "marathonapps" : "marathonpods" }

    private static func wish(_ verb: String, _ spec: RunSpec) -> WindowAccess.Wish {
        .init(
            verb, resource(spec.kind), group: group, name: MesosNames.objectName(ofMarathonID: spec.id.text),
            namespace: MesosNames.namespace(ofRole: spec.role))
    }

    private static func wish(_ verb: String, group id: PathID) -> WindowAccess.Wish {
        .init(
            verb, "marathongroups", group: group, name: MesosNames.objectName(ofMarathonID: id.text),
            namespace: "default")
    }

    /// Answers that were given during one request.
    private struct Known {
        var answers: [WindowAccess.Wish: Bool] = [:]
    }

    private func ask(_ wish: WindowAccess.Wish, _ known: inout Known) async -> Bool {
        if let answer = known.answers[wish] { return answer }
        let answer = await access.isAllowed(principal, wish)
        known.answers[wish] = answer
        return answer
    }

    private func asksGroups(_ verb: String, _ groups: [PathID], _ known: inout Known) async -> Bool {
        for id in groups where await ask(Self.wish(verb, group: id), &known) { return true }
        return false
    }

    private func may(_ verb: String, _ spec: RunSpec, _ known: inout Known) async -> Bool {
        if await ask(Self.wish(verb, spec), &known) { return true }
        guard await asksGroups(verb, spec.id.ancestors, &known) else { return false }
        // A group does not lend the namespace of another role, whose secrets its apps could read.
        let role = MesosNames.objectName(ofRole: spec.role)
        if role == "default" || verb == "get" || verb == "delete" { return true }
        return await ask(.init("use", "roles", name: role), &known)
    }

    private func may(_ verb: String, group id: PathID, _ known: inout Known) async -> Bool {
        await asksGroups(verb, [id] + id.ancestors, &known)
    }

    private func refused(_ wish: WindowAccess.Wish) -> MarathonError {
        MarathonError(403, WindowAccess.refusal(principal ?? "", wish))
    }

    // MARK: Reading

    private func mayRead(_ spec: RunSpec, _ known: inout Known) async -> Bool {
        let namespace = MesosNames.namespace(ofRole: spec.role)
        let list = WindowAccess.Wish("list", Self.resource(spec.kind), group: Self.group, namespace: namespace)
        if await ask(list, &known) { return true }
        return await may("get", spec, &known)
    }

    private func readsEverything(_ known: inout Known) async -> Bool {
        guard principal != nil else { return true }
        for resource in ["marathonapps", "marathonpods", "marathongroups"] {
            guard await ask(.init("list", resource, group: Self.group), &known) else { return false }
        }
        return true
    }

    /// The definitions among some that may be read.
    func readable(_ specs: [RunSpec]) async -> [RunSpec] {
        var known = Known()
        if await readsEverything(&known) { return specs }
        var found: [RunSpec] = []
        for spec in specs where await mayRead(spec, &known) { found.append(spec) }
        return found
    }

    /// The groups among some that may be read: also those that hold something that may.
    func readable(_ groups: [GroupInfo], holding specs: [RunSpec]) async -> [GroupInfo] {
        var known = Known()
        if await readsEverything(&known) { return groups }
        let holders = Set(specs.flatMap(\.id.ancestors))
        var found: [GroupInfo] = []
        for group in groups {
            let isShown = holders.contains(group.id)
            if isShown { found.append(group) } else if await may("get", group: group.id, &known) { found.append(group) }
        }
        return found
    }

    /// - Throws: `MarathonError` 403.
    func requireRead(_ spec: RunSpec) async throws {
        var known = Known()
        if await readsEverything(&known) { return }
        guard await mayRead(spec, &known) else { throw refused(Self.wish("get", spec)) }
    }

    /// - Throws: `MarathonError` 403.
    func requireRead(group id: PathID) async throws {
        var known = Known()
        if await readsEverything(&known) { return }
        guard await may("get", group: id, &known) else { throw refused(Self.wish("get", group: id)) }
    }

    /// Asks for the right to see every app: events tell of all of them.
    /// - Throws: `MarathonError` 403.
    func requireEverything() async throws {
        let wish = WindowAccess.Wish("list", "marathonapps", group: Self.group)
        guard await access.isAllowed(principal, wish) else { throw refused(wish) }
    }

    // MARK: Changing

    /// - Throws: `MarathonError` 403.
    func require(_ verb: String, _ spec: RunSpec) async throws {
        guard principal != nil else { return }
        var known = Known()
        guard await may(verb, spec, &known) else { throw refused(Self.wish(verb, spec)) }
    }

    /// Asks for everything that a change does.
    ///
    /// - Parameter groups: those that the client named; groups that only come to be around a new app need nothing.
    /// - Throws: `MarathonError` 403 that names the first thing that is not allowed.
    func require(_ change: DefinitionChange, groups: Set<PathID>, in definitions: any Definitions) async throws {
        guard principal != nil else { return }
        var known = Known()
        func require(_ verb: String, _ spec: RunSpec) async throws {
            guard await may(verb, spec, &known) else { throw refused(Self.wish(verb, spec)) }
        }
        for id in Set(change.specs.keys).union(change.restarts).sorted() {
            let old = definitions.spec(id)
            let new: RunSpec? = if let changed = change.specs[id] { changed } else { old }
            switch (old, new) {
            case (nil, let new?): try await require("create", new)
            case (let old?, nil): try await require("delete", old)
            case (let old?, let new?):
                if old.role == new.role, old.kind == new.kind {
                    try await require("update", new)
                } else {
                    try await require("delete", old)
                    try await require("create", new)
                }
            case (nil, nil): continue
            }
        }
        for id in groups.sorted() {
            let old = definitions.group(id)
            let new: GroupInfo? = change.groups[id] ?? nil
            let verb: String
            switch (old, new) {
            case (nil, nil): continue
            case (nil, _): verb = "create"
            case (_, nil): verb = "delete"
            case (let old?, let new?):
                if old.dependencies == new.dependencies, old.enforceRole == new.enforceRole { continue }
                verb = "update"
            }
            guard await may(verb, group: id, &known) else { throw refused(Self.wish(verb, group: id)) }
        }
    }
}
