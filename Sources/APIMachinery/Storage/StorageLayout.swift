import ObjectModel
import Schema

/// Where objects live in the store.
///
/// `/registry/{resource}[.{group}]/{namespace}/{name}` for namespaced kinds, the same without the namespace for
/// cluster-scoped ones; for example `/registry/pods/default/web-1` and `/registry/deployments.apps/default/web`. The
/// value is the object's JSON without `metadata.resourceVersion`, which is the revision of the write.
enum StorageLayout {
    static let root = "/registry/"

    /// The group and resource an API resource is stored under: both `events` share one place.
    static func place(of resource: GroupResource) -> GroupResource {
        resource == GroupResource(group: "events.k8s.io", resource: "events")
            ? GroupResource(group: "", resource: "events") : resource
    }

    /// Prefix of all keys of a place, ending in `/`.
    static func prefix(of place: GroupResource) -> String { "\(root)\(place)/" }

    static func storeKey(_ place: GroupResource, _ key: ObjectKey) -> String {
        key.namespace.isEmpty ? "\(root)\(place)/\(key.name)" : "\(root)\(place)/\(key.namespace)/\(key.name)"
    }

    /// Takes a store key apart; nil for a key that is none of ours.
    static func parse(_ storeKey: String) -> (place: String, key: ObjectKey)? {
        guard storeKey.hasPrefix(root) else { return nil }
        let parts = storeKey.dropFirst(root.count).split(separator: "/", omittingEmptySubsequences: false)
        switch parts.count {
        case 2: return (String(parts[0]), ObjectKey(name: String(parts[1])))
        case 3: return (String(parts[0]), ObjectKey(namespace: String(parts[1]), name: String(parts[2])))
        default: return nil
        }
    }
}
