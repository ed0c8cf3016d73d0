import ObjectModel
import Synchronization

extension Timestamp {
    /// `2026-01-02T03:04:05.678Z`: how Marathon writes times, and what its versions look like.
    var milliText: String {
        // Microsecond form less the last three digits.
        String(rfc3339Micro.dropLast(4)) + "Z"
    }
}

/// Makes versions: times in milliseconds, each later than every one before.
final class VersionClock: Sendable {
    private let last = Mutex<Int64>(0)

    /// The next version.
    func next() -> String {
        let now = Timestamp.now.microseconds / 1000
        let chosen = last.withLock { last in
            last = max(last + 1, now)
            return last
        }
        return Timestamp(microseconds: chosen * 1000).milliText
    }

    /// Takes note of a version that exists, so that the next is later even when the clock went back.
    func saw(_ version: String) {
        guard let time = Timestamp(version) else { return }
        // A version far in the future is somebody's text, no clock of ours.
        guard time < Timestamp.now + .seconds(3600) else { return }
        last.withLock { $0 = max($0, time.microseconds / 1000) }
    }
}
