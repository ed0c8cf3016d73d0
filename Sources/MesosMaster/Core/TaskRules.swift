import JSON
import MesosModel
import ObjectModel

/// When a task may be launched. Each rule throws a `MesosError` with the reason.
enum TaskRules {
    /// A task's resources, without allocation; the task gets them with it, as a framework that knows one role leaves it out.
    static func resources(of info: inout JSON, role: String, in framework: FrameworkRecord) throws -> Resources {
        let given = info["resources"]
        guard !given.elements.isEmpty else { throw MesosError(.invalid, "Task uses no resources") }
        let resources = try checked(given)
        for index in given.elements.indices {
            if let other = given[index]["allocation_info"]["role"].string, other != role {
                throw MesosError(.invalid, "Task uses resources allocated to role '\(other)' instead of '\(role)'")
            }
            info["resources"][index]["allocation_info"] = ["role": .string(role)]
        }
        return resources
    }

    static func executorResources(_ executor: JSON) throws -> Resources {
        executor["resources"].elements.isEmpty ? Resources() : try checked(executor["resources"])
    }

    private static func checked(_ json: JSON) throws -> Resources {
        do {
            return try Resources(json).unallocated
        } catch {
            throw MesosError(.invalid, "Task uses invalid resources: \(error)")
        }
    }

    /// - Parameter groupType: the type of the group's executor; nil for a task that comes alone.
    static func check(_ info: JSON, in state: MasterState, _ pool: MasterState.Pool, groupType: String? = nil) throws {
        let id = info["task_id"]["value"].string ?? ""
        if let problem = MesosIDs.problem(id) { throw MesosError(.invalid, "Task ID '\(id)' is invalid: \(problem)") }
        if let known = state.tasks[TaskKey(pool.framework.id, id)] {
            let isAway = known.state == "TASK_UNREACHABLE"
            throw MesosError(
                .invalid, isAway ? "Task reuses the ID of an unreachable task: \(id)" : "Task has duplicate ID: \(id)")
        }
        let agent = info["agent_id"]["value"].string ?? ""
        guard agent == pool.agent.id else {
            throw MesosError(
                .invalid, "Task uses invalid agent \(agent) while agent \(pool.agent.id) is expected")
        }
        let hasCommand = info["command"].object != nil
        let hasExecutor = info["executor"].object != nil
        // What a task of a framework's own executor does, its executor knows.
        let isComplete = groupType == nil ? hasCommand != hasExecutor : hasCommand || groupType == "CUSTOM"
        if !isComplete {
            throw MesosError(
                .invalid, "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present")
        }
        if hasCommand {
            try checkCommand(info["command"], hasImage: PodMaker.image(info["container"]) != nil || groupType != nil)
        }
        if hasExecutor { try checkExecutor(info["executor"], pool.framework.id) }
        if let grace = info["kill_policy"]["grace_period"]["nanoseconds"].int, grace < 0 {
            throw MesosError(.invalid, "Task's 'kill_policy.grace_period' must be non-negative")
        }
        if let time = info["max_completion_time"]["nanoseconds"].int, time < 0 {
            throw MesosError(.invalid, "Task's 'max_completion_time' must be non-negative")
        }
        try checkLimits(info)
        try CheckRules.check(info)
        if groupType == nil, info["container"]["linux_info"]["share_cgroups"].bool == false {
            throw MesosError(.invalid, "Only tasks in a task group may have 'share_cgroups' set to 'false'")
        }
        let text = info["container"]["docker"]["image"].string
        if info["container"]["type"].string == "DOCKER", text == nil {
            throw MesosError(.invalid, "DockerInfo must have an image")
        }
        if info.description.utf8.count > maximumBytes {
            throw MesosError(.invalid, "TaskInfo has more than \(maximumBytes) bytes: fetch what is big by URI")
        }
    }
    /// What fits into a pod's annotations beside everything else.
    private static let maximumBytes = 200 << 10

    private static func checkCommand(_ command: JSON, hasImage: Bool) throws {
        if command["shell"].bool ?? true, command["value"].string == nil, !hasImage {
            throw MesosError(.invalid, "Shell command must have a value")
        }
        if command["shell"].bool == false, command["value"].string == nil, !hasImage {
            throw MesosError(.invalid, "Command must have a value")
        }
        for variable in command["environment"]["variables"].elements {
            let name = variable["name"].string ?? ""
            if variable["type"].string == "SECRET", variable["secret"]["value"]["data"].string == nil {
                throw MesosError(
                    .invalid, "Environment variable '\(name)' refers to a secret, and no secret resolver is there")
            }
            if variable["type"].string ?? "VALUE" == "VALUE" {
                if variable["value"].string == nil {
                    throw MesosError(.invalid, "Environment variable '\(name)' of type 'VALUE' must have a value set")
                }
                if variable["secret"].object != nil {
                    throw MesosError(
                        .invalid, "Environment variable '\(name)' of type 'VALUE' must not have a secret set")
                }
            }
            if name.isEmpty || name.contains("=") {
                throw MesosError(.invalid, "Environment variable '\(name)' has no valid name")
            }
        }
    }

