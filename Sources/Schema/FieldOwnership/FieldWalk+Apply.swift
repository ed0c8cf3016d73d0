import JSON

extension FieldWalk {
    // MARK: Checking what is applied

    /// Problems of an applied value: repeated items and items without their keys. Paths are made for problems only.
    func problems(of value: JSON, _ type: FieldType) -> [FieldProblem] {
        let shape = type.shape(schema)
        switch (shape, value) {
        case (.record, .object(let members)), (.map, .object(let members)), (.deduced, .object(let members)):
            var found: [FieldProblem] = []
            for (name, inner) in members {
                let below = problems(of: inner, member(name, of: shape).type)
                if !below.isEmpty { found += below.map { $0.inside(".\(name)") } }
            }
            return found
        case (.set, .array(let elements)):
            var seen: Set<String> = []
            return elements.compactMap { element in
                seen.insert(Steps.value(element)).inserted
                    ? nil : FieldProblem(path: "", message: "duplicate entries for key [=\(element)]")
            }
        case (.keyed(let keys, let element), .array(let items)):
            var found: [FieldProblem] = []
            var seen: Set<String> = []
            for (index, item) in items.enumerated() {
                if let message = keyProblem(item, keys, element) {
                    found.append(FieldProblem(path: "", message: "element \(index): \(message)"))
                    continue
                }
                let step = step(item, keys, element)
                if !seen.insert(step).inserted {
                    found.append(
                        FieldProblem(path: "", message: "duplicate entries for key \(FieldSet.pathText(of: step))"))
                }
                let below = problems(of: item, element)
                if !below.isEmpty { found += below.map { $0.inside(FieldSet.pathText(of: step)) } }
            }
            return found
        default: return []
        }
    }

    /// Why an item of a keyed list cannot be told from others.
    private func keyProblem(_ item: JSON, _ keys: [String], _ element: FieldType) -> String? {
        guard case .object = item else { return "associative list with keys may not have non-map elements" }
        guard keys.allSatisfy({ item[$0].isNull && element.defaultKey($0, schema) == nil }) else { return nil }
        let names = keys.map { "\"\($0)\"" }.joined(separator: " ")
        return
            "associative list with keys has an element that omits all key fields [\(names)] (and doesn't have default "
            + "values for any key fields)"
    }

    // MARK: Merging

    /// The live value with all that is applied set in it.
    func merged(_ live: JSON, _ applied: JSON, _ type: FieldType) -> JSON {
        let shape = type.shape(schema)
        switch (shape, live, applied) {
        case (.record, .object(var members), .object(let wanted)), (.map, .object(var members), .object(let wanted)),
            (.deduced, .object(var members), .object(let wanted)):
            for (name, value) in wanted {
                if let earlier = members[name] {
                    members[name] = merged(earlier, value, member(name, of: shape).type)
                } else {
                    members[name] = value
                }
            }
            return .object(members)
        case (.set, .array(let before), .array(let wanted)):
            return .array(
                interleaved(before.map { (Steps.value($0), [$0]) }, wanted.map { (Steps.value($0), $0) }) { $1 })
        case (.keyed(let keys, let element), .array(let before), .array(let wanted)):
            return .array(
                interleaved(
                    grouped(before, keys, element), wanted.map { (step($0, keys, element), $0) }
                ) { self.merged($0, $1, element) })
        default: return applied
        }
    }

    /// Items in the applied order; those that only the live list has stay in front of the item they stood before.
    private func interleaved(
        _ live: [(step: String, items: [JSON])], _ applied: [(step: String, item: JSON)],
        _ merge: (JSON, JSON) -> JSON
    ) -> [JSON] {
        let places = Dictionary(
            live.enumerated().map { ($1.step, $0) }, uniquingKeysWith: { first, _ in first })
        let wanted = Set(applied.map(\.step))
        var result: [JSON] = []
        result.reserveCapacity(live.count + applied.count)
        var next = 0
        for (step, item) in applied {
            guard let place = places[step] else {
                result.append(item)
                continue
            }
            while next <= place {
                if !wanted.contains(live[next].step) { result += live[next].items }
                next += 1
            }
            let items = live[place].items
            result.append(items.count == 1 ? merge(items[0], item) : item)
        }
        while next < live.count {
            if !wanted.contains(live[next].step) { result += live[next].items }
            next += 1
        }
        return result
    }

    // MARK: Removing what is no longer applied

    /// The value without what a manager applied before (`last`) and nobody claims now (`kept`).
    ///
    /// A container that the manager applied goes as a whole, with what defaults put into it; one in which somebody owns
    /// something loses only what was applied.
    func pruned(_ value: JSON, _ type: FieldType, last: [Node], kept: [Node]) -> JSON {
        let shape = type.shape(schema)
        switch (shape, value) {
        case (.record, .object(var members)), (.map, .object(var members)), (.deduced, .object(var members)):
            for node in last where node.step.hasPrefix("f:") {
                let name = String(node.step.dropFirst(2))
                guard let inner = members[name] else { continue }
                let (type, field) = member(name, of: shape)
                let rest = pruned(
                    inner, type, node, FieldSet.find(node.step, in: kept), isWhole: node.isMember || field != nil)
                if let rest { members[name] = rest } else { members.removeValue(forKey: name) }
            }
            return .object(members)
        case (.set, .array(let elements)):
            return .array(
                elements.filter { element in
                    let step = Steps.value(element)
                    return FieldSet.find(step, in: last) == nil || FieldSet.find(step, in: kept) != nil
                })
        case (.keyed(let keys, let element), .array(let items)):
            return .array(
                items.compactMap { item in
                    let step = step(item, keys, element)
                    guard let node = FieldSet.find(step, in: last) else { return item }
                    return pruned(item, element, node, FieldSet.find(step, in: kept), isWhole: node.isMember)
                })
        default: return value
        }
    }

    /// What remains of one member or item; nil when it goes.
    private func pruned(_ value: JSON, _ type: FieldType, _ node: Node, _ keep: Node?, isWhole: Bool) -> JSON? {
        if keep == nil, isWhole { return nil }
        if node.children.isEmpty { return value }
        let rest = pruned(value, type, last: node.children, kept: keep?.children ?? [])
        switch (rest, value) {
        case (.object(let now), .object(let before)) where now.isEmpty && !before.isEmpty: return nil
        case (.array(let now), .array(let before)) where now.isEmpty && !before.isEmpty: return nil
        default: return rest
        }
    }
}
