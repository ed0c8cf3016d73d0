public import JSON

/// A set of whole numbers as inclusive ranges: sorted, apart, never touching.
public struct ValueRanges: Sendable, Hashable {
    /// One range, both ends included.
    public struct Span: Sendable, Hashable {
        public var begin: UInt64
        public var end: UInt64

        /// A range; `begin` must not be above `end`.
        public init(_ begin: UInt64, _ end: UInt64) {
            self.begin = begin
            self.end = end
        }
    }

    /// In ascending order.
    public private(set) var spans: [Span] = []

    /// The union of ranges in any order.
    public init(_ ranges: [Span] = []) {
        for range in ranges.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) where range.begin <= range.end {
            if let last = spans.last, range.begin <= last.end || range.begin - last.end == 1 {
                spans[spans.count - 1].end = max(last.end, range.end)
            } else {
                spans.append(range)
            }
        }
    }

    /// The ranges of a `Value.Ranges` message.
    public init(_ tree: JSON) throws(MesosError) {
        var ranges: [Span] = []
        for range in tree["range"].elements {
            guard let begin = Self.unsigned(range["begin"]), let end = Self.unsigned(range["end"]), begin <= end else {
                throw MesosError(.invalid, "Invalid range: \(range)")
            }
            ranges.append(Span(begin, end))
        }
        self.init(ranges)
    }

    private static func unsigned(_ value: JSON) -> UInt64? {
        switch value {
        case .integer(let number): UInt64(exactly: number)
        case .number(let number): UInt64(number.text) ?? UInt64(exactly: number.doubleValue)
        default: nil
        }
    }

    /// The `Value.Ranges` message.
    public var tree: JSON {
        ["range": .array(spans.map { ["begin": MesosScalars.json($0.begin), "end": MesosScalars.json($0.end)] })]
    }

    /// As in `[31000-32000, 33000-33100]`.
    public var text: String { "[" + spans.map { "\($0.begin)-\($0.end)" }.joined(separator: ", ") + "]" }

    /// True when there is no number in it.
    public var isEmpty: Bool { spans.isEmpty }

    /// How many numbers there are; saturates.
    public var count: Int {
        spans.reduce(0) { sum, span in
            let more = Int(exactly: span.end - span.begin) ?? Int.max - 1
            return sum.addingReportingOverflow(more + 1).overflow ? Int.max : sum + more + 1
        }
    }

    /// The first numbers, at most so many.
    public func prefix(_ limit: Int) -> [UInt64] {
        var out: [UInt64] = []
        for span in spans {
            var next = span.begin
            while out.count < limit {
                out.append(next)
                if next == span.end { break }
                next += 1
            }
            if out.count >= limit { break }
        }
        return out
    }

    /// True when the number is in it.
    public func contains(_ number: UInt64) -> Bool {
        spans.contains { $0.begin <= number && number <= $0.end }
    }

    /// True when every number of the other is in this one.
    public func contains(_ other: ValueRanges) -> Bool {
        other.spans.allSatisfy { span in spans.contains { $0.begin <= span.begin && span.end <= $0.end } }
    }

    /// The union.
    public static func + (left: ValueRanges, right: ValueRanges) -> ValueRanges {
        ValueRanges(left.spans + right.spans)
    }

    /// The numbers of the left that are not in the right.
    public static func - (left: ValueRanges, right: ValueRanges) -> ValueRanges {
        var result: [Span] = []
        for span in left.spans {
            var begin = span.begin
            var isUsedUp = false
            for cut in right.spans where cut.end >= begin && cut.begin <= span.end {
                if cut.begin > begin { result.append(Span(begin, cut.begin - 1)) }
                if cut.end >= span.end {
                    isUsedUp = true
                    break
                }
                begin = cut.end + 1
            }
            if !isUsedUp { result.append(Span(begin, span.end)) }
        }
        return ValueRanges(result)
    }
}
