import JSON

/// Problems of an applied object that its type alone shows: `.spec.ports: element 0: …`.
struct FieldProblem {
    var path: String
    var message: String
    var description: String { "\(path): \(message)" }
    /// The same problem, seen from further out.
    func inside(_ outer: String) -> FieldProblem { FieldProblem(path: outer + path, message: message) }
}

/// What a change did: the fields it set, to new values or for the first time, and those it removed.
struct FieldChanges {
    var touched = FieldSet()
    var removed = FieldSet()
    var isEmpty: Bool { touched.isEmpty && removed.isEmpty }
}

/// Walks over values along their types.
struct FieldWalk {
    typealias Node = FieldSet.Node
    let schema: Schema

    /// A member of an object; the type of one that no type declares is deduced.
    func member(_ name: String, of shape: FieldShape) -> (type: FieldType, field: SchemaField?) {
        switch shape {
        case .record(let type):
            guard let field = type.field(name) else { return (.deduced, nil) }
            return (.declared(field.value, field.details), field)
        case .map(let element): return (element, nil)
        default: return (.deduced, nil)
        }
    }

    /// Whether objects of this shape are owned member by member.
    func isMapLike(_ shape: FieldShape) -> Bool {
        switch shape {
        case .record, .map, .deduced: true
        case .leaf, .set, .keyed: false
        }
    }

    /// The step of a list item; absent keys have their default or are left out.
    func step(_ item: JSON, _ keys: [String], _ element: FieldType) -> String {
        Steps.keys(
            keys.compactMap { key in
                let value = item[key]
                return value.isNull ? element.defaultKey(key, schema).map { (key, $0) } : (key, value)
            })
    }

    /// Items of a keyed list by step, in the order of their first appearance. Stored lists may repeat a key.
    func grouped(_ items: [JSON], _ keys: [String], _ element: FieldType) -> [(step: String, items: [JSON])] {
        var result: [(step: String, items: [JSON])] = []
        result.reserveCapacity(items.count)
        var places: [String: Int] = [:]
        for item in items {
            let step = step(item, keys, element)
            let known = items.count < 8 ? result.firstIndex { $0.step == step } : places[step]
            if let known {
                result[known].items.append(item)
            } else {
                if items.count >= 8 { places[step] = result.count }
                result.append((step, [item]))
            }
        }
        return result
    }

    // MARK: Sets of values

    /// The fields of a value.
    /// - Parameter isAdded: as a change that adds the value sees them: with the containers.
    func fields(of value: JSON, _ type: FieldType, isAdded: Bool) -> [Node] {
        let shape = type.shape(schema)
        var nodes: [Node] = []
        switch (shape, value) {
        case (.record, .object(let members)), (.map, .object(let members)), (.deduced, .object(let members)):
            nodes.reserveCapacity(members.count)
            for (name, inner) in members {
                let (type, field) = member(name, of: shape)
                nodes.append(node(Steps.field(name), inner, type, field, isAdded: isAdded))
            }
        case (.set, .array(let elements)):
            for element in elements { nodes.append(Node(step: Steps.value(element), isMember: true)) }
            FieldSet.sort(&nodes)
            return nodes.reduce(into: []) { if $0.last?.step != $1.step { $0.append($1) } }
        case (.keyed(let keys, let element), .array(let items)):
            for group in grouped(items, keys, element) {
                let children = group.items.count == 1 ? fields(of: group.items[0], element, isAdded: isAdded) : []
                nodes.append(Node(step: group.step, isMember: true, children: children))
            }
        default: return []
        }
        FieldSet.sort(&nodes)
        return nodes
    }

    private func node(_ step: String, _ value: JSON, _ type: FieldType, _ field: SchemaField?, isAdded: Bool) -> Node {
        let children = fields(of: value, type, isAdded: isAdded)
        // Members that no type declares are items of a map, and owned as such.
        let isMember = children.isEmpty || isAdded || field == nil
        return Node(step: step, isMember: isMember, children: children)
    }

    // MARK: Changes

