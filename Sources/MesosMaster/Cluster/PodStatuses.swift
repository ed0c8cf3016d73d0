import JSON
import MesosModel
import ObjectModel

/// From a pod to the statuses of its tasks, in the order in which frameworks should hear them.
enum PodStatuses {
    /// For each task (container i is task i) what is known: nothing while it waits, TASK_RUNNING before an end that
    /// came after a start.
    /// - Parameter kill: why the pod has to end, when the master knows.
    static func read(_ pod: MasterPod, tasks: [TaskKey], kill: String?) -> [[JSON]] {
        let tree = pod.object.tree
        let reason = kill ?? tree["metadata"]["annotations"][MesosNames.killAnnotation].string
        var containers: [String: JSON] = [:]
        for status in tree["status"]["containerStatuses"].elements {
            if let name = status["name"].string { containers[name] = status }
        }
        return tasks.enumerated().map { index, task in
            let name = tree["spec"]["containers"][index]["name"].string ?? ""
            return statuses(of: containers[name] ?? .null, in: pod, tree, task.taskID, reason)
        }
    }

    private static func statuses(of container: JSON, in pod: MasterPod, _ tree: JSON, _ taskID: String, _ kill: String?)
        -> [JSON]
    {
        func status(_ state: String, at time: String?, _ message: String? = nil, _ reason: String? = nil) -> JSON {
            var status: JSON = [
                "task_id": Message.id(taskID), "state": .string(state), "source": "SOURCE_EXECUTOR",
                "timestamp": Message.double(
                    Double((time.flatMap { Timestamp($0) } ?? Timestamp.now).microseconds) / 1e6),
                "uuid": .string(uuid(pod.uid, taskID, state)),
            ]
            status.setMember("message", message.map(JSON.string))
            status.setMember("reason", reason.map(JSON.string))
            status["container_status"] = containerStatus(container, pod, tree)
            return status
        }
        let state = container["state"]
        let terminated = state["terminated"].object == nil ? JSON.null : state["terminated"]
        if terminated.isNull, !pod.isFinished {
            guard let started = state["running"]["startedAt"].string ?? (state["running"].object != nil ? "" : nil)
            else {
                return []
            }
            if pod.isTerminating {
                return [
                    status("TASK_RUNNING", at: started),
                    status("TASK_KILLING", at: nil, kill ?? "Pod is being deleted"),
                ]
            }
            var running = status("TASK_RUNNING", at: started)
            let index = tree["spec"]["containers"].elements.firstIndex { $0["name"] == container["name"] } ?? 0
            if tree["spec"]["containers"][index]["readinessProbe"].object != nil {
                let isHealthy = container["ready"].bool ?? false
                running["healthy"] = .bool(isHealthy)
                running["uuid"] = .string(uuid(pod.uid, taskID, "TASK_RUNNING \(isHealthy)"))
            }
            return [running]
        }
        var result: [JSON] = []
        let started = terminated["startedAt"].string.flatMap { Timestamp($0) }
        if let started, started.microseconds > 0 {
            result.append(status("TASK_RUNNING", at: terminated["startedAt"].string))
        }
        let (end, message, reason) = ending(terminated, pod, tree, kill)
        result.append(status(end, at: terminated["finishedAt"].string, message, reason))
        return result
    }

    private static func ending(_ terminated: JSON, _ pod: MasterPod, _ tree: JSON, _ kill: String?)
        -> (state: String, message: String?, reason: String?)
    {
        let why = terminated["reason"].string ?? tree["status"]["reason"].string ?? ""
        let code = terminated["exitCode"].int
        if why == "OOMKilled" {
            return ("TASK_FAILED", "Memory limit exceeded", "REASON_CONTAINER_LIMITATION_MEMORY")
        }
        if tree["status"]["reason"].string == "DeadlineExceeded" {
            return ("TASK_FAILED", "Task exceeded its max_completion_time", "REASON_MAX_COMPLETION_TIME_REACHED")
        }
        // A program that ended well before it was killed has ended well.
        if code == 0, !pod.isTerminating || kill == nil && why == "Completed" && !pod.isTerminating {
            return ("TASK_FINISHED", "Command exited with status 0", nil)
        }
        if pod.isTerminating || kill != nil {
            return ("TASK_KILLED", kill ?? "Pod was deleted", nil)
        }
        guard let code else {
            let text = tree["status"]["message"].string ?? terminated["message"].string ?? why
            return ("TASK_FAILED", text, "REASON_CONTAINER_LAUNCH_FAILED")
        }
        let isLaunchFailure =
            ["FetchFailed", "StartError", "ContainerCannotRun", "ErrImagePull", "CreateContainerError"].contains(why)
        if isLaunchFailure {
            return ("TASK_FAILED", terminated["message"].string ?? why, "REASON_CONTAINER_LAUNCH_FAILED")
        }
        if let signal = terminated["signal"].int ?? (code > 128 ? code - 128 : nil), signal > 0 {
            return (
                "TASK_FAILED", "Command terminated with signal \(signalName(signal))", "REASON_COMMAND_EXECUTOR_FAILED"
            )
        }
        return ("TASK_FAILED", "Command exited with status \(code)", "REASON_COMMAND_EXECUTOR_FAILED")
    }

    private static func containerStatus(_ container: JSON, _ pod: MasterPod, _ tree: JSON) -> JSON {
        let id = container["containerID"].string.flatMap { $0.split(separator: "/").last.map(String.init) } ?? pod.uid
        var status: JSON = ["container_id": Message.id(id)]
        if let address = tree["status"]["podIP"].string {
            status["network_infos"] = [["ip_addresses": [["protocol": "IPv4", "ip_address": .string(address)]]]]
        }
        return status
    }

    private static func signalName(_ number: Int) -> String {
        switch number {
        case 1: "Hangup"
        case 2: "Interrupt"
        case 3: "Quit"
        case 6: "Aborted"
        case 9: "Killed"
        case 11: "Segmentation fault"
        case 15: "Terminated"
        default: "\(number)"
        }
    }

    /// Sixteen bytes in base64, the same for the same status.
    static func uuid(_ pod: String, _ task: String, _ state: String) -> String {
        FrameworkIDs.base64(ofUUID: MesosNames.uuid(of: pod, task, state))
    }
}

/// Ids that the master makes.
enum FrameworkIDs {
    /// A new UUID as text and as base64 of its bytes.
    static func uuid() -> (text: String, base64: String) {
        var generator = SystemRandomNumberGenerator()
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        let text = [hex[0..<4], hex[4..<6], hex[6..<8], hex[8..<10], hex[10..<16]].map { $0.joined() }
            .joined(separator: "-")
        return (text, Base64.encode(bytes))
    }

    static func base64(ofUUID text: String) -> String {
        var bytes: [UInt8] = []
        var rest = text.filter { $0 != "-" }[...]
        while rest.utf8.count >= 2 {
            if let byte = UInt8(rest.prefix(2), radix: 16) { bytes.append(byte) }
            rest = rest.dropFirst(2)
        }
        return Base64.encode(bytes)
    }
}
