public import JSON
public import ObjectModel

extension FieldOwnership {
    /// What applying gave.
    public struct Applied: Sendable {
        /// The live object with the configuration in it and without what is no longer in it.
        public var object: JSON
        /// Its `managedFields`.
        public var managed: JSON
    }

    /// The manager of what was there before anybody applied.
    static let beforeFirstApply = "before-first-apply"
    /// kubectl's own record of what it applied on the client's side.
    static let lastAppliedKey = "kubectl.kubernetes.io/last-applied-configuration"

    /// Applies a configuration to the live object, or makes an object of it.
    /// - Parameters:
    ///   - configuration: conformed to its kind, with `apiVersion`, `kind` and `metadata.name`.
    ///   - live: the stored object; nil when there is none.
    ///   - force: takes fields from those who own another value.
    /// - Throws: `StatusError` 500 for a configuration that is ambiguous (repeated list items), 409 for conflicts.
    public func apply(_ configuration: JSON, to live: JSON?, force: Bool, by writer: Writer) throws(StatusError)
        -> Applied
    {
        var configuration = configuration
        for node in ignored.nodes where node.isMember && node.step != "f:apiVersion" && node.step != "f:kind" {
            configuration.removeMember(String(node.step.dropFirst(2)))
        }
        let problems = walk.problems(of: configuration, root)
        if !problems.isEmpty { throw Self.untyped(configuration, kind, problems.map(\.description)) }
        let fields = FieldSet(nodes: walk.fields(of: configuration, root, isAdded: false)).subtractingTrees(ignored)
        let own = ManagedFields.Entry(
            manager: writer.manager, operation: .apply, apiVersion: kind.apiVersion, subresource: writer.subresource,
            time: writer.time, fields: fields)
        guard let live else {
            return Applied(object: configuration, managed: ManagedFields(entries: fields.isEmpty ? [] : [own]).json)
        }
        var managed = (try? ManagedFields(live["metadata"]["managedFields"], isTrusted: true)) ?? ManagedFields()
        if managed.entries.isEmpty {
            managed.entries = [
                .init(
                    manager: Self.beforeFirstApply, operation: .update, apiVersion: kind.apiVersion, time: writer.time,
                    fields: owned(live))
            ]
        }
        do {
            return try apply(configuration, own, to: live, managed, force: force)
        } catch {
            guard case .conflicts(let conflicts) = error else { throw error.status }
            guard isUpgrade(conflicts, live, writer) else { throw Self.conflict(conflicts) }
            do { return try apply(configuration, own, to: live, managed, force: true) } catch { throw error.status }
        }
    }

    private enum Refusal: Error {
        case conflicts([(manager: String, fields: FieldSet)])
        var status: StatusError {
            switch self {
            case .conflicts(let conflicts): FieldOwnership.conflict(conflicts)
            }
        }
    }

    private func apply(
        _ configuration: JSON, _ own: ManagedFields.Entry, to live: JSON, _ before: ManagedFields, force: Bool
    ) throws(Refusal) -> Applied {
        var managed = before
        var object = walk.merged(live, configuration, root)
        let place = managed.entries.firstIndex { $0.isSameManager(as: own) }
        let last = place.map { managed.entries[$0] }
        if let last, !last.fields.isEmpty {
            var kept = own.fields
            for entry in managed.entries where !entry.isSameManager(as: own) { kept = kept.union(entry.fields) }
            object = pruned(object, last: last, kept: kept)
        }
        let change = self.changes(from: live, to: object)
        var conflicts: [(manager: String, fields: FieldSet)] = []
        for index in managed.entries.indices where index != place {
            let entry = managed.entries[index]
            let lost = self.changes(from: live, to: object, in: entry.apiVersion) ?? change
            let disputed = entry.fields.intersection(lost.touched)
            if !disputed.isEmpty { conflicts.append((entry.description, disputed)) }
            let kept = entry.fields.subtracting(disputed).subtracting(lost.removed)
            if kept != entry.fields { managed.entries[index].fields = kept }
        }
        if !conflicts.isEmpty, !force { throw .conflicts(conflicts) }
        if let place {
            var entry = own
            // A configuration that changes nothing is no event.
            let isSame = last?.fields == own.fields && last?.apiVersion == own.apiVersion
            if isSame, change.isEmpty { entry.time = last?.time ?? "" }
            managed.entries[place] = entry
        } else {
            managed.entries.append(own)
        }
        managed.tidy()
        if own.manager == "kubectl" { refreshLastApplied(&object, configuration) }
        object["metadata"].setMember("managedFields", managed.json)
        return Applied(object: object, managed: managed.json)
    }

