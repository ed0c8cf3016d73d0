import JSON

/// Resources as the legacy endpoints show them: `{"cpus": 1.0, …, "ports": "[1-2, 5-5]"}`.
enum LegacyResources {
    static func json(_ resources: [JSON]) -> JSON {
        var scalars: [String: Int64] = ["cpus": 0, "mem": 0, "disk": 0, "gpus": 0]
        var ranges: [String: [(begin: Int, end: Int)]] = [:]
        var sets: [String: Set<String>] = [:]
        for resource in resources {
            guard var name = resource["name"].string else { continue }
            if !resource["revocable"].isNull { name += "_revocable" }
            if let value = resource["scalar"]["value"].double, value.isFinite {
                scalars[name, default: 0] += Int64((value * 1000).rounded())
            }
            for range in resource["ranges"]["range"].elements {
                guard let begin = range["begin"].int, let end = range["end"].int else { continue }
                ranges[name, default: []].append((begin, end))
            }
            for item in resource["set"]["item"].elements.compactMap(\.string) { sets[name, default: []].insert(item) }
        }
        var tree: JSON = [:]
        for (name, value) in scalars.sorted(by: { $0.key < $1.key }) { tree[name] = .double(Double(value) / 1000) }
        for (name, list) in ranges.sorted(by: { $0.key < $1.key }) { tree[name] = .string(text(list)) }
        for (name, items) in sets.sorted(by: { $0.key < $1.key }) {
            tree[name] = .string("{" + items.sorted().joined(separator: ", ") + "}")
        }
        return tree
    }

    /// `[31000-32000]`; touching ranges are one.
    private static func text(_ ranges: [(begin: Int, end: Int)]) -> String {
        var merged: [(begin: Int, end: Int)] = []
        for range in ranges.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
            if let last = merged.last, range.begin <= last.end + 1 {
                merged[merged.count - 1].end = max(last.end, range.end)
            } else {
                merged.append(range)
            }
        }
        return "[" + merged.map { "\($0.begin)-\($0.end)" }.joined(separator: ", ") + "]"
    }
}
