public import JSON
public import ObjectModel

/// Keeps `managedFields` and applies configurations to objects of one kind. Pure: nothing is read or stored here.
///
/// A write by update owns what it changed, and takes it from everybody else; a write by apply owns all that it names,
/// and conflicts with those who own another value of it. Objects that nobody tracks (`managedFields` are empty) stay
/// so until they are applied.
public struct FieldOwnership: Sendable {
    /// Who writes, and how.
    public struct Writer: Sendable {
        public var manager: String
        /// Empty for the object itself.
        public var subresource: String
        /// RFC 3339, whole seconds.
        public var time: String
        public init(manager: String, subresource: String = "", time: String) {
            self.manager = manager
            self.subresource = subresource
            self.time = time
        }
    }

    /// Fields that only the server writes, as a set: nobody owns them.
    private static let untracked: FieldSet = {
        let metadata = [
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
            "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds",
        ]
        let inner = metadata.sorted().map { FieldSet.Node(step: Steps.field($0), isMember: true) }
        return FieldSet(nodes: [
            .init(step: "f:apiVersion", isMember: true), .init(step: "f:kind", isMember: true),
            .init(step: "f:metadata", isMember: false, children: inner),
        ])
    }()

    private static let untrackedWithStatus = untracked.union(
        FieldSet(nodes: [.init(step: "f:status", isMember: true)]))

    let walk: FieldWalk
    let kind: GroupVersionKind
    let root: FieldType
    /// What is taken out of every set of this writer.
    let ignored: FieldSet
    /// The same object in another version.
    let converted: @Sendable (JSON, GroupVersionKind) -> JSON

    /// - Parameter kind: of the objects that are given, and the version in which entries name their fields.
    /// - Parameter ignoresStatus: this way of writing cannot change `status`.
    /// - Parameter converted: an object in another version of its kind.
    public init(
        catalog: Catalog, kind: GroupVersionKind, ignoresStatus: Bool = false,
        converted: @escaping @Sendable (JSON, GroupVersionKind) -> JSON = { tree, _ in tree }
    ) {
        walk = FieldWalk(schema: catalog.fieldSchema(of: kind))
        self.kind = kind
        root = walk.rootType(of: kind)
        self.converted = converted
        ignored = ignoresStatus ? Self.untrackedWithStatus : Self.untracked
    }

    func fieldType(of kind: GroupVersionKind) -> FieldType { walk.rootType(of: kind) }

    // MARK: Create and update

    /// `managedFields` of a new object.
    /// - Parameter given: what the client sent as `managedFields`; usually null.
    public func created(_ object: JSON, given: JSON = .null, by writer: Writer) -> JSON {
        guard given.elements.isEmpty else {
            var managed = (try? ManagedFields(given)) ?? ManagedFields()
            record(FieldChanges(touched: owned(object)), in: &managed, by: writer) { _ in nil }
            return managed.json
        }
        // The usual case has one owner of everything, and is written without a set in between.
        let fields = walk.written(object, root, except: ignored)
        if fields.members.isEmpty { return .null }
        var entry: JSON = ["manager": .string(writer.manager), "operation": "Update"]
        entry["apiVersion"] = .string(kind.apiVersion)
        entry["time"] = .string(writer.time)
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = fields
        if !writer.subresource.isEmpty { entry["subresource"] = .string(writer.subresource) }
        return [entry]
    }

    /// What the maker of an object owns: all that it says beyond an object in which nobody set anything.
    func owned(_ object: JSON) -> FieldSet {
        (try? FieldSet(fieldsV1: walk.written(object, root, except: ignored))) ?? FieldSet()
    }

    /// `managedFields` after an update.
    /// - Parameters:
    ///   - old: the object as it was, and `new`, as it will be; their own `managedFields` do not matter.
    ///   - stored: its `managedFields` as they are.
    ///   - given: what the client sent as `managedFields`: null keeps them, `[{}]` drops them, invalid ones are ignored.
    public func updated(from old: JSON, to new: JSON, stored: JSON, given: JSON, by writer: Writer) -> JSON {
        if case .array(let elements) = given, elements.count == 1, elements[0].members.isEmpty { return .null }
        let isSame = given.elements.isEmpty || given == stored
        let source = isSame ? stored : given
        if source.elements.isEmpty { return .null }
        let changes = self.changes(from: old, to: new)
        if isSame, changes.isEmpty { return stored }
        let read = (try? ManagedFields(source, isTrusted: isSame)) ?? (try? ManagedFields(stored, isTrusted: true))
        guard var managed = read else { return stored }
        if !changes.isEmpty {
            record(changes, in: &managed, by: writer) { self.changes(from: old, to: new, in: $0) }
        } else {
            managed.tidy()
        }
        return managed.json
    }

    /// What this writer's change did.
    func changes(from old: JSON, to new: JSON) -> FieldChanges {
        var changes = walk.changes(from: old, to: new, root)
        if changes.isEmpty { return changes }
        changes.touched = changes.touched.subtractingTrees(ignored)
        changes.removed = changes.removed.subtractingTrees(ignored)
        return changes
    }

    /// The same in the version of somebody else's entry; nil when it is this one or is not served.
    func changes(from old: JSON, to new: JSON, in apiVersion: String) -> FieldChanges? {
        guard apiVersion != kind.apiVersion else { return nil }
        let other = GroupVersionKind(apiVersion: apiVersion, kind: kind.kind)
        guard case let type = fieldType(of: other), case .declared = type else { return nil }
        var changes = walk.changes(from: converted(old, other), to: converted(new, other), type)
        changes.touched = changes.touched.subtractingTrees(ignored)
        changes.removed = changes.removed.subtractingTrees(ignored)
        return changes
    }

    /// Takes changed fields from all entries and gives them to the writer's.
    private func record(
        _ changes: FieldChanges, in managed: inout ManagedFields, by writer: Writer,
        elsewhere: (String) -> FieldChanges?
    ) {
        let own = ManagedFields.Entry(
            manager: writer.manager, operation: .update, apiVersion: kind.apiVersion, subresource: writer.subresource,
            time: writer.time, fields: changes.touched)
        var others: [String: FieldChanges?] = [:]
        for index in managed.entries.indices {
            let entry = managed.entries[index]
            var lost = changes
            if entry.apiVersion != kind.apiVersion {
                if others[entry.apiVersion] == nil { others[entry.apiVersion] = elsewhere(entry.apiVersion) }
                if let other = others[entry.apiVersion] ?? nil { lost = other }
            }
            let taken = entry.isSameManager(as: own) ? lost.removed : lost.removed.union(lost.touched)
            if entry.intersects(taken) { managed.entries[index].fields = entry.fields.subtracting(taken) }
        }
        if changes.touched.isEmpty {
            // Removing fields is a write of this manager too, if it has an entry.
            if let place = managed.entries.firstIndex(where: { $0.isSameManager(as: own) }) {
                managed.entries[place].time = writer.time
            }
        } else {
            managed.add(own)
        }
        managed.tidy()
    }
}

extension FieldWalk {
    /// The type of a kind's objects.
    func rootType(of kind: GroupVersionKind) -> FieldType {
        schema.place(of: kind).map { .declared(.object($0), nil) } ?? .deduced
    }
}
