import JSON

/// An `IntOrString` that is a count or a percentage of a total.
enum IntOrPercent: Sendable, Hashable {
    case count(Int)
    case percent(Int)

    /// Nil when the value is neither.
    init?(_ json: JSON) {
        if let count = json.int {
            self = .count(count)
        } else if let text = json.string, text.hasSuffix("%"), let percent = Int(text.dropLast()) {
            // All beyond is everything, and more: the product fits.
            self = .percent(min(max(percent, 0), Int(Int32.max)))
        } else {
            return nil
        }
    }

    func value(of total: Int, roundingUp: Bool) -> Int {
        switch self {
        case .count(let count): count
        case .percent(let percent): percent.multipliedSaturated(by: total).addingSaturated(roundingUp ? 99 : 0) / 100
        }
    }
}
