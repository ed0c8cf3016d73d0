public import JSON
public import ObjectModel

extension Catalog {
    /// Applies a strategic merge patch with all its directives: `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/…`,
    /// `$setElementOrder/…`. Lists merge by their merge key where the schema names one, others are replaced.
    /// - Throws: `PatchError.malformed` for directives that make no sense, with the texts kubectl users know.
    public func strategicMerge(_ object: JSON, with patch: JSON, kind: GroupVersionKind) throws(PatchError) -> JSON {
        guard case .object(let members) = patch else { throw PatchError(.malformed, "invalid JSON document") }
        let type = schema.place(of: kind).map(SchemaValue.object)
        return .object(try StrategicMerge(schema: schema).map(object.members, members, type: type))
    }
}

/// The names of the directives.
enum MergeDirective {
    static let patch = "$patch"
    static let retainKeys = "$retainKeys"
    static let deletePrefix = "$deleteFromPrimitiveList/"
    static let orderPrefix = "$setElementOrder/"

    static func isDirective(_ key: String) -> Bool {
        key.utf8.first == UInt8(ascii: "$")
            && (key == patch || key == retainKeys || key.hasPrefix(deletePrefix) || key.hasPrefix(orderPrefix))
    }
}

/// Merges trees along their types. Below members of unknown type maps merge and lists are replaced.
struct StrategicMerge {
    let schema: Schema

    /// The type and merge rules of a member of a map.
    private struct Rule {
        var value: SchemaValue?
        var mergesLists = false
        var replacesMaps = false
        var mergeKey: String?
    }

    private func rule(_ key: String, in type: SchemaValue?) -> Rule {
        switch type {
        case .object(let place)?:
            guard let field = schema.types[place].field(key) else { return Rule() }
            return Rule(
                value: field.value, mergesLists: field.mergesLists, replacesMaps: field.replacesMaps,
                mergeKey: field.details?.patchMergeKey)
        case .map(let element)?: return Rule(value: element)
        default: return Rule()
        }
    }

    private func element(of value: SchemaValue?) -> SchemaValue? {
        if case .list(let element)? = value { element } else { nil }
    }

    // MARK: Maps

    func map(_ original: JSONObject, _ patch: JSONObject, type: SchemaValue?) throws(PatchError) -> JSONObject {
        var patch = patch
        if let directive = patch.removeValue(forKey: MergeDirective.patch) {
            switch directive {
            case "replace": return try map([:], patch, type: type)
            case "delete": return [:]
            case "merge": break
            default:
                throw PatchError(
                    .malformed,
                    "unknown patch type: \(directive.string ?? "\(directive)") in map: \(JSON.object(patch))")
            }
        }
        var result = original
        try retainKeys(&patch, &result)
        try deleteFromLists(&patch, &result)
        try orderLists(&patch, &result, type)
        for (key, value) in patch {
            if value.isNull {
                result.removeValue(forKey: key)
                continue
            }
            let rule = rule(key, in: type)
            switch (result[key], value) {
            case (.object(let old)?, .object(let new)) where !rule.replacesMaps:
                result[key] = .object(try map(old, new, type: rule.value))
            case (_, .object(let new)):
                // `$patch: delete` of something that is not there leaves nothing behind.
                if new[MergeDirective.patch] == "delete" {
                    result.removeValue(forKey: key)
                } else {
                    result[key] = .object(try map([:], new, type: rule.value))
                }
            case (.array(let old)?, .array(let new)) where rule.mergesLists:
                result[key] = .array(try list(old, new, rule, key))
            case (_, .array(let new)):
                result[key] = .array(rule.mergesLists ? try list([], new, rule, key) : cleaned(new))
            default: result[key] = value
            }
        }
        return result
    }

