import JSON
import ObjectModel
import Synchronization

/// How long launches wait after failures, by app and version.
///
/// It is kept in memory: after a restart launches start without delay, and earn a new one if they fail again.
final class Backoff: Sendable {
    private struct Key: Hashable {
        var id: PathID
        /// The version of the configuration: scaling keeps the delay.
        var version: String
    }
    struct Delay: Sendable {
        var seconds: Double
        var until: Timestamp
    }
    private let delays = Mutex<[Key: Delay]>([:])

    private func key(_ spec: RunSpec) -> Key { Key(id: spec.id, version: spec.lastConfigChange) }

    /// Notes a failure of an instance of this configuration.
    func failed(_ spec: RunSpec, now: Timestamp = .now) {
        let (first, factor, limit) = spec.backoff
        let key = key(spec)
        delays.withLock { delays in
            // Without a failure for as long as the longest delay, counting starts anew.
            let known = delays[key].flatMap { $0.until + .seconds(bounded: limit) > now ? $0 : nil }
            let seconds = min(known.map { $0.seconds * factor } ?? first, max(limit, first))
            delays[key] = Delay(seconds: seconds, until: now + .seconds(bounded: seconds))
        }
    }

    func delay(_ spec: RunSpec) -> Delay? { delays.withLock { $0[key(spec)] } }

    /// - Returns: false when there was none.
    @discardableResult
    func reset(_ id: PathID) -> Bool {
        delays.withLock { delays in
            let keys = delays.keys.filter { $0.id == id }
            for key in keys { delays.removeValue(forKey: key) }
            return !keys.isEmpty
        }
    }

    /// Forgets delays of configurations that are no more.
    func retain(_ spec: RunSpec) {
        let current = key(spec)
        delays.withLock { delays in
            for key in delays.keys where key.id == spec.id && key != current { delays.removeValue(forKey: key) }
        }
    }
}
