import Histogram

/// What a run of requests gave.
public struct Measurement: Sendable {
    public var name: String
    public var failures = 0
    /// Wall-clock time of the whole run.
    public var elapsed = Duration.zero
    /// Bytes that were received as bodies.
    public var bytes = 0
    /// CPU time that the server's processes used meanwhile, in seconds; nil when it was not asked for.
    public var serverSeconds: Double?
    /// Nanoseconds of each request, to three digits.
    private var latencies = Histogram<UInt64>(
        highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .three)

    public init(name: String) {
        self.name = name
    }

    public var count: Int { Int(latencies.totalCount) }

    public mutating func record(nanoseconds: Int64) {
        _ = latencies.record(UInt64(max(nanoseconds, 1)))
    }
    /// Takes over the latencies, failures and bytes of another part of the same run.
    public mutating func add(_ other: Measurement) {
        latencies.add(other.latencies)
        failures += other.failures
        bytes += other.bytes
    }

    /// Microseconds of the server's CPU time for each request.
    public var serverMicroseconds: Double? { serverSeconds.map { $0 * 1e6 / Double(max(count, 1)) } }

    public var perSecond: Double { Double(count) / max(elapsed.inSeconds, 1e-9) }

    /// Seconds below which the given part of the requests were done; `part` is 0...1.
    public func percentile(_ part: Double) -> Double {
        count == 0 ? 0 : Double(latencies.valueAtPercentile(part * 100)) / 1e9
    }
}

extension Duration {
    /// Seconds with a fraction.
    public var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
