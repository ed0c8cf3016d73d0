import JSON
import ObjectModel

/// The `status.conditions` list of an object, kept in the order it has.
struct Conditions: Sendable, Equatable {
    private(set) var list: [JSON]

    init(_ json: JSON) {
        list = json.elements
    }

    /// The list as JSON; nil when it is empty.
    var json: JSON? { list.isEmpty ? nil : .array(list) }

    subscript(type: String) -> JSON? { list.first { $0["type"].string == type } }

    func isTrue(_ type: String) -> Bool { self[type]?["status"].string == "True" }

    /// Sets a condition. The transition time moves only when the status changes; nothing changes when status, reason
    /// and message are as before.
    /// - Parameters:
    ///   - tracksUpdates: also keep `lastUpdateTime`, moved with every change (deployments).
    ///   - ignoresMessage: a new message alone is no change.
    mutating func set(
        _ type: String, _ status: String, reason: String, message: String, now: Timestamp,
        tracksUpdates: Bool = false, ignoresMessage: Bool = false, observedGeneration: Int? = nil
    ) {
        let old = self[type]
        if let old, old["status"].string == status, old["reason"].string ?? "" == reason,
            ignoresMessage || old["message"].string ?? "" == message
        {
            return
        }
        var condition: JSON = ["type": .string(type), "status": .string(status)]
        if tracksUpdates { condition["lastUpdateTime"] = .string(now.rfc3339) }
        let isSame = old?["status"].string == status
        condition["lastTransitionTime"] = isSame ? old?["lastTransitionTime"] ?? .null : .string(now.rfc3339)
        if condition["lastTransitionTime"].isNull { condition["lastTransitionTime"] = .string(now.rfc3339) }
        if !reason.isEmpty { condition["reason"] = .string(reason) }
        if !message.isEmpty { condition["message"] = .string(message) }
        if let observedGeneration { condition["observedGeneration"] = JSON(observedGeneration) }
        replace(type, condition)
    }

    mutating func append(_ condition: JSON) {
        list.append(condition)
    }

    mutating func remove(_ type: String) {
        list.removeAll { $0["type"].string == type }
    }

    /// Changes a condition in place, if it is there.
    mutating func edit(_ type: String, _ change: (inout JSON) -> Void) {
        guard let index = list.firstIndex(where: { $0["type"].string == type }) else { return }
        change(&list[index])
    }

    private mutating func replace(_ type: String, _ condition: JSON) {
        if let index = list.firstIndex(where: { $0["type"].string == type }) {
            list[index] = condition
        } else {
            list.append(condition)
        }
    }
}
