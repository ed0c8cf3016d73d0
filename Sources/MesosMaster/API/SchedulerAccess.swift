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

    /// What operations name that may not be: users of tasks and executors, with the reason each.
    func refusals(ofOperations operations: [JSON]) async -> [String: String] {
        guard principal != nil else { return [:] }
        var users: Set<String> = []
        for operation in operations {
            for task in operation["launch"]["task_infos"].elements { users.formUnion(Self.users(of: task)) }
            let group = operation["launch_group"]
            for task in group["task_group"]["tasks"].elements { users.formUnion(Self.users(of: task)) }
            users.formUnion(Self.users(of: group))
        }
        var refusals: [String: String] = [:]
        for user in users where !user.isEmpty { refusals[user] = await refusal(ofUsers: [user]) }
        return refusals
    }

    /// The users that a task, or the executor beside a group, names for its commands.
    static func users(of info: JSON) -> [String] {
        [info["command"], info["executor"]["command"]].compactMap { $0["user"].string }
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
