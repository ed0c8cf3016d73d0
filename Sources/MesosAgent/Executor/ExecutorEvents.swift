import JSON

/// Events for executors (`mesos.v1.executor.Event`).
enum ExecutorEvents {
    static func subscribed(executor: JSON, framework: JSON, agent: JSON, containerID: String) -> JSON {
        [
            "type": "SUBSCRIBED",
            "subscribed": [
                "executor_info": executor, "framework_info": framework, "agent_info": agent,
                "container_id": ["value": .string(containerID)],
            ],
        ]
    }
    static func launch(_ task: JSON) -> JSON { ["type": "LAUNCH", "launch": ["task": task]] }
    static func launchGroup(_ tasks: [JSON]) -> JSON {
        ["type": "LAUNCH_GROUP", "launch_group": ["task_group": ["tasks": .array(tasks)]]]
    }
    static func kill(_ task: String, policy: JSON) -> JSON {
        var kill: JSON = ["task_id": ["value": .string(task)]]
        kill.setMember("kill_policy", policy)
        return ["type": "KILL", "kill": kill]
    }
    static func acknowledged(_ task: String, uuid: String) -> JSON {
        [
            "type": "ACKNOWLEDGED",
            "acknowledged": ["task_id": ["value": .string(task)], "uuid": .string(uuid)],
        ]
    }
    static func message(_ data: String) -> JSON { ["type": "MESSAGE", "message": ["data": .string(data)]] }
    static func error(_ message: String) -> JSON { ["type": "ERROR", "error": ["message": .string(message)]] }
    static let shutdown: JSON = ["type": "SHUTDOWN"]
}
