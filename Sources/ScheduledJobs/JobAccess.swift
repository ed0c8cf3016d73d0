public import HTTPWindow

/// Who may do what with the definitions of a window.
public struct JobAccess: Sendable {
    private let access: WindowAccess
    private let names: JobNames

    public init(_ access: WindowAccess, _ names: JobNames) {
        self.access = access
        self.names = names
    }

    /// Asks for what a request does with a definition: one that may not be seen is refused whether it is there or not.
    /// - Throws: `WindowError` 403.
    public func require(_ verb: String, _ name: String, _ request: WindowRequest) async throws {
        guard await !isAllowed(verb, name, request) else { return }
        throw WindowError(403, WindowAccess.refusal(request.principal ?? "", wish(verb, name)))
    }

    /// The definitions among some that may be read.
    public func readable(_ all: some Sequence<String>, _ request: WindowRequest) async -> Set<String> {
        if await access.isAllowed(request.principal, wish("list", "")) { return Set(all) }
        var found: Set<String> = []
        for name in all where await isAllowed("get", name, request) { found.insert(name) }
        return found
    }

    private func isAllowed(_ verb: String, _ name: String, _ request: WindowRequest) async -> Bool {
        if await access.isAllowed(request.principal, wish(verb, name)) { return true }
        guard verb == "get" else { return false }
        return await access.isAllowed(request.principal, wish("list", ""))
    }

    private func wish(_ verb: String, _ name: String) -> WindowAccess.Wish {
        .init(
            verb, names.definitions.resource, group: names.definitions.group,
            name: name.isEmpty ? "" : names.objectName(name), namespace: JobNames.namespace)
    }
}
