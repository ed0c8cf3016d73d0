public import ObjectModel
import Synchronization

/// Objects of an informer by a value computed from their views: pods by node, replica sets by owner.
///
/// Make it before the informer runs. It is updated together with the informer's views: what `Informer.revision`
/// promises holds for the index too.
public final class InformerIndex<View: Sendable, Value: Hashable & Sendable>: Sendable {
    private let informer: Informer<View>
    private let keys = Mutex<[Value: Set<ObjectKey>]>([:])

    /// - Parameter values: what to find a view by; empty leaves it out.
    public init(_ informer: Informer<View>, values: @escaping @Sendable (View) -> [Value]) {
        self.informer = informer
        informer.attach { [weak self] key, old, new in
            let before = old.map(values) ?? []
            let after = new.map(values) ?? []
            if before == after { return }
            self?.change(key, remove: before, insert: after)
        }
    }

    /// The views with a value, in no order.
    public subscript(value: Value) -> [View] {
        let found = keys.withLock { $0[value] } ?? []
        return found.compactMap { informer[$0] }
    }

    /// The keys of objects with a value.
    public func keys(of value: Value) -> Set<ObjectKey> {
        keys.withLock { $0[value] } ?? []
    }

    /// Number of objects with a value.
    public func count(of value: Value) -> Int {
        keys.withLock { $0[value]?.count } ?? 0
    }

    private func change(_ key: ObjectKey, remove: [Value], insert: [Value]) {
        keys.withLock { keys in
            for value in remove {
                keys[value]?.remove(key)
                if keys[value]?.isEmpty == true { keys.removeValue(forKey: value) }
            }
            for value in insert { keys[value, default: []].insert(key) }
        }
    }
}
