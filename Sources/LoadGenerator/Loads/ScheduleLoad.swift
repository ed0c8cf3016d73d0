import HTTPAccess
import JSON
import NIOCore
import Synchronization

/// Creates pods at once and sees when they get a node, and, on real nodes, when they run.
public struct ScheduleLoad: Sendable {
    public var rig: LoadRig
    public var pods: Int
    /// Nodes that are made for the load: objects that say they are ready, with nothing behind them. 0: the cluster's own.
    public var nodes: Int
    /// Image of the pods; on the cluster's own nodes it must be one that goes on running.
    public var image: String
    /// What the container runs; empty for what the image says.
    public var command: [String]

    public init(rig: LoadRig, pods: Int, nodes: Int, image: String, command: [String]) {
        self.rig = rig
        self.pods = pods
        self.nodes = nodes
        self.image = image
        self.command = command
    }

    /// - Parameter report: gets `create`, then `scheduled`, and `running` on the cluster's own nodes. Latencies count from before the
    ///   pod's creation was sent.
    public func run(report: @Sendable (Measurement) -> Void) async throws {
        let head = RequestHead(rig.access)
        let collection = "/api/v1/namespaces/\(rig.namespace)/pods"
        try await rig.inNamespace { control, channels in
            try await control.ensureAccount(rig.namespace)
            for index in 0..<nodes { try await makeNode(index, control) }
            let tls = try HTTPConnection.context(rig.access)
            let stages = PodStages()
            let watch = try await EventStream.open(
                rig.access, tls: tls, path: "\(collection)?watch=true&resourceVersion=0&allowWatchBookmarks=false"
            ) { stages.take($0) }
            let clock = ContinuousClock()
            let before = ProcessorTime.seconds(of: rig.serverProcesses)
            let start = clock.now
            report(
                try await rig.phase("create", channels, total: pods) { index, buffer in
                    stages.begin("load-\(index)")
                    head.write("POST", collection, body: pod(index), into: &buffer)
                })
            let limit = clock.now + .seconds(300)
            while clock.now < limit {
                let count = nodes > 0 ? stages.scheduled.count : stages.running.count
                rig.progress("\(nodes > 0 ? "scheduled" : "running") \(count) of \(pods)")
                if count >= pods { break }
                try await Task.sleep(for: .milliseconds(10))
            }
            for var measurement in nodes > 0 ? [stages.scheduled] : [stages.scheduled, stages.running] {
                measurement.elapsed = clock.now - start
                measurement.failures = pods - measurement.count
                if let before, let after = ProcessorTime.seconds(of: rig.serverProcesses) {
                    measurement.serverSeconds = after - before
                }
                report(measurement)
            }
            await watch.close()
            report(
                try await rig.phase("delete", channels, total: pods) { index, buffer in
                    head.write("DELETE", "\(collection)/load-\(index)?gracePeriodSeconds=0", into: &buffer)
                })
            for index in 0..<nodes { _ = try await control.send("DELETE", "/api/v1/nodes/apus-bench-\(index)").get() }
        }
    }
    private func pod(_ index: Int) -> String {
        var container: JSON = [
            "name": "main", "image": .string(image), "imagePullPolicy": "IfNotPresent",
            "resources": ["requests": ["cpu": "1m", "memory": "1Mi"]],
        ]
        if !command.isEmpty { container["command"] = .array(command.map { .string($0) }) }
        var spec: JSON = ["terminationGracePeriodSeconds": 0, "containers": [container]]
        if nodes > 0 { spec["nodeSelector"] = ["apus-bench": "node"] }
        let pod: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string("load-\(index)")], "spec": spec,
        ]
        return String(decoding: pod.encoded(), as: UTF8.self)
    }

    private func makeNode(_ index: Int, _ control: HTTPConnection) async throws {
        let name = "apus-bench-\(index)"
        try await control.require(
            "POST", "/api/v1/nodes",
            #"{"apiVersion":"v1","kind":"Node","metadata":{"name":"\#(name)","labels":{"apus-bench":"node"}}}"#)
        let status =
            #"{"status":{"capacity":{"cpu":"64","memory":"256Gi","pods":"500"},"allocatable":{"cpu":"64","memory":"256Gi","#
            + #""pods":"500"},"conditions":[{"type":"Ready","status":"True","reason":"Bench"}]}}"#
        let answer = try await control.send(
            "PATCH", "/api/v1/nodes/\(name)/status", body: ByteBuffer(string: status),
            contentType: "application/merge-patch+json"
        ).get()
        guard answer.status < 300 else { throw LoadProblem("the status of node \(name) was refused: \(answer.status)") }
    }
}

/// When each pod got how far. The load's connections begin, the watch goes on.
private final class PodStages: Sendable {
    private struct State {
        var begun: [String: NIODeadline] = [:]
        var isScheduled: Set<String> = []
        var isRunning: Set<String> = []
        var scheduled = Measurement(name: "scheduled")
        var running = Measurement(name: "running")
    }
    private let state = Mutex(State())

    var scheduled: Measurement { state.withLock { $0.scheduled } }
    var running: Measurement { state.withLock { $0.running } }

    func begin(_ name: String) {
        state.withLock { $0.begun[name] = .now() }
    }

    func take(_ event: JSON) {
        let pod = event["object"]
        guard let name = pod["metadata"]["name"].string else { return }
        let now = NIODeadline.now()
        state.withLock { state in
            guard let begun = state.begun[name] else { return }
            let nanoseconds = (now - begun).nanoseconds
            if pod["spec"]["nodeName"].string?.isEmpty == false, state.isScheduled.insert(name).inserted {
                state.scheduled.record(nanoseconds: nanoseconds)
            }
            if pod["status"]["phase"].string == "Running", state.isRunning.insert(name).inserted {
                state.running.record(nanoseconds: nanoseconds)
            }
        }
    }
}
