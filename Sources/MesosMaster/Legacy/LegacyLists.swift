import HTTPWindow
import JSON

/// The documents that may be huge: written an element at a time.
enum LegacyLists {
    private static func write(_ framework: MasterView.Framework, _ legacy: LegacyJSON, _ out: inout JSONOutput)
        async throws
    {
        out.open("{")
        try await out.members(legacy.framework(framework))
        try await out.array("tasks", framework.tasks.lazy.map(legacy.task))
        try await out.array("unreachable_tasks", framework.unreachable.lazy.map(legacy.task))
        try await out.array("completed_tasks", framework.completed.lazy.map(legacy.task))
        out.close("}")
    }

    private static func write(
        _ name: String, _ frameworks: [MasterView.Framework], _ legacy: LegacyJSON, _ out: inout JSONOutput
    ) async throws {
        out.key(name)
        out.open("[")
        for framework in frameworks { try await write(framework, legacy, &out) }
        out.close("]")
    }

    /// `/state`
    static func state(_ legacy: LegacyJSON, _ out: inout JSONOutput) async throws {
        out.open("{")
        try await out.members(legacy.head)
        try await out.array("slaves", legacy.view.agents.lazy.map { legacy.agent($0, isFull: true) })
        try await out.array("recovered_slaves", [])
        try await write("frameworks", legacy.view.frameworks, legacy, &out)
        try await write("completed_frameworks", legacy.view.completedFrameworks, legacy, &out)
        try await out.array("orphan_tasks", [])
        try await out.array("unregistered_frameworks", [])
        out.close("}")
    }

    /// `/slaves`
    static func agents(_ legacy: LegacyJSON, id: String?, _ out: inout JSONOutput) async throws {
        out.open("{")
        try await out.array(
            "slaves",
            legacy.view.agents.lazy.filter { id == nil || $0.id == id }.map { legacy.agent($0, isFull: true) })
        try await out.array("recovered_slaves", [])
        out.close("}")
    }

    /// `/frameworks`
    static func frameworks(_ legacy: LegacyJSON, id: String?, _ out: inout JSONOutput) async throws {
        func asked(_ list: [MasterView.Framework]) -> [MasterView.Framework] {
            id == nil ? list : list.filter { $0.record.id == id }
        }
        out.open("{")
        try await write("frameworks", asked(legacy.view.frameworks), legacy, &out)
        try await write("completed_frameworks", asked(legacy.view.completedFrameworks), legacy, &out)
        try await out.array("unregistered_frameworks", [])
        out.close("}")
    }

    /// Which tasks `/tasks` shows.
    struct Page: Sendable {
        var limit = 100
        var offset = 0
        var isAscending = false
        var framework: String?
        var task: String?

        /// - Throws: `WindowError` 400 for numbers that are none.
        init(_ request: WindowRequest) throws {
            if let text = request.parameter("limit") {
                guard let number = Int(text) else { throw WindowError(400, "Failed to parse 'limit': \(text)") }
                // -1 is no limit: clients say it so.
                limit = number < 0 ? .max : number
            }
            if let text = request.parameter("offset") {
                guard let number = Int(text), number >= 0 else {
                    throw WindowError(400, "Failed to parse 'offset': \(text)")
                }
                offset = number
            }
            isAscending = request.parameter("order") == "asc"
            framework = request.parameter("framework_id")
            task = request.parameter("task_id")
        }
    }

    /// `/tasks`: of all frameworks, the newest first unless asked for otherwise.
    static func tasks(_ legacy: LegacyJSON, _ page: Page, _ out: inout JSONOutput) async throws {
        var all: [MasterView.Task] = []
        for framework in legacy.view.frameworks + legacy.view.completedFrameworks
        where page.framework == nil || framework.record.id == page.framework {
            all += framework.tasks + framework.unreachable + framework.completed
        }
        if let id = page.task { all = all.filter { $0.id == id } }
        all.sort { ($0.startSeconds, $0.id) < ($1.startSeconds, $1.id) }
        if !page.isAscending { all.reverse() }
        out.open("{")
        try await out.array("tasks", all.dropFirst(page.offset).prefix(page.limit).lazy.map(legacy.task))
        out.close("}")
    }

    // MARK: /state-summary

    private static let states = [
        "TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_FINISHED", "TASK_KILLED", "TASK_FAILED",
        "TASK_LOST", "TASK_ERROR", "TASK_UNREACHABLE", "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR",
    ]

    /// `/state-summary`: counts in place of tasks.
    static func summary(_ legacy: LegacyJSON, _ out: inout JSONOutput) async throws {
        var ofAgent: [String: [String: Int]] = [:]
        var frameworksOfAgent: [String: Set<String>] = [:]
        for framework in legacy.view.frameworks {
            for task in [framework.tasks, framework.unreachable, framework.completed].joined() {
                ofAgent[task.agentID, default: [:]][task.state, default: 0] += 1
                frameworksOfAgent[task.agentID, default: []].insert(framework.record.id)
            }
        }
        out.open("{")
        out.key("hostname")
        try await out.value(.string(legacy.state.configuration.hostname))
        out.key("cluster")
        try await out.value("apus")
        out.key("slaves")
        out.open("[")
        for agent in legacy.view.agents {
            var json = legacy.agent(agent, isFull: false)
            json["framework_ids"] = JSON((frameworksOfAgent[agent.id] ?? []).sorted())
            for state in states { json[state] = JSON(ofAgent[agent.id]?[state] ?? 0) }
            try await out.value(json)
        }
        out.close("]")
        out.key("frameworks")
        out.open("[")
        for framework in legacy.view.frameworks {
            var json = legacy.framework(framework)
            json.removeMember("offers")
            json.removeMember("executors")
            let all = framework.tasks + framework.unreachable + framework.completed
            json["slave_ids"] = JSON(Set(framework.tasks.map(\.agentID)).sorted())
            for state in states { json[state] = JSON(all.count { $0.state == state }) }
            try await out.value(json)
        }
        out.close("]")
        out.close("}")
    }
}