    private static func checkExecutor(_ executor: JSON, _ framework: String) throws {
        let id = executor["executor_id"]["value"].string ?? ""
        if let problem = MesosIDs.problem(id) {
            throw MesosError(.invalid, "Executor ID '\(id)' is invalid: \(problem)")
        }
        if executor["type"].string == "DEFAULT" {
            throw MesosError(.invalid, "The default executor takes task groups (LAUNCH_GROUP) only")
        }
        if let other = executor["framework_id"]["value"].string, other != framework {
            throw MesosError(
                .invalid, "ExecutorInfo has an invalid FrameworkID (Actual: \(other) vs Expected: \(framework))")
        }
        guard executor["command"].object != nil else {
            throw MesosError(.invalid, "'ExecutorInfo.command' must be set for 'CUSTOM' executor")
        }
        if let grace = executor["shutdown_grace_period"]["nanoseconds"].int, grace < 0 {
            throw MesosError(.invalid, "ExecutorInfo's 'shutdown_grace_period' must be non-negative")
        }
        try checkCommand(executor["command"], hasImage: PodMaker.image(executor["container"]) != nil)
    }

    private static func checkLimits(_ info: JSON) throws {
        let sums = PodMaker.scalars(info["resources"].elements)
        for (name, limit) in info["limits"].members {
            guard name == "cpus" || name == "mem" else {
                throw MesosError(.invalid, "Only cpus and mem may be included in a task's resource limits")
            }
            let (upper, word) = name == "cpus" ? ("CPU", "cpu") : ("memory", "memory")
            guard let sum = sums[name] else {
                throw MesosError(
                    .invalid, "When a \(upper) limit is specified, a \(upper) request must also be specified")
            }
            if limit["value"].string == "Infinity" { continue }
            guard let value = limit["value"].double, value * 1000 >= Double(sum) - 0.5 else {
                throw MesosError(
                    .invalid, "The \(word) limit must be greater than or equal to the \(word) request")
            }
        }
    }

    /// A second task on a running executor has to mean the same executor.
    static func checkSame(_ known: JSON, _ executor: JSON, _ framework: String) throws {
        func type(_ info: JSON) -> String { info["type"].string ?? "CUSTOM" }
        let differing = ["command", "container"].first { known[$0] != executor[$0] }
        if let name = differing ?? (type(known) == type(executor) ? nil : "type") {
            throw MesosError(
                .invalid,
                "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID: '\(name)' differs")
        }
    }

    // MARK: Groups

    static func checkGroup(_ infos: [JSON], _ executor: JSON, _ framework: String) throws {
        guard !infos.isEmpty else { throw MesosError(.invalid, "Task group cannot be empty") }
        guard infos.count <= 64 else { throw MesosError(.invalid, "A task group has at most 64 tasks") }
        let id = executor["executor_id"]["value"].string ?? ""
        if let problem = MesosIDs.problem(id) {
            throw MesosError(.invalid, "Executor ID '\(id)' is invalid: \(problem)")
        }
        guard let owner = executor["framework_id"]["value"].string else {
            throw MesosError(.invalid, "'ExecutorInfo.framework_id' must be set")
        }
        guard owner == framework else {
            throw MesosError(
                .invalid, "ExecutorInfo has an invalid FrameworkID (Actual: \(owner) vs Expected: \(framework))")
        }
        switch executor["type"].string {
        case "DEFAULT": break
        case "CUSTOM": try checkExecutor(executor, framework)
        case nil: throw MesosError(.invalid, "'ExecutorInfo.type' must be set")
        default: throw MesosError(.invalid, "Unknown executor type")
        }
        if executor["type"] == "DEFAULT", executor["command"].object != nil {
            throw MesosError(.invalid, "'ExecutorInfo.command' must not be set for 'DEFAULT' executor")
        }
        if executor["container"]["type"].string == "DOCKER" {
            throw MesosError(.invalid, "Docker ContainerInfo is not supported on the executor")
        }
        let sums = PodMaker.scalars(executor["resources"].elements)
        for (name, title, least, text) in [("cpus", "CPUs", 10, "0.01"), ("mem", "memory", 32000, "32MB")] {
            let amount = sums[name]
            if let amount, amount >= least { continue }
            throw MesosError(
                .invalid,
                "Executor '\(id)' uses less \(title) (\(amount.map { "\(Double($0) / 1000)" } ?? "None")) than the "
                    + "minimum required (\(text))")
        }
        let ids = infos.compactMap { $0["task_id"]["value"].string }
        guard Set(ids).count == ids.count else { throw MesosError(.invalid, "Task group has duplicate task ids") }
    }

    static func checkInGroup(_ info: JSON) throws {
        if info["executor"].object != nil { throw MesosError(.invalid, "'TaskInfo.executor' must not be set") }
        if info["container"]["docker"].object != nil || info["container"]["type"].string == "DOCKER" {
            throw MesosError(.invalid, "Docker ContainerInfo is not supported on the task")
        }
        if !info["container"]["network_infos"].elements.isEmpty {
            throw MesosError(.invalid, "NetworkInfos must not be set on the task")
        }
    }
}
