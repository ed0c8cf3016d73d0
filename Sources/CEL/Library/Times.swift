import ObjectModel

extension FunctionTable {
    mutating func addTimes() {
        accessor("getFullYear") { civil, _ in civil.year }
        accessor("getMonth") { civil, _ in civil.month - 1 }
        accessor("getDate") { civil, _ in civil.day }
        accessor("getDayOfMonth") { civil, _ in civil.day - 1 }
        accessor("getDayOfWeek") { civil, _ in civil.weekday }
        accessor("getDayOfYear") { civil, _ in
            let start = CivilTime(year: civil.year, month: 1, day: 1).secondsSince1970
            return Int(
                (CivilTime(year: civil.year, month: civil.month, day: civil.day).secondsSince1970 - start) / 86400)
        }
        accessor("getHours") { civil, _ in civil.hour }
        accessor("getMinutes") { civil, _ in civil.minute }
        accessor("getSeconds") { civil, _ in civil.second }
        accessor("getMilliseconds") { _, nanoseconds in Int(nanoseconds) / 1_000_000 }
        duration("getHours") { $0 / 3_600_000_000_000 }
        duration("getMinutes") { $0 / 60_000_000_000 }
        duration("getSeconds") { $0 / 1_000_000_000 }
        duration("getMilliseconds") { $0 / 1_000_000 % 1000 }
    }

    /// A part of a timestamp, in UTC or in the zone of the second argument.
    private mutating func accessor(_ name: String, _ part: @escaping @Sendable (CivilTime, Int32) -> Int) {
        member(name, [.timestamp], .int) { arguments throws(CELFailure) in
            guard case .timestamp(let time) = arguments[0] else { throw Arithmetic.noOverload }
            return .int(Int64(part(CivilTime(secondsSince1970: time.seconds), time.nanoseconds)))
        }
        member(name, [.timestamp, .string], .int) { arguments throws(CELFailure) in
            guard case .timestamp(let time) = arguments[0] else { throw Arithmetic.noOverload }
            let offset = try ZoneOffsets.offset(arguments[1].asString, at: time.seconds)
            return .int(Int64(part(CivilTime(secondsSince1970: time.seconds + offset), time.nanoseconds)))
        }
    }

    private mutating func duration(_ name: String, _ part: @escaping @Sendable (Int64) -> Int64) {
        member(name, [.duration], .int) { arguments throws(CELFailure) in
            guard case .duration(let value) = arguments[0] else { throw Arithmetic.noOverload }
            return .int(part(value.nanoseconds))
        }
    }
}
