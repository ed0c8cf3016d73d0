public import Logging
import Synchronization

/// A more talkative log for a while, as the Mesos windows let an operator ask for it: 1 shows what `debug` shows, 2 and
/// more what `trace` does. It goes back by itself.
public enum LogVerbosity {
    private struct Raised {
        var level: Int
        var until: ContinuousClock.Instant
    }
    private static let raised = Mutex<Raised?>(nil)
    /// Whether there may be something in `raised`: read for every line that might be logged.
    private static let isRaised = Atomic(false)

    /// What was asked for and still holds; 0 for the log as it was set at start.
    public static var level: Int {
        guard isRaised.load(ordering: .relaxed) else { return 0 }
        return raised.withLock { raised in
            if let now = raised, now.until > .now { return now.level }
            raised = nil
            isRaised.store(false, ordering: .relaxed)
            return 0
        }
    }

    /// Sets the level for a duration; 0 takes it back at once.
    /// - Throws: `WindowError` 400 for a level or duration that is none.
    public static func set(_ level: Int, for duration: Duration) throws {
        guard level >= 0 else { throw WindowError(400, "Invalid level '\(level)': it must not be negative") }
        guard duration > .zero else { throw WindowError(400, "Invalid duration: it must be more than nothing") }
        raised.withLock { raised in
            raised = level == 0 ? nil : Raised(level: level, until: .now + duration)
            isRaised.store(level > 0, ordering: .relaxed)
        }
    }

    /// What a logger of this level shows now. One that was silenced on purpose stays so.
    public static func effective(_ own: Logger.Level) -> Logger.Level {
        guard own != .critical, isRaised.load(ordering: .relaxed) else { return own }
        switch level {
        case 0: return own
        case 1: return min(own, .debug)
        default: return .trace
        }
    }

    /// Answers `/logging/toggle?level=1&duration=5mins`; without parameters the level.
    /// - Parameter parse: the duration of a text; nil when it is none.
    public static func toggle(_ request: WindowRequest, parse: (String) -> Duration?) throws -> WindowResponse {
        let (level, duration) = (request.parameter("level"), request.parameter("duration"))
        if level == nil, duration == nil {
            return WindowResponse(200, headers: [("Content-Type", "text/plain")], bytes: Array("\(self.level)\n".utf8))
        }
        guard let level else { throw WindowError(400, "Expecting 'level=value' in query") }
        guard let duration else { throw WindowError(400, "Expecting 'duration=value' in query") }
        guard let number = Int(level) else { throw WindowError(400, "Invalid level '\(level)'") }
        guard let time = parse(duration) else { throw WindowError(400, "Invalid duration '\(duration)'") }
        try set(number, for: time)
        return WindowResponse(200)
    }
}
