import APIMachinery
import ClusterClient
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Counts of requests under the names that Kubernetes dashboards know.
final class RequestMetrics: Sendable {
    /// Label values are bounded: resources come from the catalog once a request succeeded, else they stay empty.
    struct Key: Hashable {
        var verb: String
        var group: String
        var version: String
        var resource: String
        var subresource: String
        var scope: String
    }
    private struct Series {
        var byCode: [UInt: Int] = [:]
        var buckets = [Int](repeating: 0, count: RequestMetrics.bounds.count)
        var count = 0
        var sum = 0.0
    }
    private struct Sizes {
        var buckets = [Int](repeating: 0, count: RequestMetrics.sizeBounds.count)
        var count = 0
        var sum = 0
    }
    private struct State {
        var series: [Key: Series] = [:]
        var sizes: [Key: Sizes] = [:]
        var longRunning: [Key: Int] = [:]
        /// By kind; those of the catalog.
        var watchEvents: [GroupVersionKind: Counter] = [:]
    }
    /// One number that many tasks add to.
    final class Counter: Sendable {
        let count = Atomic<Int>(0)
    }
    private let state = Mutex(State())
    /// Seconds.
    static let bounds: [Double] = [
        0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
    ]
    /// Bytes.
    static let sizeBounds = [1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000]
    private static let maximumSeries = 2000

    /// - Parameter bytes: of the answer's body; counted for what was read, the sizes of other answers say nothing.
    func record(_ info: RequestInfo, _ request: Request, code: UInt, duration: Duration, bytes: Int? = nil) {
        let key = Self.key(info, isServed: code != 404 && code != 403 && code != 401)
        let (seconds, attoseconds) = duration.components
        let value = Double(seconds) + Double(attoseconds) / 1e18
        state.withLock { state in
            guard state.series[key] != nil || state.series.count < Self.maximumSeries else { return }
            state.series[key, default: Series()].byCode[code, default: 0] += 1
            guard !info.isLongRunning else { return }
            state.series[key]?.count += 1
            state.series[key]?.sum += value
            if let index = Self.bounds.firstIndex(where: { value <= $0 }) { state.series[key]?.buckets[index] += 1 }
            guard let bytes, code == 200, info.isResource, info.verb == "get" || info.verb == "list" else { return }
            state.sizes[key, default: Sizes()].count += 1
            state.sizes[key]?.sum += bytes
            if let index = Self.sizeBounds.firstIndex(where: { bytes <= $0 }) { state.sizes[key]?.buckets[index] += 1 }
        }
    }

    func longRunningStarted(_ info: RequestInfo) {
        let key = Self.key(info, isServed: false)
        state.withLock { $0.longRunning[key, default: 0] += 1 }
    }
    func longRunningEnded(_ info: RequestInfo) {
        let key = Self.key(info, isServed: false)
        state.withLock { $0.longRunning[key, default: 1] -= 1 }
    }

    /// Where a watch counts the events that it sends.
    func watchEvents(of kind: GroupVersionKind) -> Counter {
        state.withLock { state in
            if let known = state.watchEvents[kind] { return known }
            let made = Counter()
            // Custom kinds come and go; those beyond are counted nowhere.
            if state.watchEvents.count < Self.maximumSeries { state.watchEvents[kind] = made }
            return made
        }
    }

    private static func key(_ info: RequestInfo, isServed: Bool) -> Key {
        guard info.isResource else {
            return Key(
                verb: info.verb == "get" ? "GET" : "OTHER", group: "", version: "", resource: "", subresource: "",
                scope: "")
        }
        let verb =
            switch (info.verb, info.subresource) {
            case (_, "exec"), (_, "attach"), (_, "portforward"), (_, "proxy"), (_, "log"): "CONNECT"
            case ("get", _): "GET"
            case ("list", _): "LIST"
            case ("watch", _): "WATCH"
            case ("create", _): "POST"
            case ("update", _): "PUT"
            case ("patch", _): "PATCH"
            case ("delete", _): "DELETE"
            case ("deletecollection", _): "DELETECOLLECTION"
            default: "OTHER"
            }
        let scope = !info.name.isEmpty ? "resource" : info.namespace.isEmpty ? "cluster" : "namespace"
        guard isServed else {
            return Key(verb: verb, group: "", version: "", resource: "", subresource: "", scope: scope)
        }
        return Key(
            verb: verb, group: info.group, version: info.version, resource: info.resource,
            subresource: info.subresource, scope: scope)
    }

