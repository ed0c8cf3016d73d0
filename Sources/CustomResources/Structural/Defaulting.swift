import JSON

extension StructuralSchema {
    /// Fills in defaults, and drops nulls of members that may not be null.
    func applyDefaults(to object: inout JSON) {
        if isComplete(object, 0, isRoot: true) { return }
        applyDefaults(to: &object, 0, isRoot: true)
    }

    /// Whether there is nothing to do. Allocates nothing.
    func isComplete(_ value: JSON, _ place: Int, isRoot: Bool = false) -> Bool {
        switch value {
        case .object(let members):
            let node = nodes[place]
            if node.hasDefaults {
                for (name, property) in node.properties
                where nodes[property].defaultValue != nil && members[name] == nil {
                    if !(isRoot && Self.isImplied(name)) { return false }
                }
            }
            for (name, member) in members {
                if isRoot, Self.isImplied(name) { continue }
                guard let part = node.properties[name] ?? node.additionalPlace else { continue }
                if member.isNull {
                    if !nodes[part].isNullable { return false }
                } else if !isComplete(member, part) {
                    return false
                }
            }
            return true
        case .array(let elements):
            let items = nodes[place].items
            if items >= 0 {
                for element in elements where !isComplete(element, items) { return false }
            }
            return true
        default: return true
        }
    }

    private func applyDefaults(to value: inout JSON, _ place: Int, isRoot: Bool = false) {
        let node = nodes[place]
        switch value {
        case .object(var members):
            value = .null  // Gives up our reference, so that members are changed in place.
            members.removeAll { name, member in
                guard member.isNull, !(isRoot && Self.isImplied(name)),
                    let part = node.properties[name] ?? node.additionalPlace
                else { return false }
                return !nodes[part].isNullable
            }
            if node.hasDefaults {
                for name in node.names where members[name] == nil && !(isRoot && Self.isImplied(name)) {
                    guard let property = node.properties[name], let value = nodes[property].defaultValue else {
                        continue
                    }
                    members[name] = value
                }
            }
            for index in members.keys.indices {
                let name = members.keys[index]
                if isRoot, Self.isImplied(name) { continue }
                guard let part = node.properties[name] ?? node.additionalPlace else { continue }
                applyDefaults(to: &members.values[index], part)
            }
            value = .object(members)
        case .array(var elements):
            guard node.items >= 0 else { return }
            value = .null
            for index in elements.indices { applyDefaults(to: &elements[index], node.items) }
            value = .array(elements)
        default: return
        }
    }
}

extension StructuralSchema.Node {
    /// The node of members that are no properties.
    var additionalPlace: Int? {
        if case .node(let place) = additional { place } else { nil }
    }
}
