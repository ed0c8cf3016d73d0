import HTTPAccess
import NIOCore
import Synchronization

/// Changes config maps while many watchers look: how fast and how cheaply an API server tells news.
public struct WatchLoad: Sendable {
    public var rig: LoadRig
    /// Watches of the namespace, each on a connection of its own.
    public var watchers: Int
    /// Changes made; each watcher gets each.
    public var changes: Int
    /// Changes a second; nil for as many as the server takes.
    public var rate: Int?

    public init(rig: LoadRig, watchers: Int, changes: Int, rate: Int?) {
        self.rig = rig
        self.watchers = watchers
        self.changes = changes
        self.rate = rate
    }

    /// - Parameter report: gets `change`, the requests that make the changes, and `event`, of which each is one change seen by
    ///   one watcher; its latency counts from before the request was sent.
    public func run(report: @Sendable (Measurement) -> Void) async throws {
        let head = RequestHead(rig.access)
        let collection = "/api/v1/namespaces/\(rig.namespace)/configmaps"
        @Sendable func body(_ index: Int) -> String {
            #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"load-\#(index)"},"#
                + #""data":{"stamp":"\#(NIODeadline.now().uptimeNanoseconds)"}}"#
        }
        let objects = min(changes, 100)
        try await rig.inNamespace { control, channels in
            _ = try await rig.phase("create", channels, total: objects) { index, buffer in
                head.write("POST", collection, body: body(index), into: &buffer)
            }
            let version = try await control.require("GET", "\(collection)?limit=1")["metadata"]["resourceVersion"]
            let sink = EventSink(expected: watchers * changes)
            let tls = try HTTPConnection.context(rig.access)
            var watches: [WatchChannel] = []
            for index in 0..<watchers {
                if index % 50 == 0 { rig.progress("open \(index) watches") }
                watches.append(
                    try await WatchChannel.open(
                        rig.access, tls: tls, path: "\(collection)?watch=true&resourceVersion=\(version.string ?? "0")",
                        marker: #""stamp":""#, sink: sink))
            }
            let clock = ContinuousClock()
            let before = ProcessorTime.seconds(of: rig.serverProcesses)
            let start = clock.now
            report(
                try await rig.phase("change", channels, total: changes, rate: rate) { index, buffer in
                    head.write(
                        "PUT", "\(collection)/load-\(index % objects)", body: body(index % objects), into: &buffer)
                })
            let limit = clock.now + .seconds(120)
            while !sink.isComplete, clock.now < limit {
                rig.progress("events \(sink.count * 100 / max(watchers * changes, 1)) %")
                try await Task.sleep(for: .milliseconds(20))
            }
            var measurement = sink.measurement
            measurement.elapsed = clock.now - start
            measurement.failures = max(watchers * changes - measurement.count, 0)
            if let before, let after = ProcessorTime.seconds(of: rig.serverProcesses) {
                measurement.serverSeconds = after - before
            }
            report(measurement)
            for watch in watches { watch.close() }
        }
    }
}

/// Counts what the watches receive. One per run; the event loops write to it.
final class EventSink: WatchConnection.Sink {
    private let expected: Int
    private let state = Mutex(Measurement(name: "event"))

    init(expected: Int) {
        self.expected = expected
    }

    var measurement: Measurement { state.withLock { $0 } }
    var count: Int { state.withLock { $0.count } }
    var isComplete: Bool { count >= expected }

    func received(_ stamps: [UInt64]) {
        let now = NIODeadline.now().uptimeNanoseconds
        state.withLock { measurement in
            for stamp in stamps { measurement.record(nanoseconds: Int64(now > stamp ? now - stamp : 0)) }
        }
    }
}