    func write(into text: inout MetricsText) {
        let (series, longRunning, sizes) = state.withLock { ($0.series, $0.longRunning, $0.sizes) }
        writeSizes(sizes, into: &text)
        writeWatchEvents(into: &text)
        let keys = series.keys.sorted { Self.labels($0) < Self.labels($1) }
        text.header("apiserver_request_total", "counter", "Requests by verb, resource and HTTP code.")
        for key in keys {
            for (code, count) in (series[key]?.byCode ?? [:]).sorted(by: { $0.key < $1.key }) {
                text.sample(
                    "apiserver_request_total",
                    "code=\"\(code)\",component=\"apiserver\",dry_run=\"\",\(Self.labels(key))",
                    "\(count)")
            }
        }
        let name = "apiserver_request_duration_seconds"
        text.header(name, "histogram", "Time from a request's last byte to its answer.")
        for key in keys {
            guard let one = series[key], one.count > 0 else { continue }
            let labels = "component=\"apiserver\",dry_run=\"\",\(Self.labels(key))"
            var total = 0
            for (bound, count) in zip(Self.bounds, one.buckets) {
                total += count
                text.sample("\(name)_bucket", "\(labels),le=\"\(MetricsText.number(bound))\"", "\(total)")
            }
            text.sample("\(name)_bucket", "\(labels),le=\"+Inf\"", "\(one.count)")
            text.sample("\(name)_sum", labels, "\(one.sum)")
            text.sample("\(name)_count", labels, "\(one.count)")
        }
        text.header("apiserver_longrunning_requests", "gauge", "Watches and streams that are open.")
        for (key, count) in longRunning.sorted(by: { Self.labels($0.key) < Self.labels($1.key) }) {
            text.sample("apiserver_longrunning_requests", "component=\"apiserver\",\(Self.labels(key))", "\(count)")
        }
    }

    private func writeWatchEvents(into text: inout MetricsText) {
        let name = "apiserver_watch_events_total"
        text.header(name, "counter", "Events sent to watchers.")
        let events = state.withLock { $0.watchEvents }
        for (kind, counter) in events.sorted(by: { $0.key.description < $1.key.description }) {
            text.sample(
                name, "group=\"\(kind.group)\",kind=\"\(kind.kind)\",version=\"\(kind.version)\"",
                "\(counter.count.load(ordering: .relaxed))")
        }
    }

    private func writeSizes(_ sizes: [Key: Sizes], into text: inout MetricsText) {
        let name = "apiserver_response_sizes"
        text.header(name, "histogram", "Bytes of what was read.")
        for (key, one) in sizes.sorted(by: { Self.labels($0.key) < Self.labels($1.key) }) {
            let labels = "component=\"apiserver\",\(Self.labels(key))"
            var total = 0
            for (bound, count) in zip(Self.sizeBounds, one.buckets) {
                total += count
                text.sample("\(name)_bucket", "\(labels),le=\"\(bound)\"", "\(total)")
            }
            text.sample("\(name)_bucket", "\(labels),le=\"+Inf\"", "\(one.count)")
            text.sample("\(name)_sum", labels, "\(one.sum)")
            text.sample("\(name)_count", labels, "\(one.count)")
        }
    }

    private static func labels(_ key: Key) -> String {
        "group=\"\(key.group)\",resource=\"\(key.resource)\",scope=\"\(key.scope)\",subresource=\"\(key.subresource)\""
            + ",verb=\"\(key.verb)\",version=\"\(key.version)\""
    }
}

/// Prometheus text format 0.0.4.
struct MetricsText {
    private(set) var text = ""

    mutating func header(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }
    mutating func sample(_ name: String, _ labels: String, _ value: String) {
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }
    mutating func gauge(_ name: String, _ value: String, _ help: String) {
        header(name, "gauge", help)
        sample(name, "", value)
    }
    static func number(_ value: Double) -> String {
        value == value.rounded() ? "\(Int(bounded: value))" : "\(value)"
    }
}

