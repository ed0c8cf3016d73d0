import ClusterClient
import ObjectModel

/// Names an object across all resources.
struct ObjectIdentity: Sendable, Hashable {
    var resource: GroupVersionResource
    var key: ObjectKey
}

/// Who depends on whom, by owner uid. Only objects with owners are in it, so it costs nothing for the rest. Pure.
struct OwnerGraph: Sendable {
    /// One edge from a dependent to an owner.
    struct Dependent: Sendable, Hashable {
        var identity: ObjectIdentity
        var blocksOwnerDeletion: Bool
    }
    private var dependents: [String: Set<Dependent>] = [:]

    /// Notes a change of an object: nil is absent.
    mutating func change(_ identity: ObjectIdentity, old: [OwnerReference], new: [OwnerReference]) {
        if old == new { return }
        for owner in old {
            dependents[owner.uid]?.remove(
                Dependent(identity: identity, blocksOwnerDeletion: owner.blockOwnerDeletion))
            if dependents[owner.uid]?.isEmpty == true { dependents.removeValue(forKey: owner.uid) }
        }
        for owner in new {
            dependents[owner.uid, default: []].insert(
                Dependent(identity: identity, blocksOwnerDeletion: owner.blockOwnerDeletion))
        }
    }

    func dependents(of uid: String) -> Set<Dependent> { dependents[uid] ?? [] }
    var isEmpty: Bool { dependents.isEmpty }
    /// Every object that has owners.
    var all: Set<ObjectIdentity> { Set(dependents.values.flatMap { $0.map(\.identity) }) }

    /// Forgets the objects of a resource that is no longer served.
    mutating func removeAll(of resource: GroupResource) {
        for (uid, edges) in dependents {
            let left = edges.filter { $0.identity.resource.groupResource != resource }
            dependents[uid] = left.isEmpty ? nil : left
        }
    }
}

/// What to do with an object, given the state of its owners. Pure.
enum CollectionDecision: Sendable, Hashable {
    /// Leave it.
    case keep
    /// Drop references to these owners: they are gone or being deleted, another owner keeps the object.
    case dropOwners([String])
    /// Nobody wants it any more.
    case delete(DeleteOptions.Propagation)

    enum OwnerState: Sendable, Hashable {
        case exists
        /// Being deleted in the foreground: it waits for its dependents.
        case waitsForDependents
        case absent
    }

    /// - Parameters:
    ///   - owners: each reference with the state of its owner.
    ///   - hasDependents: the object owns others.
    static func decide(
        owners: [(reference: OwnerReference, state: OwnerState)], finalizers: [String], hasDependents: Bool
    ) -> CollectionDecision {
        guard !owners.isEmpty else { return .keep }
        let leaving = owners.filter { $0.state != .exists }
        if leaving.count < owners.count {
            return leaving.isEmpty ? .keep : .dropOwners(leaving.map(\.reference.uid))
        }
        // An owner that waits for its dependents must see theirs go first.
        if hasDependents, owners.contains(where: { $0.state == .waitsForDependents }) { return .delete(.foreground) }
        if finalizers.contains(GarbageFinalizer.orphan) { return .delete(.orphan) }
        if finalizers.contains(GarbageFinalizer.foreground) { return .delete(.foreground) }
        return .delete(.background)
    }
}

/// Finalizers that say how an object is to be deleted.
enum GarbageFinalizer {
    static let foreground = "foregroundDeletion"
    static let orphan = "orphan"
}
