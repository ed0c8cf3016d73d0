import JSON
import ObjectModel

extension Printers {
    static let pod = Printer(
        "Name|Ready|Status|Restarts|Age|*IP|*Node|*Nominated Node|*Readiness Gates"
    ) { object in
        let summary = PodSummary(object.tree)
        var restarts = String(summary.restarts)
        if summary.restarts > 0, let last = summary.lastRestart {
            restarts += " (\(humanDuration(microseconds: object.now.microseconds - last.microseconds)) ago)"
        }
        let address = object.status["podIPs"][0]["ip"].string ?? object.status["podIP"].string ?? ""
        return [
            object.name, .string("\(summary.ready)/\(summary.total)"), .string(summary.reason), .string(restarts),
            object.age, object.orNone(.string(address)), object.orNone(object.spec["nodeName"]),
            object.orNone(object.status["nominatedNodeName"]), .string(readinessGates(object)),
        ]
    }

    private static func readinessGates(_ object: PrintedObject) -> String {
        let gates = object.spec["readinessGates"].elements
        if gates.isEmpty { return "<none>" }
        let open = gates.filter { object.isTrue($0["conditionType"].string ?? "") }
        return "\(open.count)/\(gates.count)"
    }
}

/// What the Ready, Status and Restarts columns of a pod say.
struct PodSummary {
    private(set) var ready = 0
    private(set) var total: Int
    private(set) var restarts = 0
    private(set) var lastRestart: Timestamp?
    private(set) var reason: String

    /// Restarts of sidecars, which count on when the pod has initialised.
    private var sidecarRestarts = 0
    private var lastSidecarRestart: Timestamp?

    init(_ pod: JSON) {
        let spec = pod["spec"], status = pod["status"]
        total = spec["containers"].elements.count
        reason = status["phase"].string ?? ""
        if let why = status["reason"].string, !why.isEmpty { reason = why }
        let conditions = status["conditions"].elements
        if conditions.contains(where: { $0["type"] == "PodScheduled" && $0["reason"] == "SchedulingGated" }) {
            reason = "SchedulingGated"
        }
        let sidecars = Set(
            spec["initContainers"].elements.filter { $0["restartPolicy"] == "Always" }.compactMap { $0["name"].string })
        total += sidecars.count
        let isInitializing = readInit(status["initContainerStatuses"].elements, spec, sidecars)
        func holds(_ type: String) -> Bool {
            conditions.contains { $0["type"].string == type && $0["status"] == "True" }
        }
        if !isInitializing || holds("Initialized") {
            readContainers(status["containerStatuses"].elements, isReady: holds("Ready"))
        }
        if !pod["metadata"]["deletionTimestamp"].isNull {
            if status["reason"] == "NodeLost" {
                reason = "Unknown"
            } else if status["phase"] != "Succeeded", status["phase"] != "Failed" {
                reason = "Terminating"
            }
        }
    }

    private mutating func readInit(_ statuses: [JSON], _ spec: JSON, _ sidecars: Set<String>) -> Bool {
        for (index, container) in statuses.enumerated() {
            let isSidecar = sidecars.contains(container["name"].string ?? "")
            let count = container["restartCount"].int ?? 0
            let last = Self.finished(container["lastState"])
            restarts += count
            lastRestart = Self.later(lastRestart, last)
            if isSidecar {
                sidecarRestarts += count
                lastSidecarRestart = Self.later(lastSidecarRestart, last)
            }
            let state = container["state"]
            let terminated = state["terminated"], waiting = state["waiting"]["reason"].string ?? ""
            if !terminated.isNull, terminated["exitCode"].int ?? 0 == 0 { continue }
            if isSidecar, container["started"].bool == true {
                if container["ready"].bool == true { ready += 1 }
                continue
            }
            if !terminated.isNull {
                reason = "Init:" + Self.why(terminated)
            } else if !waiting.isEmpty, waiting != "PodInitializing" {
                reason = "Init:" + waiting
            } else {
                reason = "Init:\(index)/\(spec["initContainers"].elements.count)"
            }
            return true
        }
        return false
    }

    private mutating func readContainers(_ statuses: [JSON], isReady: Bool) {
        restarts = sidecarRestarts
        lastRestart = lastSidecarRestart
        var hasRunning = false
        var failure: String?
        for container in statuses.reversed() {
            restarts += container["restartCount"].int ?? 0
            lastRestart = Self.later(lastRestart, Self.finished(container["lastState"]))
            let state = container["state"]
            let terminated = state["terminated"], waiting = state["waiting"]["reason"].string ?? ""
            if !waiting.isEmpty {
                reason = waiting
            } else if !terminated.isNull {
                reason = Self.why(terminated)
                if terminated["exitCode"].int ?? 0 != 0 { failure = reason }
            } else if container["ready"].bool == true, !state["running"].isNull {
                hasRunning = true
                ready += 1
            }
        }
        // The first container's end is not the pod's while another runs or has failed.
        guard reason == "Completed" else { return }
        if hasRunning, isReady {
            reason = "Running"
        } else if let failure {
            reason = failure
        } else if hasRunning {
            reason = "NotReady"
        }
    }

    private static func why(_ terminated: JSON) -> String {
        if let reason = terminated["reason"].string, !reason.isEmpty { return reason }
        if let signal = terminated["signal"].int, signal != 0 { return "Signal:\(signal)" }
        return "ExitCode:\(terminated["exitCode"].int ?? 0)"
    }

    private static func finished(_ state: JSON) -> Timestamp? {
        state["terminated"]["finishedAt"].string.flatMap { Timestamp($0) }
    }

    private static func later(_ left: Timestamp?, _ right: Timestamp?) -> Timestamp? {
        guard let left, let right else { return left ?? right }
        return max(left, right)
    }
}
