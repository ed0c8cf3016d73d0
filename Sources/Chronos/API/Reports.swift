import HTTPWindow
import JSON
import ObjectModel
import ScheduledJobs

/// Graphs and statistics.
extension ChronosAPI {
    /// `graph/csv`, `graph/dot`.
    func graph(_ request: WindowRequest, _ form: String) async throws -> WindowResponse {
        let all = await readable(request)
        let names = Set(all.map(\.spec.name))
        let links = all.flatMap { definition in
            definition.spec.parents.filter(names.contains).map { ($0, definition.spec.name) }
        }
        var text = ""
        switch form {
        case "csv":
            for definition in all {
                let name = definition.spec.name
                text += "node,\(name),\(Self.lastState(definition)),\(state.word(of: name))\n"
            }
            for (parent, child) in links { text += "link,\(parent),\(child)\n" }
        case "dot":
            text = "digraph G {\n"
            for name in names.sorted() { text += "  \"\(name)\";\n" }
            for (parent, child) in links { text += "  \"\(parent)\" -> \"\(child)\";\n" }
            text += "}\n"
        default: throw ChronosError(404, "no such path: \(request.path)")
        }
        return WindowResponse(200, text: text)
    }

    /// Seconds that runs took, sorted.
    private static func durations(_ definition: Definition) -> [Double] {
        definition.record.history.compactMap { $0["seconds"].double }.sorted()
    }

    /// A value that so many of the durations do not exceed; 0 without any.
    static func percentile(_ durations: [Double], _ part: Double) -> Double {
        guard let last = durations.last else { return 0 }
        let place = Int((Double(durations.count) * part).rounded(.up)) - 1
        return durations.indices.contains(place) ? durations[max(place, 0)] : last
    }

    private static let parts: [(name: String, part: Double)] = [
        ("75thPercentile", 0.75), ("95thPercentile", 0.95), ("98thPercentile", 0.98), ("99thPercentile", 0.99),
        ("median", 0.5),
    ]

    private static func value(_ durations: [Double], _ word: String) -> Double? {
        if word == "mean" { return durations.isEmpty ? 0 : durations.reduce(0, +) / Double(durations.count) }
        return parts.first { $0.name == word }.map { percentile(durations, $0.part) }
    }

    private static func number(_ value: Double) -> JSON { .number(JSONNumber(text: "\(value)")) }

    /// `stats/99thPercentile` and the like: that of every job, the slowest first.
    func statistics(_ request: WindowRequest, _ word: String) async throws -> WindowResponse {
        var entries: [(name: String, seconds: Double)] = []
        for definition in await readable(request) {
            guard let seconds = Self.value(Self.durations(definition), word) else {
                throw ChronosError("no such statistic: \(word)")
            }
            entries.append((definition.spec.name, seconds))
        }
        entries.sort { ($1.seconds, $0.name) < ($0.seconds, $1.name) }
        return WindowResponse(
            json: .array(
                entries.map { ["jobNameLabel": .string($0.name), "time": Self.number($0.seconds)] }))
    }

    /// `job/stat/NAME`.
    func statistic(_ request: WindowRequest, _ name: String) async throws -> WindowResponse {
        try await access.require("get", name, request)
        let definition = try definition(name)
        let durations = Self.durations(definition)
        var histogram: JSON = ["count": JSON(durations.count)]
        for word in Self.parts.map(\.name) + ["mean"] {
            histogram[word] = Self.number(Self.value(durations, word) ?? 0)
        }
        return WindowResponse(json: [
            "histogram": histogram,
            "taskStatHistory": .array(
                definition.record.history.map { entry in
                    [
                        "taskId": entry["taskId"], "jobName": .string(name), "slaveId": entry["slaveId"],
                        "startTime": entry["start"], "endTime": entry["end"],
                        "duration": .string("\(entry["seconds"].int ?? 0)s"),
                        "status": .string(entry["isSuccess"].bool == true ? "Success" : "Fail"),
                    ]
                }),
        ])
    }
}
