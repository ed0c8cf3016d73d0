import Synchronization

/// What the controllers' work queues did, under the names that Kubernetes dashboards know. One for the process, as its page
/// of metrics is.
public final class QueueMetrics: Sendable {
    public static let shared = QueueMetrics()

    /// Upper bounds of the time that handling takes, seconds.
    private static let bounds: [(text: String, seconds: Double)] = [
        ("1e-05", 1e-5), ("0.0001", 1e-4), ("0.001", 1e-3), ("0.01", 1e-2), ("0.1", 0.1), ("1", 1), ("10", 10),
    ]
    private struct Series {
        var started = 0
        var ended = 0
        var retries = 0
        var buckets = [Int](repeating: 0, count: QueueMetrics.bounds.count)
        var seconds = 0.0
        var depth: @Sendable () -> Int = { 0 }
    }
    private let series = Mutex<[String: Series]>([:])

    init() {}

    /// - Parameter depth: keys that wait in the queue now.
    func register(_ queue: String, depth: @escaping @Sendable () -> Int) {
        series.withLock { $0[queue, default: Series()].depth = depth }
    }

    func started(_ queue: String) {
        series.withLock { $0[queue, default: Series()].started += 1 }
    }

    /// - Parameter isRetried: handling failed, and the key comes back.
    func ended(_ queue: String, after duration: Duration, isRetried: Bool) {
        let (whole, parts) = duration.components
        let seconds = Double(whole) + Double(parts) / 1e18
        let bucket = Self.bounds.firstIndex { seconds <= $0.seconds }
        series.withLock { series in
            series[queue, default: Series()].ended += 1
            series[queue]?.seconds += seconds
            if isRetried { series[queue]?.retries += 1 }
            if let bucket { series[queue]?.buckets[bucket] += 1 }
        }
    }

    /// Prometheus text, empty before a controller runs.
    public func text() -> String {
        let all = series.withLock { $0 }.sorted { $0.key < $1.key }.map {
            (name: $0.key, it: $0.value, depth: $0.value.depth())
        }
        guard !all.isEmpty else { return "" }
        var text = ""
        func samples(_ metric: String, _ type: String, _ help: String, _ value: (Series, Int) -> Int) {
            text += "# HELP \(metric) \(help)\n# TYPE \(metric) \(type)\n"
            for one in all { text += "\(metric){name=\"\(one.name)\"} \(value(one.it, one.depth))\n" }
        }
        samples("workqueue_depth", "gauge", "Keys that wait.") { $1 }
        // What was taken out or waits was put in.
        samples("workqueue_adds_total", "counter", "Keys that were put in.") { $0.started + $1 }
        samples("workqueue_retries_total", "counter", "Keys that came back after a failure.") { one, _ in one.retries }
        let metric = "workqueue_work_duration_seconds"
        text += "# HELP \(metric) Time that handling a key took.\n# TYPE \(metric) histogram\n"
        for one in all {
            var total = 0
            for (bound, count) in zip(Self.bounds, one.it.buckets) {
                total += count
                text += "\(metric)_bucket{name=\"\(one.name)\",le=\"\(bound.text)\"} \(total)\n"
            }
            text += "\(metric)_bucket{name=\"\(one.name)\",le=\"+Inf\"} \(one.it.ended)\n"
            text += "\(metric)_sum{name=\"\(one.name)\"} \(one.it.seconds)\n"
            text += "\(metric)_count{name=\"\(one.name)\"} \(one.it.ended)\n"
        }
        return text
    }
}
