import ClusterClient
import ObjectModel
import Schema
import Synchronization

/// Selection by fields of a version that a webhook converts to: stored objects do not have them, so that it comes after
/// the conversion.
final class ConvertedSelection: Sendable {
    /// What can be told from the stored objects.
    let storedFields: FieldSelector
    private let selection: Selection
    /// Of a watch: whether the last state that was seen of an object is one that the client knows.
    private let known = Mutex<[ObjectKey: Bool]>([:])

    /// - Throws: 400 for a field this version cannot be selected by.
    init(_ fields: FieldSelector, _ resource: ResourceDefinition, _ catalog: Catalog) throws(StatusError) {
        storedFields = FieldSelector(fields.requirements.filter { $0.field.hasPrefix("metadata.") })
        selection = try Selection(
            namespace: nil, labels: LabelSelector(),
            fields: FieldSelector(fields.requirements.filter { !$0.field.hasPrefix("metadata.") }),
            resource: resource.resource, catalog: catalog)
    }

    func matches(_ object: Object) -> Bool { selection.matches(object, nodeName: "") }

    /// Notes what a client knows at the revision at which its watch begins.
    /// - Parameter objects: all converted objects of that revision.
    func begin(with objects: [Object]) {
        known.withLock { known in
            for object in objects { known[object.key] = matches(object) }
        }
    }

    /// What a client sees of events with converted objects: an object that begins to match is new to it, one that no
    /// longer does is gone.
    func filter(_ events: [WatchEvent]) -> [WatchEvent] {
        known.withLock { known in
            events.compactMap { event in
                if event.kind == .bookmark { return event }
                let key = event.object.key
                let isMatch = matches(event.object)
                let wasMatch = known[key] ?? false
                if event.kind == .deleted {
                    known.removeValue(forKey: key)
                    return wasMatch ? event : nil
                }
                known[key] = isMatch
                switch (wasMatch, isMatch) {
                case (true, true): return WatchEvent(.modified, event.object)
                case (false, true): return WatchEvent(.added, event.object)
                case (true, false): return WatchEvent(.deleted, event.object)
                case (false, false): return nil
                }
            }
        }
    }
}

extension Machinery {
    /// The selection that is left for after the conversion; nil when the stored objects have all fields.
    func convertedSelection(_ fields: FieldSelector, _ resource: ResourceDefinition, _ cache: WatchCache)
        throws(StatusError) -> ConvertedSelection?
    {
        guard fields.requirements.contains(where: { !$0.field.hasPrefix("metadata.") }),
            cache.definition.kind != resource.kind, let definition = customDefinition(resource),
            case .webhook = definition.conversion
        else { return nil }
        return try ConvertedSelection(fields, resource, catalog)
    }
}
