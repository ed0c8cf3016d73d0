import CEL
import JSON

/// The types and sizes that expressions see of a schema.
struct RuleTypes {
    let schema: StructuralSchema
    /// The most bytes of a request body, which bound what no schema bounds.
    private static let maximumBytes: UInt64 = 3 << 20

    /// The type of a node's values; nil when expressions cannot reach it: nothing says what it is.
    func type(_ place: Int, name: String = "Object", isRoot: Bool = false) -> CELType? {
        let node = schema.nodes[place]
        if node.isIntOrString { return .dyn }
        switch node.kind {
        case .boolean: return .bool
        case .integer: return .int
        case .number: return .double
        case .string:
            switch node.checks?.format {
            case "byte": return .bytes
            case "duration": return .duration
            case "date", "date-time", "datetime": return .timestamp
            default: return .string
            }
        case .array:
            guard node.items >= 0, let items = type(node.items, name: name + ".@idx") else { return nil }
            return .list(items)
        case .object:
            if let part = node.additionalPlace {
                return type(part, name: name + ".@elem").map { .map(.string, $0) }
            }
            return .object(object(node, name: name, isResource: isRoot || node.isEmbedded))
        case .any: return nil
        }
    }

    private func object(_ node: StructuralSchema.Node, name: String, isResource: Bool) -> CELObjectType {
        var fields: [String: CELObjectType.Field] = [:]
        for (property, place) in node.properties {
            guard CELName.escape(property) != nil, let type = type(place, name: "\(name).\(property)") else { continue }
            fields[property] = .init(type, listKind: listKind(place))
        }
        if isResource {
            let metadata = CELObjectType(name: "\(name).metadata") {
                ["name": .init(.string), "generateName": .init(.string)]
            }
            fields["apiVersion"] = .init(.string)
            fields["kind"] = .init(.string)
            fields["metadata"] = .init(.object(metadata))
        }
        let made = fields
        return CELObjectType(name: name) { made }
    }

    func listKind(_ place: Int) -> CELListKind {
        let node = schema.nodes[place]
        switch node.listKind {
        case .atomic: return .atomic
        case .set: return .set
        case .map: return .map(keys: node.listKeys)
        }
    }

    // MARK: Sizes

    /// The size of the value at a path below a node, as the estimator asks for it.
    func size(_ path: ArraySlice<String>, below place: Int) -> CELSize? {
        var place = place
        for step in path {
            let node = schema.nodes[place]
            switch step {
            case "@items":
                guard node.items >= 0 else { return nil }
                place = node.items
            case "@values":
                guard let part = node.additionalPlace else { return nil }
                place = part
            case "@keys": return CELSize(maximum: Self.maximumBytes - 2)
            default:
                if let property = node.properties[step] {
                    place = property
                } else if step == "name" || step == "generateName" {
                    return CELSize(maximum: 253)
                } else {
                    return nil
                }
            }
        }
        return CELSize(maximum: maximumSize(place))
    }

    /// The most elements, entries or characters of a node's values.
    func maximumSize(_ place: Int) -> UInt64 {
        let node = schema.nodes[place]
        func bound(_ given: Int?, _ otherwise: UInt64) -> UInt64 {
            given.map { UInt64(max(0, $0)) } ?? otherwise
        }
        switch node.kind {
        case .array:
            let least = node.items >= 0 ? minimumBytes(node.items) : 1
            return bound(node.checks?.maxItems, (Self.maximumBytes - 2) / (least + 1))
        case .object:
            guard let part = node.additionalPlace else { return UInt64(node.properties.count) }
            return bound(node.checks?.maxProperties, (Self.maximumBytes - 2) / (minimumBytes(part) + 6))
        case .string, .any:
            if let allowed = node.checks?.enumeration {
                return allowed.reduce(0) { max($0, UInt64($1.string?.utf8.count ?? 0)) }
            }
            return bound(node.checks?.maxLength, Self.maximumBytes - 2)
        default: return 1
        }
    }

    /// The fewest bytes that a value of a node has in JSON.
    private func minimumBytes(_ place: Int) -> UInt64 {
        let node = schema.nodes[place]
        switch node.kind {
        case .boolean: return 4
        case .integer, .number: return 1
        case .string, .array, .any: return 2
        case .object:
            var bytes: UInt64 = 2
            for name in node.checks?.required ?? [] {
                guard let property = node.properties[name], schema.nodes[property].defaultValue == nil else { continue }
                bytes += UInt64(name.utf8.count) + 4 + minimumBytes(property)
            }
            return bytes
        }
    }
}
