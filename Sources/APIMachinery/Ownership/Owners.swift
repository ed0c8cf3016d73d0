import JSON
import ObjectModel
import Schema

/// Writes `managedFields` for one request: what its manager owns of the object it writes.
struct Owners {
    private let ownership: FieldOwnership
    private let writer: FieldOwnership.Writer
    private let kind: GroupVersionKind

    /// - Parameter kind: the version in which the client wrote, and in which its fields are named.
    init(
        _ machinery: Machinery, kind: GroupVersionKind, rules: KindRules, subresource: String?, context: RequestContext
    ) {
        self.kind = kind
        // Only the subresources of the status own anything in it.
        let writesStatus = subresource == "status" || subresource == "approval"
        ownership = FieldOwnership(
            catalog: machinery.catalog, kind: kind, ignoresStatus: rules.hasStatus && !writesStatus
        ) { VersionConversion.tree($0, as: $1) }
        writer = FieldOwnership.Writer(
            manager: context.fieldManager.isEmpty ? "unknown" : context.fieldManager, subresource: subresource ?? "",
            time: Timestamp.now.rfc3339)
    }

    /// Sets the owners of a new object.
    func recordCreate(_ tree: inout JSON, given: JSON) {
        let managed = ownership.created(VersionConversion.tree(tree, as: kind), given: given, by: writer)
        tree["metadata"].setMember("managedFields", managed)
    }

    /// Sets the owners of a changed object.
    /// - Parameter given: the `managedFields` that the client sent.
    func recordUpdate(_ tree: inout JSON, from old: JSON, given: JSON) {
        let managed = ownership.updated(
            from: VersionConversion.tree(old, as: kind), to: VersionConversion.tree(tree, as: kind),
            stored: old["metadata"]["managedFields"], given: given, by: writer)
        tree["metadata"].setMember("managedFields", managed)
    }

    /// Sets the owners of an applied object. What admission changed in it was not applied, but updated by the applier.
    func recordAdmission(_ tree: inout JSON, from unadmitted: JSON, applied managed: JSON) {
        let managed = ownership.updated(
            from: VersionConversion.tree(unadmitted, as: kind), to: VersionConversion.tree(tree, as: kind),
            stored: managed, given: .null, by: writer)
        tree["metadata"].setMember("managedFields", managed)
    }

    /// The live object (of this version) with a configuration in it; its `managedFields` tell the new owners.
    func apply(_ configuration: JSON, to live: JSON?, force: Bool) throws -> JSON {
        let applied = try ownership.apply(configuration, to: live, force: force, by: writer)
        var object = applied.object
        object["metadata"].setMember("managedFields", applied.managed)
        return object
    }
}
