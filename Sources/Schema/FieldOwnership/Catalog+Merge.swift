public import JSON
public import ObjectModel

extension Catalog {
    /// An object with a configuration set in it the way server-side apply does it (lists that are maps or sets are
    /// merged), but nobody owns anything: what mutating admission policies do.
    public func structurallyMerged(_ object: JSON, with configuration: JSON, kind: GroupVersionKind) -> JSON {
        let walk = FieldWalk(schema: fieldSchema(of: kind))
        return walk.merged(object, configuration, walk.rootType(of: kind))
    }
}
