public import JSON

/// The `Filters` message: how long a refused offer is not made again.
public enum MesosFilters {
    /// Seconds when nothing is said.
    public static let defaultSeconds = 5.0
    /// A year: more is cut to it.
    public static let maximumSeconds = 31_536_000.0

    /// Seconds of the filter that an answer leaves behind; nil for none at all (zero seconds). Negative times and NaN are
    /// the default.
    public static func refuseSeconds(_ filters: JSON) -> Double? {
        let value = filters["refuse_seconds"]
        var seconds: Double
        switch value {
        case .string("Infinity"): seconds = maximumSeconds
        case .null: seconds = defaultSeconds
        default: seconds = value.double ?? defaultSeconds
        }
        if seconds.isNaN || seconds < 0 { seconds = defaultSeconds }
        seconds = min(seconds, maximumSeconds)
        return seconds == 0 ? nil : seconds
    }
}
