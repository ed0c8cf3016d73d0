import HTTPWindow
import JSON
import MesosModel

/// What a framework's principal needs to be allowed: frameworks, roles, and users that tasks run as.
struct SchedulerAccess: Sendable {
    unowned let master: Master
    let principal: String?

    /// Why a framework may not register, or become what it asks for; nil when it may.
    func refusal(ofFramework info: JSON) async -> String? {
        guard principal != nil else { return nil }
        if let refusal = await refusal(.init("create", "frameworks")) { return refusal }
        let roles = Set(info["roles"].elements.compactMap(\.string) + [info["role"].string].compactMap(\.self))
        for role in (roles.isEmpty ? ["*"] : roles).sorted() {
            let name = MesosNames.objectName(ofRole: role)
            if let refusal = await refusal(.init("use", "roles", name: name)) { return refusal }
        }
        return await refusal(ofUsers: [info["user"].string ?? ""])
    }

    /// Why operations may not be done: tasks and executors name users of their own. Nil when they may.
    func refusal(ofOperations operations: [JSON]) async -> String? {
        guard principal != nil else { return nil }
        var users: Set<String> = []
        func add(_ info: JSON) {
            for command in [info["command"], info["executor"]["command"]] {
                if let user = command["user"].string { users.insert(user) }
            }
        }
        for operation in operations {
            operation["launch"]["task_infos"].elements.forEach(add)
            operation["launch_group"]["task_group"]["tasks"].elements.forEach(add)
            add(operation["launch_group"])
        }
        return await refusal(ofUsers: users)
    }

    private func refusal(ofUsers users: Set<String>) async -> String? {
        for user in users.sorted() where !user.isEmpty {
            if let refusal = await refusal(.init("use", "users", name: user)) { return refusal }
        }
        return nil
    }

    private func refusal(_ wish: WindowAccess.Wish) async -> String? {
        guard let principal, await !master.configuration.access.isAllowed(principal, wish) else { return nil }
        return WindowAccess.refusal(principal, wish)
    }
}
