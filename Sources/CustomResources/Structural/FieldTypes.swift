import JSON
import Schema

extension StructuralSchema {
    /// How server-side apply sees the objects.
    var fieldType: CustomFieldType { fieldType(0, isRoot: true) }

    private func fieldType(_ place: Int, isRoot: Bool = false) -> CustomFieldType {
        let node = nodes[place]
        switch node.kind {
        case .object:
            if node.isAtomicMap { return .leaf }
            if case .node(let part) = node.additional {
                let element = fieldType(part)
                // Lists in a map carry no list type there.
                return .map(element)
            }
            if node.isEmbedded { return .resource(fields(node)) }
            if node.properties.isEmpty { return node.preservesUnknown ? .deduced : .record([]) }
            return .record(fields(node, isRoot: isRoot))
        case .array:
            switch node.listKind {
            case .atomic: return .leaf
            case .set: return .set
            case .map: return node.items < 0 ? .leaf : .keyed(node.listKeys, fieldType(node.items))
            }
        case .any: return node.preservesUnknown ? .deduced : .leaf
        default: return .leaf
        }
    }

    private func fields(_ node: Node, isRoot: Bool = false) -> [CustomFieldType.Field] {
        node.names.compactMap { name in
            if isRoot || node.isEmbedded, ["apiVersion", "kind", "metadata"].contains(name) { return nil }
            guard let place = node.properties[name] else { return nil }
            return .init(name: name, type: fieldType(place), defaultValue: nodes[place].defaultValue)
        }
    }
}