    /// Removes what was applied before and is claimed no more, in the version in which it was applied.
    private func pruned(_ object: JSON, last: ManagedFields.Entry, kept: FieldSet) -> JSON {
        let other = GroupVersionKind(apiVersion: last.apiVersion, kind: kind.kind)
        guard other.apiVersion != kind.apiVersion else {
            return walk.pruned(object, root, last: last.fields.nodes, kept: kept.nodes)
        }
        let type = fieldType(of: other)
        guard case .declared = type else { return object }
        let rest = walk.pruned(converted(object, other), type, last: last.fields.nodes, kept: kept.nodes)
        return converted(rest, kind)
    }

    // MARK: From client-side apply

    /// Whether all that is disputed was applied by kubectl on the client's side before: the same intent in a new way.
    private func isUpgrade(_ conflicts: [(manager: String, fields: FieldSet)], _ live: JSON, _ writer: Writer) -> Bool {
        guard writer.manager == "kubectl",
            let text = live["metadata"]["annotations"][Self.lastAppliedKey].string,
            let last = try? JSON.parse(text), last["apiVersion"].string == kind.apiVersion
        else { return false }
        let fields = FieldSet(nodes: walk.fields(of: last, root, isAdded: true))
        return conflicts.allSatisfy { $0.fields.subtracting(fields).isEmpty }
    }

    /// Keeps kubectl's record true for those who go back to client-side apply. Its owner stays who it was.
    private func refreshLastApplied(_ object: inout JSON, _ configuration: JSON) {
        let annotations = object["metadata"]["annotations"]
        guard annotations[Self.lastAppliedKey].string != nil else { return }
        var record = configuration
        if record["metadata"]["annotations"].removeMember(Self.lastAppliedKey) == nil {
            record["metadata"].setMember("annotations", configuration["metadata"]["annotations"])
        }
        let text = record.description + "\n"
        let others = annotations.stringMap.reduce(0) { size, entry in
            entry.key == Self.lastAppliedKey ? size : size + entry.key.utf8.count + entry.value.utf8.count
        }
        // As much as the annotations of an object may be together.
        let fits = text.utf8.count + Self.lastAppliedKey.utf8.count + others <= 262_144
        object["metadata"]["annotations"][Self.lastAppliedKey] = .string(fits ? text : "")
    }

    // MARK: Errors

    /// 500 for a configuration that has no place in its type.
    public static func untyped(_ configuration: JSON, _ kind: GroupVersionKind, _ problems: [String]) -> StatusError {
        let metadata = configuration["metadata"]
        let namespace = metadata["namespace"].string ?? ""
        let name = metadata["name"].string ?? ""
        let what = problems.count == 1 ? problems[0] : "errors:\n" + problems.map { "  " + $0 }.joined(separator: "\n")
        return StatusError(
            code: 500, reason: .unknown,
            message: "failed to create typed patch object (\(namespace.isEmpty ? "" : namespace + "/")\(name); "
                + "\(kind.apiVersion), Kind=\(kind.kind)): \(what)")
    }

    static func conflict(_ conflicts: [(manager: String, fields: FieldSet)]) -> StatusError {
        let all = conflicts.sorted { $0.manager < $1.manager }.map { ($0.manager, $0.fields.paths) }
        let count = all.reduce(0) { $0 + $1.1.count }
        let what: String
        if count == 1, let only = all.first {
            what = "1 conflict: conflict with \(only.0): \(only.1.joined())"
        } else {
            what =
                "\(count) conflicts: "
                + all.map { "conflicts with \($0.0):\n" + $0.1.map { "- \($0)" }.joined(separator: "\n") }
                .joined(separator: "\n")
        }
        var error = StatusError(code: 409, reason: .conflict, message: "Apply failed with \(what)")
        error.causes = all.flatMap { manager, paths in
            paths.map { .init(reason: "FieldManagerConflict", message: "conflict with \(manager)", field: $0) }
        }
        return error
    }
}
