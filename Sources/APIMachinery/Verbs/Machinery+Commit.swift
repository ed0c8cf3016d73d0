import JSON
import ObjectModel
import Schema
import Store

/// A guarded write found another version than the one it was made from.
struct WriteConflict: Error {
    /// Revision of what is there now; nil when the object is gone (or, for a create, unknown).
    var current: Revision?
}

extension Machinery {
    /// Writes a new object and returns it once every read sees it.
    /// - Throws: `WriteConflict` when the key exists; `StatusError` when the store fails.
    func commitCreate(_ cache: WatchCache, _ tree: JSON, key: ObjectKey) async throws -> Object {
        let storeKey = StorageLayout.storeKey(cache.place, key)
        let write = try pendingWrite(cache, try await storedForm(tree, cache), storeKey: storeKey)
        return try await commit(write, storeKey: storeKey) {
            .create(key: storeKey, value: write.value, expiresAfter: self.timeToLive(cache))
        }
    }

    /// Replaces the version of an object that was read.
    func commitUpdate(_ cache: WatchCache, _ current: Object, _ tree: JSON) async throws -> Object {
        let storeKey = StorageLayout.storeKey(cache.place, current.key)
        let write = try pendingWrite(cache, try await storedForm(tree, cache), storeKey: storeKey)
        return try await commit(write, storeKey: storeKey) {
            .update(
                key: storeKey, value: write.value, expected: current.metadata.resourceVersion,
                expiresAfter: self.timeToLive(cache))
        }
    }

    /// Removes the version of an object that was read; returns its last state under the revision of the removal.
    func commitDelete(_ cache: WatchCache, _ current: Object) async throws -> Object {
        let storeKey = StorageLayout.storeKey(cache.place, current.key)
        let revision = try await write(.delete(key: storeKey, expected: current.metadata.resourceVersion))
        return ObjectCodec.object(current, at: revision)
    }

    /// Waits until the version that won against ours can be read.
    func catchUp(_ conflict: WriteConflict) async {
        if let revision = conflict.current {
            _ = await caches.gate.wait(for: revision, timeout: .seconds(3))
        } else if let revision = try? await store.currentRevision() {
            _ = await caches.gate.wait(for: revision, timeout: .seconds(3))
        }
    }

    private func pendingWrite(_ cache: WatchCache, _ tree: JSON, storeKey: String) throws -> PendingWrite {
        let normalized = ObjectCodec.normalized(tree, kind: cache.definition.kind)
        let plain = normalized.encoded()
        // As etcd does by default, and for the same reason: one object must not starve all others.
        guard plain.count <= 1_572_864 else {
            throw StatusError(
                code: 413, reason: .requestEntityTooLarge,
                message: "the object is \(plain.count) bytes; at most 1572864 can be stored")
        }
        do {
            let value = try caches.seal(plain, storeKey: storeKey, place: cache.place)
            return PendingWrite(tree: normalized, plain: plain, value: value)
        } catch {
            throw StatusError.internalError("the object could not be encrypted: \(error)")
        }
    }

    private func commit(_ pending: PendingWrite, storeKey: String, _ make: () -> StoreWrite) async throws -> Object {
        caches.pending.insert(pending, key: storeKey)
        defer { caches.pending.remove(pending, key: storeKey) }
        let revision = try await write(make())
        return pending.object(at: revision)
    }

    private func write(_ write: StoreWrite) async throws -> Revision {
        let revision: Revision
        do {
            revision = try await store.write(write)
        } catch {
            switch error {
            case .conflict(let current): throw WriteConflict(current: current?.modRevision)
            case .full(let text):
                throw StatusError.serviceUnavailable("the store is full: \(text); free disk space and try again")
            case .closed: throw StatusError.serviceUnavailable("the server is shutting down")
            default: throw StatusError.internalError("the store failed: \(error)")
            }
        }
        guard await caches.gate.wait(for: revision) else {
            throw StatusError.serviceUnavailable("the server is shutting down")
        }
        return revision
    }

    private func timeToLive(_ cache: WatchCache) -> Duration? {
        cache.place.resource == "events" && cache.place.group.isEmpty ? configuration.eventTTL : nil
    }
}
