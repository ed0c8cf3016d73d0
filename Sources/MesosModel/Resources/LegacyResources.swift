public import JSON

/// Resources in the form of the older JSON endpoints of masters and agents.
public enum LegacyResources {
    /// The sums of `Resource` messages: `{"cpus":4.0,"gpus":0.0,"mem":2048.0,"disk":0.0,"ports":"[31000-32000]"}`; the four
    /// scalars are always there, revocable resources have the suffix `_revocable`. Works on the messages themselves:
    /// `/state` has a hundred thousand tasks.
    public static func json(_ resources: [JSON]) -> JSON {
        var scalars: [(name: String, thousandths: Int64)] = [("cpus", 0), ("gpus", 0), ("mem", 0), ("disk", 0)]
        var ranges: [(name: String, values: [ValueRanges.Span])] = []
        var sets: [(name: String, items: Set<String>)] = []
        for resource in resources {
            guard var name = resource["name"].string else { continue }
            if resource["revocable"].object != nil { name += "_revocable" }
            if let value = resource["scalar"]["value"].double {
                let thousandths = MesosResource.thousandths(value)
                if let index = scalars.firstIndex(where: { $0.name == name }) {
                    scalars[index].thousandths &+= thousandths
                } else {
                    scalars.append((name, thousandths))
                }
            } else if resource["ranges"].object != nil {
                let values = ((try? ValueRanges(resource["ranges"])) ?? ValueRanges()).spans
                if let index = ranges.firstIndex(where: { $0.name == name }) {
                    ranges[index].values += values
                } else {
                    ranges.append((name, values))
                }
            } else if let items = resource["set"]["item"].array {
                if let index = sets.firstIndex(where: { $0.name == name }) {
                    sets[index].items.formUnion(items.compactMap(\.string))
                } else {
                    sets.append((name, Set(items.compactMap(\.string))))
                }
            }
        }
        var json: JSON = [:]
        for (name, thousandths) in scalars { json[name] = MesosResource.json(thousandths: thousandths) }
        for (name, values) in ranges { json[name] = .string(ValueRanges(values).text) }
        for (name, items) in sets { json[name] = .string("{\(items.sorted().joined(separator: ", "))}") }
        return json
    }

    /// Reserved `Resource` messages by the role that owns them; unreserved ones are left out.
    public static func byRole(_ resources: [JSON]) -> [(role: String, resources: [JSON])] {
        var owned: [String: [JSON]] = [:]
        for resource in resources { if let role = owner(resource) { owned[role, default: []].append(resource) } }
        return owned.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The role that a `Resource` with a stack of reservations belongs to; nil when it is unreserved.
    public static func owner(_ resource: JSON) -> String? { resource["reservations"].elements.last?["role"].string }

    /// A `Resource` with its reservation in both forms, the old one as far as it can say it: whoever reads either finds it.
    public static func inBothForms(_ resource: JSON) -> JSON {
        var tree = resource
        let reservations = tree["reservations"].elements
        if reservations.isEmpty { tree["role"] = "*" }
        guard reservations.count == 1, let reservation = reservations.first else { return tree }
        tree["role"] = reservation["role"]
        if reservation["type"] == "DYNAMIC" {
            var old: JSON = [:]
            for name in ["principal", "labels"] { old.setMember(name, reservation[name]) }
            tree["reservation"] = old
        }
        return tree
    }
}
