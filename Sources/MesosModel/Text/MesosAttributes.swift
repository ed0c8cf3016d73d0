public import JSON

/// Attributes of agents.
public enum MesosAttributes {
    /// Attributes of a node from its labels `attribute.mesos.apus.dev/NAME`: numbers are scalars, `[a-b]` ranges, all else
    /// text; in alphabetical order.
    public static func attributes(ofLabels labels: [String: String]) -> [JSON] {
        labels.keys.filter { $0.hasPrefix(MesosNames.attributePrefix) }.sorted().map { key in
            attribute(String(key.dropFirst(MesosNames.attributePrefix.count)), labels[key] ?? "")
        }
    }

    /// Reads `rack:abc;level:10;zones:[1-3]`.
    public static func parse(_ text: String) -> [JSON] {
        text.split(separator: ";").compactMap { item in
            let parts = item.split(separator: ":", maxSplits: 1)
            return parts.count == 2 ? attribute(String(parts[0]), String(parts[1])) : nil
        }
    }

    private static func attribute(_ name: String, _ value: String) -> JSON {
        var tree: JSON = ["name": .string(name)]
        if let number = Double(value), number.isFinite {
            tree["type"] = "SCALAR"
            tree["scalar"] = ["value": .number(JSONNumber(text: number.description))]
        } else if value.hasPrefix("["), let ranges = try? Resources(text: "x:" + value).ranges("x") {
            tree["type"] = "RANGES"
            tree["ranges"] = ranges.tree
        } else {
            tree["type"] = "TEXT"
            tree["text"] = ["value": .string(value)]
        }
        return tree
    }

    /// The value as the older JSON endpoints show it.
    public static func legacyJSON(_ attributes: [JSON]) -> JSON {
        var members = JSONObject()
        for attribute in attributes {
            guard let name = attribute["name"].string else { continue }
            switch attribute["type"].string {
            case "SCALAR": members[name] = attribute["scalar"]["value"]
            case "RANGES": members[name] = (try? ValueRanges(attribute["ranges"])).map { .string($0.text) } ?? .null
            default: members[name] = .string(attribute["text"]["value"].string ?? "")
            }
        }
        return .object(members)
    }

    /// The DomainInfo of a region and a zone; nil without a region.
    public static func domain(region: String?, zone: String?) -> JSON? {
        guard let region, !region.isEmpty else { return nil }
        return ["fault_domain": ["region": ["name": .string(region)], "zone": ["name": .string(zone ?? "")]]]
    }
}
