import JSON
import ObjectModel

/// Which of its times a cron job is to run for now. Pure.
struct CronPlan: Sendable, Equatable {
    /// The last time that has come and was not run for; nil: none has come.
    var due: Timestamp?
    /// The time after now.
    var next: Timestamp?
    /// So many times were missed that something is wrong: a stopped clock, or a controller that was away for long.
    var missedTooMany = false

    static let mostMissed = 100

    /// - Parameters:
    ///   - last: the time it last ran for, or its creation.
    ///   - zone: of the schedule.
    init(_ schedule: CronSchedule, zone: TimeZoneRules, last: Timestamp, deadlineSeconds: Int?, now: Timestamp) {
        var earliest = last.seconds
        if let deadlineSeconds { earliest = max(earliest, now.seconds.subtractingSaturated(Int64(deadlineSeconds))) }
        func wall(_ moment: Int64) -> Int64 { moment + zone.offset(at: moment) }
        func after(_ moment: Int64) -> Int64? {
            guard let wall = schedule.next(after: wall(moment)) else { return nil }
            let found = zone.moment(ofWallClock: wall)
            // The hour that comes twice in autumn runs once.
            return found > moment ? found : schedule.next(after: wall + 3600).map(zone.moment(ofWallClock:))
        }
        var cursor = earliest
        var missed = 0
        var widest: Int64 = 60
        while let time = after(cursor), time <= now.seconds {
            due = Timestamp(seconds: time)
            missed += 1
            widest = max(widest, time - cursor)
            cursor = time
            if missed == Self.mostMissed + 1 {
                missedTooMany = true
                // Only the last one matters: not every minute of a year is walked.
                cursor = max(cursor, now.seconds - 2 * widest)
            }
        }
        next = after(now.seconds).map { Timestamp(seconds: $0) }
    }
}
