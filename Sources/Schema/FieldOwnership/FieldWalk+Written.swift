import JSON

/// The shortest way from a new object to the stored form of its fields, for creates: most objects have one owner.
extension FieldWalk {
    /// The `FieldsV1` form of what a new object says beyond one in which nobody set anything, without the trees of a set.
    func written(_ value: JSON, _ type: FieldType, except ignored: FieldSet) -> JSON {
        written(value, type, isMember: false, except: ignored.nodes) ?? Self.leaf
    }

    /// - Parameter isMember: the container itself is new; if not, it is in the empty object, and so are some of its members.
    /// - Returns: nil when nothing of it is new.
    private func written(_ value: JSON, _ type: FieldType, isMember: Bool, except ignored: [Node]) -> JSON? {
        let shape = type.shape(schema)
        var keys = ContiguousArray<String>()
        var values = ContiguousArray<JSON>()
        switch (shape, value) {
        case (.record(let type), .object(let members)):
            keys.reserveCapacity(members.count + 1)
            values.reserveCapacity(members.count + 1)
            for (name, inner) in members {
                guard let place = type.place(of: name) else { continue }
                let step = type.steps[place]
                let known = ignored.isEmpty ? nil : FieldSet.find(step, in: ignored)
                if known?.isMember == true { continue }
                let field = type.fields[place]
                guard
                    let form = written(
                        inner, .declared(field.value, field.details), isMember: isMember || !field.isInEmptyObject,
                        except: known?.children ?? [])
                else { continue }
                // Nothing of it is left but what nobody owns.
                if known != nil, form.members.isEmpty { continue }
                keys.append(step)
                values.append(form)
            }
        case (.map(let element), .object(let members)):
            keys.reserveCapacity(members.count + 1)
            values.reserveCapacity(members.count + 1)
            for (name, inner) in members {
                keys.append(Steps.field(name))
                values.append(written(inner, element, isMember: true, except: []) ?? Self.leaf)
            }
        case (.keyed(let names, let element), .array(let items)):
            keys.reserveCapacity(items.count + 1)
            values.reserveCapacity(items.count + 1)
            var seen: Set<String> = []
            for item in items {
                let step = step(item, names, element)
                guard items.count == 1 || seen.insert(step).inserted else {
                    return FieldSet.written(fields(of: value, type, isAdded: true), isMember: isMember)
                }
                keys.append(step)
                values.append(written(item, element, isMember: true, except: []) ?? Self.leaf)
            }
        case (.set, .array), (.deduced, .object):
            return FieldSet.written(fields(of: value, type, isAdded: true), isMember: isMember)
        default:
            if !isMember, value.isEmptyInGo { return nil }
            return Self.leaf
        }
        if keys.isEmpty {
            // An empty list is something: a member that nobody set is null.
            if !isMember, case .object = value { return nil }
            return Self.leaf
        }
        Self.sort(&keys, &values)
        if isMember {
            keys.insert(".", at: 0)
            values.insert(Self.leaf, at: 0)
        }
        return .object(JSONObject(uncheckedUniqueKeys: keys, values: values))
    }

    private static let leaf = JSON.object([:])

    /// Sorts both by the keys; mostly they are nearly in order.
    private static func sort(_ keys: inout ContiguousArray<String>, _ values: inout ContiguousArray<JSON>) {
        guard keys.count > 1 else { return }
        if keys.count > 32 {
            let order = keys.indices.sorted { keys[$0] < keys[$1] }
            keys = ContiguousArray(order.map { keys[$0] })
            values = ContiguousArray(order.map { values[$0] })
            return
        }
        for index in 1..<keys.count {
            var place = index
            while place > 0, keys[place] < keys[place - 1] {
                keys.swapAt(place, place - 1)
                values.swapAt(place, place - 1)
                place -= 1
            }
        }
    }
}

extension JSON {
    /// What a member says that nobody set.
    fileprivate var isEmptyInGo: Bool {
        switch self {
        case .null: true
        case .bool(let flag): !flag
        case .integer(let number): number == 0
        case .number: false
        case .string(let text): text.isEmpty
        case .array: false  // It would be null.
        case .object(let members): members.isEmpty
        }
    }
}