    /// `$retainKeys`: members that are not named go; what the patch sets must be named.
    private func retainKeys(_ patch: inout JSONObject, _ result: inout JSONObject) throws(PatchError) {
        guard let directive = patch.removeValue(forKey: MergeDirective.retainKeys) else { return }
        guard case .array(let names) = directive else {
            throw PatchError(.malformed, "invalid patch format of retain keys")
        }
        let kept = Set(names.compactMap(\.string))
        for (key, value) in patch where !value.isNull && !MergeDirective.isDirective(key) && !kept.contains(key) {
            throw PatchError(.malformed, "patch contains fields not in retainKeys list")
        }
        for key in result.keys where !kept.contains(key) { result.removeValue(forKey: key) }
    }

    /// `$deleteFromPrimitiveList/x`: takes values out of a list of scalars.
    private func deleteFromLists(_ patch: inout JSONObject, _ result: inout JSONObject) throws(PatchError) {
        for key in patch.keys where key.hasPrefix(MergeDirective.deletePrefix) {
            guard case .array(let values)? = patch.removeValue(forKey: key) else {
                throw PatchError(.malformed, "invalid patch format of primitive list")
            }
            let name = String(key.dropFirst(MergeDirective.deletePrefix.count))
            guard case .array(let old)? = result[name] else { continue }
            let removed = Set(values.map { identity($0, nil) })
            result[name] = .array(old.filter { !removed.contains(identity($0, nil)) })
        }
    }

    /// `$setElementOrder/x`: merges the list and puts it into the order given; what only the object has keeps its place.
    private func orderLists(_ patch: inout JSONObject, _ result: inout JSONObject, _ type: SchemaValue?)
        throws(PatchError)
    {
        for key in patch.keys where key.hasPrefix(MergeDirective.orderPrefix) {
            guard case .array(let order)? = patch.removeValue(forKey: key) else {
                throw PatchError(.malformed, "invalid patch format of setElementOrder list")
            }
            let name = String(key.dropFirst(MergeDirective.orderPrefix.count))
            let rule = rule(name, in: type)
            let original = result[name]?.array ?? []
            let patchList = patch.removeValue(forKey: name)
            if let patchList, case .array(let items) = patchList {
                try checkOrder(items, order, rule.mergeKey)
                result[name] = .array(rule.mergesLists ? try list(original, items, rule, name) : cleaned(items))
            } else if patchList?.isNull == true {
                result.removeValue(forKey: name)
            }
            guard case .array(let merged)? = result[name] else { continue }
            result[name] = .array(ordered(merged, by: order, server: original, mergeKey: rule.mergeKey))
        }
    }

    /// The patch's items must stand in the order that the directive gives.
    private func checkOrder(_ items: [JSON], _ order: [JSON], _ mergeKey: String?) throws(PatchError) {
        var next = 0
        for item in items where item[MergeDirective.patch].isNull {
            let wanted = identity(item, mergeKey)
            while next < order.count, identity(order[next], mergeKey) != wanted { next += 1 }
            if next == order.count {
                throw PatchError(
                    .malformed,
                    "The order in patch list:\n\(JSON.array(items))\n doesn't match \(MergeDirective.orderPrefix.dropLast()) "
                        + "list:\n\(JSON.array(order))\n")
            }
            next += 1
        }
    }

    // MARK: Lists

    private func list(_ original: [JSON], _ patch: [JSON], _ rule: Rule, _ name: String) throws(PatchError) -> [JSON] {
        let isOfMaps = (patch.first ?? original.first)?.object != nil
        guard isOfMaps else {
            var seen: Set<String> = []
            let merged = (original + patch).filter { seen.insert(identity($0, nil)).inserted }
            return ordered(merged, by: patch, server: original, mergeKey: nil)
        }
        guard let mergeKey = rule.mergeKey else {
            throw PatchError(.malformed, "cannot merge lists without merge key for \(name)")
        }
        var (merged, items) = try applyItemDirectives(original, patch, mergeKey)
        let type = element(of: rule.value)
        var places: [String: Int] = [:]
        for (place, item) in merged.enumerated().reversed() { places[identity(item, mergeKey)] = place }
        for item in items {
            guard case .object(let members) = item else {
                throw PatchError(.malformed, "invalid JSON document")
            }
            guard let value = members[mergeKey], !value.isNull else {
                throw PatchError(.malformed, "map: \(item) does not contain declared merge key: \(mergeKey)")
            }
            let identity = identity(item, mergeKey)
            if let place = places[identity] {
                merged[place] = .object(try map(merged[place].members, members, type: type))
            } else {
                places[identity] = merged.count
                merged.append(.object(try map([:], members, type: type)))
            }
        }
        return ordered(merged, by: items, server: original, mergeKey: mergeKey)
    }