    /// What differs between two versions of an object.
    func changes(from old: JSON, to new: JSON, _ type: FieldType) -> FieldChanges {
        var touched: [Node] = []
        var removed: [Node] = []
        _ = compare(old, new, type, &touched, &removed)
        return FieldChanges(touched: FieldSet(nodes: touched), removed: FieldSet(nodes: removed))
    }

    /// - Returns: whether the value changed as a whole.
    private func compare(
        _ old: JSON, _ new: JSON, _ type: FieldType, _ touched: inout [Node], _ removed: inout [Node]
    ) -> Bool {
        let shape = type.shape(schema)
        switch (shape, old, new) {
        case (.record, .object(let before), .object(let after)), (.map, .object(let before), .object(let after)),
            (.deduced, .object(let before), .object(let after)):
            for (name, value) in after {
                let (type, field) = member(name, of: shape)
                guard let earlier = before[name] else {
                    // What is left out of objects when it is empty does not become another thing by being empty.
                    if field?.isLeftOut(value) == true { continue }
                    touched.append(node(Steps.field(name), value, type, field, isAdded: true))
                    continue
                }
                var inner: [Node] = []
                var gone: [Node] = []
                let isChanged = compare(earlier, value, type, &inner, &gone)
                if isChanged || !inner.isEmpty {
                    touched.append(Node(step: Steps.field(name), isMember: isChanged, children: inner))
                }
                if !gone.isEmpty { removed.append(Node(step: Steps.field(name), isMember: false, children: gone)) }
            }
            for (name, value) in before where after[name] == nil {
                let (type, field) = member(name, of: shape)
                if field?.isLeftOut(value) == true { continue }
                let children = fields(of: value, type, isAdded: true)
                removed.append(Node(step: Steps.field(name), isMember: true, children: children))
            }
        case (.set, .array(let before), .array(let after)):
            if before == after { return false }
            let old = fields(of: old, type, isAdded: true)
            let new = fields(of: new, type, isAdded: true)
            touched = FieldSet.difference(new, old)
            removed = FieldSet.difference(old, new)
            return false
        case (.keyed(let keys, let element), .array(let before), .array(let after)):
            // Mostly nothing changed, which is told without naming any item.
            if before == after { return false }
            compareItems(
                grouped(before, keys, element), grouped(after, keys, element), element, &touched, &removed)
        default: return old != new
        }
        FieldSet.sort(&touched)
        FieldSet.sort(&removed)
        return false
    }

    private func compareItems(
        _ before: [(step: String, items: [JSON])], _ after: [(step: String, items: [JSON])], _ element: FieldType,
        _ touched: inout [Node], _ removed: inout [Node]
    ) {
        func find(_ step: String, _ groups: [(step: String, items: [JSON])], _ hint: Int) -> [JSON]? {
            // Mostly the order is the same.
            if groups.indices.contains(hint), groups[hint].step == step { return groups[hint].items }
            return groups.first { $0.step == step }?.items
        }
        for (index, group) in after.enumerated() {
            guard let earlier = find(group.step, before, index) else {
                let children = group.items.count == 1 ? fields(of: group.items[0], element, isAdded: true) : []
                touched.append(Node(step: group.step, isMember: true, children: children))
                continue
            }
            guard earlier.count == 1, group.items.count == 1 else {
                // A repeated key has no items that could be told apart: they are one value.
                if earlier != group.items { touched.append(Node(step: group.step, isMember: true)) }
                continue
            }
            var inner: [Node] = []
            var gone: [Node] = []
            let isChanged = compare(earlier[0], group.items[0], element, &inner, &gone)
            if isChanged || !inner.isEmpty {
                touched.append(Node(step: group.step, isMember: isChanged, children: inner))
            }
            if !gone.isEmpty { removed.append(Node(step: group.step, isMember: false, children: gone)) }
        }
        for (index, group) in before.enumerated() where find(group.step, after, index) == nil {
            let children = group.items.count == 1 ? fields(of: group.items[0], element, isAdded: true) : []
            removed.append(Node(step: group.step, isMember: true, children: children))
        }
    }
}
