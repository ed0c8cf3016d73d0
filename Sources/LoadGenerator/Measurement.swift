/// What a run of requests gave.
public struct Measurement: Sendable {
    public var name: String
    public var count: Int
    public var failures: Int
    /// Wall-clock time of the whole run.
    public var elapsed: Duration
    /// Seconds of each request, sorted.
    public var latencies: [Double]
    /// CPU time that the server's processes used meanwhile, in seconds; nil when it was not asked for.
    public var serverSeconds: Double?

    public init(name: String, failures: Int, elapsed: Duration, latencies: [Double]) {
        self.name = name
        count = latencies.count
        self.failures = failures
        self.elapsed = elapsed
        self.latencies = latencies.sorted()
    }

    /// Microseconds of the server's CPU time for each request.
    public var serverMicroseconds: Double? { serverSeconds.map { $0 * 1e6 / Double(max(count, 1)) } }

    public var perSecond: Double { Double(count) / max(elapsed.inSeconds, 1e-9) }

    /// Seconds below which the given part of the requests were done; `part` is 0...1.
    public func percentile(_ part: Double) -> Double {
        guard !latencies.isEmpty else { return 0 }
        return latencies[min(latencies.count - 1, Int(Double(latencies.count) * part))]
    }
}

extension Duration {
    /// Seconds with a fraction.
    public var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