    /// Items that are directives: `$patch: delete` takes an item out, `$patch: replace` empties the list first.
    private func applyItemDirectives(_ original: [JSON], _ patch: [JSON], _ mergeKey: String) throws(PatchError)
        -> (kept: [JSON], items: [JSON])
    {
        var removed: Set<String> = []
        var items: [JSON] = []
        var replaces = false
        for item in patch {
            switch item[MergeDirective.patch] {
            case .null: items.append(item)
            case "delete":
                guard !item[mergeKey].isNull else {
                    throw PatchError(.malformed, "map: \(item) does not contain declared merge key: \(mergeKey)")
                }
                removed.insert(identity(item, mergeKey))
            case "replace": replaces = true
            case "merge": throw PatchError(.malformed, "merging lists cannot yet be specified in the patch")
            case let other:
                throw PatchError(
                    .malformed, "unknown patch type: \(other.string ?? "\(other)") in map: \(item)")
            }
        }
        return (replaces ? [] : original.filter { !removed.contains(identity($0, mergeKey)) }, items)
    }

    /// What makes an item of a list the same as another: its merge key, or the whole of it. As text, so that long
    /// lists are matched by hash.
    private func identity(_ item: JSON, _ mergeKey: String?) -> String {
        (mergeKey.map { item[$0] } ?? item).description
    }

    /// Items that `order` names come in its order; the others keep their place relative to the named ones that the
    /// server had too, and stand behind those that it had not: an item that a patch adds comes first, as users of
    /// `kubectl patch` know it. Items of equal identity stay together, none is lost.
    private func ordered(_ merged: [JSON], by order: [JSON], server: [JSON], mergeKey: String?) -> [JSON] {
        func places(_ items: [JSON]) -> [String: Int] {
            Dictionary(
                items.enumerated().map { (identity($1, mergeKey), $0) }, uniquingKeysWith: { first, _ in first })
        }
        let wanted = places(order), served = places(server)
        var named: [(rank: Int, at: Int, served: Int?)] = []
        var others: [(at: Int, served: Int?)] = []
        for (at, item) in merged.enumerated() {
            let identity = identity(item, mergeKey)
            if let rank = wanted[identity] {
                named.append((rank, at, served[identity]))
            } else {
                others.append((at, served[identity]))
            }
        }
        named.sort { ($0.rank, $0.at) < ($1.rank, $1.at) }
        var result: [JSON] = []
        result.reserveCapacity(merged.count)
        var left = named[...], right = others[...]
        while let first = left.first, let second = right.first {
            if let a = first.served, let b = second.served, b < a {
                result.append(merged[second.at])
                right.removeFirst()
            } else {
                result.append(merged[first.at])
                left.removeFirst()
            }
        }
        return result + left.map { merged[$0.at] } + right.map { merged[$0.at] }
    }

    /// A replaced list without the directives and nulls of its maps.
    private func cleaned(_ items: [JSON]) -> [JSON] {
        items.compactMap { item in
            guard case .object(let members) = item else { return item }
            return members[MergeDirective.patch] == nil ? .object(cleaned(members)) : nil
        }
    }

    private func cleaned(_ members: JSONObject) -> JSONObject {
        var result = JSONObject(minimumCapacity: members.count)
        for (key, value) in members where !value.isNull && !MergeDirective.isDirective(key) {
            switch value {
            case .object(let inner): result[key] = .object(cleaned(inner))
            case .array(let inner): result[key] = .array(cleaned(inner))
            default: result[key] = value
            }
        }
        return result
    }
}