extension Dispatcher {
    func metricsText() async -> Response {
        var text = MetricsText()
        metrics.write(into: &text)
        text.header(
            "apiserver_current_inflight_requests", "gauge", "Requests being handled, long-running ones excluded.")
        let kinds = [("mutating", inFlight.writes), ("readOnly", inFlight.reads)]
        for (kind, limit) in kinds {
            text.sample("apiserver_current_inflight_requests", "request_kind=\"\(kind)\"", "\(limit.runningCount)")
        }
        text.header("apiserver_current_inqueue_requests", "gauge", "Requests that wait for others of their user.")
        for (kind, limit) in kinds {
            text.sample("apiserver_current_inqueue_requests", "request_kind=\"\(kind)\"", "\(limit.waitingCount)")
        }
        let version = configuration.gitVersion
        let numbers = version.drop { $0 == "v" }.split(separator: ".")
        text.header("kubernetes_build_info", "gauge", "Which version this is.")
        text.sample(
            "kubernetes_build_info",
            "git_commit=\"\(configuration.gitCommit)\",git_version=\"\(version)\",major=\"\(numbers.first ?? "")\""
                + ",minor=\"\(numbers.dropFirst().first ?? "")\"", "1")
        text.gauge("apiserver_open_connections", "\(connections.count)", "Client connections that are open.")
        text.header("apiserver_storage_objects", "gauge", "Stored objects by resource.")
        for (resource, count) in await objectCounts() {
            text.sample("apiserver_storage_objects", "resource=\"\(resource)\"", "\(count)")
        }
        ProcessMetrics.write(into: &text)
        var body = text.text
        for extra in configuration.extraMetrics { body += await extra() }
        return Response(
            status: .ok, headers: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8"],
            body: ByteBuffer(string: body))
    }
}

extension Dispatcher {
    /// How many objects there are of each resource, asked of the cache one by one.
    private func objectCounts() async -> [(resource: String, count: Int)] {
        var options = ListOptions()
        options.limit = 1
        options.resourceVersion = "0"
        // Each version of a resource lists the same objects.
        var counts: [String: Int] = [:]
        for definition in backend.catalog.resources
        where definition.hasVerb("list") && definition.resource.group != NodeMetrics.group {
            let name = definition.resource.groupResource.description
            guard counts[name] == nil,
                let list = try? await backend.list(definition, namespace: nil, options: options)
            else { continue }
            counts[name] = list.items.count + (list.remainingItemCount ?? 0)
        }
        return counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}

/// What the kernel says about this process.
enum ProcessMetrics {
    static func write(into text: inout MetricsText) {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let cpu =
            Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        text.header("process_cpu_seconds_total", "counter", "CPU time used.")
        text.sample("process_cpu_seconds_total", "", "\(cpu)")
        let pages = read("/proc/self/statm").split(separator: " ").compactMap { Int($0) }
        let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
        if pages.count > 1 {
            text.gauge("process_virtual_memory_bytes", "\(pages[0] * pageSize)", "Virtual memory.")
            text.gauge("process_resident_memory_bytes", "\(pages[1] * pageSize)", "Resident memory.")
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            text.gauge("process_max_fds", "\(limit.rlim_cur)", "Most file descriptors allowed.")
        }
        if let started = startTime() {
            text.gauge("process_start_time_seconds", "\(started)", "Start, seconds since 1970.")
        }
        text.gauge("process_open_fds", "\(openDescriptors())", "Open file descriptors.")
    }

    private static func startTime() -> Double? {
        // Field 22 of stat, counted behind the command's closing parenthesis; clock ticks since boot.
        let stat = read("/proc/self/stat")
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
        let boot = read("/proc/stat").split(separator: "\n").first { $0.hasPrefix("btime ") }
        guard let seconds = boot?.split(separator: " ").last.flatMap({ Double($0) }) else { return nil }
        return seconds + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func openDescriptors() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Without `.`, `..` and the directory itself.
        return max(0, count - 3)
    }

    /// A small file of procfs, which never blocks.
    private static func read(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }
}
