import HTTPWindow
import JSON
import MesosModel

/// What both APIs say of bodies that are none.
enum Calls {
    static let notAcceptable = "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'"

    /// - Throws: `WindowError` 400, which tells text that is no JSON from JSON that is no such message.
    static func decode(_ bytes: [UInt8], as message: String, _ format: MesosFormat) throws -> JSON {
        do {
            return try MesosCodec.decode(bytes, as: message, format: format)
        } catch {
            guard format == .json else { throw WindowError(400, "Failed to parse body into Call protobuf: \(error)") }
            do { _ = try JSON.parse(bytes) } catch {
                throw WindowError(400, "Failed to parse body into JSON: \(error)")
            }
            throw WindowError(400, "Failed to convert JSON into Call protobuf: \(error)")
        }
    }
}

/// Short ways to Mesos's messages.
enum Message {
    static func id(_ value: String) -> JSON { ["value": .string(value)] }

    static func double(_ value: Double) -> JSON { .number(JSONNumber(text: value.description)) }

    static func event(_ type: String, _ member: String? = nil, _ payload: JSON = .null) -> JSON {
        var event: JSON = ["type": .string(type)]
        if let member { event[member] = payload }
        return event
    }

    static func error(_ message: String) -> JSON { event("ERROR", "error", ["message": .string(message)]) }
}

/// The names of task states, and what they mean.
enum TaskState {
    static let terminal: Set<String> = [
        "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    ]
    static func isTerminal(_ state: String) -> Bool { terminal.contains(state) }

    /// What a framework without the capability hears of a state.
    static func shown(_ state: String, isPartitionAware: Bool) -> String {
        if isPartitionAware { return state }
        switch state {
        case "TASK_DROPPED", "TASK_UNREACHABLE", "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN":
            return "TASK_LOST"
        default: return state
        }
    }

    /// How far a task has come; later states are never followed by earlier ones.
    static func rank(_ state: String) -> Int {
        switch state {
        case "TASK_STAGING": 0
        case "TASK_STARTING": 1
        case "TASK_RUNNING": 2
        case "TASK_KILLING": 3
        default: 4
        }
    }
}
