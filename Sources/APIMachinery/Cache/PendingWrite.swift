import JSON
import ObjectModel
import Synchronization

/// A write on its way to the store, with the forms that were made for it: when its event comes back, nothing is parsed
/// or encoded again.
final class PendingWrite: Sendable {
    /// The tree in stored form.
    let tree: JSON
    /// Its encoding.
    let plain: [UInt8]
    /// What the store holds: the encoding, sealed if this kind is.
    let value: [UInt8]
    let metadata: ObjectMetadata
    private let made = Mutex<Object?>(nil)

    init(tree: JSON, plain: [UInt8], value: [UInt8]) {
        self.tree = tree
        self.plain = plain
        self.value = value
        metadata = ObjectMetadata(tree["metadata"])
    }

    /// The object under its revision; made once.
    func object(at revision: Revision) -> Object {
        made.withLock { made in
            if let made, made.metadata.resourceVersion == revision { return made }
            let object = ObjectCodec.object(tree: tree, stored: plain, metadata: metadata, revision: revision)
            made = object
            return object
        }
    }
}

/// Writes under way, by store key.
final class PendingWrites: Sendable {
    private let state = Mutex<[String: [PendingWrite]]>([:])

    func insert(_ write: PendingWrite, key: String) {
        state.withLock { $0[key, default: []].append(write) }
    }

    func remove(_ write: PendingWrite, key: String) {
        state.withLock { state in
            state[key]?.removeAll { $0 === write }
            if state[key]?.isEmpty == true { state.removeValue(forKey: key) }
        }
    }

    /// The write that put these bytes there, if it was ours.
    func match(_ value: [UInt8], key: String) -> PendingWrite? {
        // Comparing arrays that share their buffer, as ours mostly do, does not look at the bytes.
        state.withLock { $0[key]?.first { $0.value == value } }
    }
}
