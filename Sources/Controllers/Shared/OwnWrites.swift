import ClusterClient
import ObjectModel
import Synchronization

/// Remembers what a controller wrote for each of its objects until its cache shows it, so that it never acts twice on
/// an old picture (two pods for one missing replica). What client-go calls expectations, but by revision: an informer
/// that is at revision N shows every write up to N.
final class OwnWrites: Sendable {
    private struct Entry {
        var revision: Revision = 0
        /// Objects deleted, with the uid that must go or terminate.
        var deleted: [ObjectKey: String] = [:]
        var at = ContinuousClock.now
    }
    private let entries = Mutex<[ObjectKey: Entry]>([:])
    /// After so long a write is no longer waited for: a restored backup may have taken revisions back.
    private static let patience: Duration = .seconds(300)

    /// Something was created or changed for `owner`.
    func wrote(_ object: Object, for owner: ObjectKey) {
        entries.withLock { entries in
            var entry = entries[owner] ?? Entry()
            entry.revision = max(entry.revision, object.metadata.resourceVersion)
            entry.at = .now
            entries[owner] = entry
        }
    }

    /// Something was deleted for `owner`.
    func deleted(_ key: ObjectKey, uid: String, for owner: ObjectKey) {
        entries.withLock { entries in
            entries[owner, default: Entry()].deleted[key] = uid
            entries[owner]?.at = .now
        }
    }

    /// Whether the cache shows everything written for `owner`.
    /// - Parameter remains: whether the cache still shows an object with this uid that does not terminate.
    func isVisible(for owner: ObjectKey, at revision: Revision, remains: (ObjectKey, String) -> Bool) -> Bool {
        guard let entry = entries.withLock({ $0[owner] }) else { return true }
        let waits = entry.revision > revision || entry.deleted.contains { remains($0.key, $0.value) }
        guard waits, entry.at + Self.patience > .now else {
            forget(owner)
            return true
        }
        return false
    }

    func forget(_ owner: ObjectKey) {
        entries.withLock { _ = $0.removeValue(forKey: owner) }
    }
}

extension OwnWrites {
    /// `isVisible` where nothing is ever deleted: a controller's own changes of the objects that it looks after.
    func isVisible(for owner: ObjectKey, at revision: Revision) -> Bool {
        isVisible(for: owner, at: revision) { _, _ in false }
    }
    /// `isVisible` for objects of one informer.
    func isVisible(for owner: ObjectKey, in pods: Informer<PodView>) -> Bool {
        isVisible(for: owner, at: pods.revision) { key, uid in
            pods[key].map { $0.uid == uid && !$0.isTerminating } ?? false
        }
    }
    func isVisible(for owner: ObjectKey, in objects: Informer<Object>) -> Bool {
        isVisible(for: owner, at: objects.revision) { key, uid in
            objects[key].map { $0.uid == uid && !$0.metadata.isTerminating } ?? false
        }
    }
}
