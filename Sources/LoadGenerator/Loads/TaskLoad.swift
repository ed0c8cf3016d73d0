import HTTPAccess
import JSON
import NIOCore
import Synchronization

/// One framework that launches tasks through offers, on simulated nodes, and acknowledges what it hears of them.
public struct TaskLoad: Sendable {
    public var rig: LoadRig
    /// Where the master's window is.
    public var host: String
    public var port: Int
    public var tasks: Int
    /// Most tasks of one ACCEPT.
    public var batch: Int
    /// Nodes that are made for the load; 0: the cluster's own, where the tasks run `true`.
    public var nodes: Int

    public init(rig: LoadRig, host: String, port: Int, tasks: Int, batch: Int, nodes: Int) {
        self.rig = rig
        self.host = host
        self.port = port
        self.tasks = tasks
        self.batch = batch
        self.nodes = nodes
    }

    /// - Parameter report: gets `accepted` (the answer to ACCEPT: the pods are stored, or 5 s have passed), `running` and
    ///   `finished`: times count from before the ACCEPT was sent until the framework heard
    ///   of it, elapsed from the first ACCEPT to the last status.
    public func run(report: @escaping @Sendable (Measurement) -> Void) async throws {
        guard nodes > 0 else { return try await measure(report) }
        var settings = SimulatedNodes.Settings(access: rig.access, count: nodes)
        settings.podLifetime = .milliseconds(10)
        settings.pods = max(500, tasks / nodes * 2)
        let simulated = try SimulatedNodes(settings)
        try await simulated.start()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await simulated.run() }
                group.addTask { try await measure(report) }
                defer { group.cancelAll() }
                // The nodes work until they are cancelled.
                try await group.next()
            }
        } catch {
            try? await simulated.remove()
            throw error
        }
        try await simulated.remove()
    }

    private func measure(_ report: @escaping @Sendable (Measurement) -> Void) async throws {
        let path = "/api/v1/scheduler"
        let role = rig.namespace
        let subscription = try await MesosConnection.open(host: host, port: port)
        var pool: [MesosConnection] = []
        for _ in 0..<max(rig.clients, 2) { pool.append(try await MesosConnection.open(host: host, port: port)) }
        let run = TaskRun(
            path: path, pool: pool, tasks: tasks, batch: batch, suffix: UInt64(NIODeadline.now().uptimeNanoseconds))
        let info: JSON = [
            "user": "root", "name": "apus-bench", "roles": [.string(role)],
            "capabilities": [["type": "MULTI_ROLE"], ["type": "PARTITION_AWARE"]],
        ]
        let call: JSON = ["type": "SUBSCRIBE", "subscribe": ["framework_info": info]]
        let (status, streamID) = try await subscription.subscribe(path, call.encoded()) { run.take($0) }
        guard status == 200 else { throw LoadProblem("the subscription was answered with \(status)") }
        run.begin(streamID: streamID)
        let clock = ContinuousClock()
        let before = ProcessorTime.seconds(of: rig.serverProcesses)
        let limit = clock.now + .seconds(300)
        while clock.now < limit, !run.isDone {
            rig.progress(run.progress)
            try await Task.sleep(for: .milliseconds(5))
        }
        let used = ProcessorTime.seconds(of: rig.serverProcesses)
        for var measurement in run.measurements {
            if let before, let used { measurement.serverSeconds = used - before }
            report(measurement)
        }
        if let problem = run.problem { throw LoadProblem(problem) }
        await run.teardown()
        await subscription.close()
        for connection in pool { await connection.close() }
        // Its role is a namespace, which the load leaves as it found it.
        let control = try await HTTPConnection.open(rig.access, tls: try HTTPConnection.context(rig.access))
        _ = try await control.send("DELETE", "/api/v1/namespaces/\(role)").get()
        await control.close()
    }
}

/// What the framework knows. Events come on the subscription's event loop, one after another.
private final class TaskRun: Sendable {
    private struct State {
        var frameworkID = ""
        var streamID = ""
        var launched = 0
        var first: NIODeadline?
        var begun: [NIODeadline] = []
        var isRunning: [Bool]
        var isFinished: [Bool]
        var accepted = Measurement(name: "accepted")
        var running = Measurement(name: "running")
        var finished = Measurement(name: "finished")
        var lastAccepted = NIODeadline.now()
        var lastRunning = NIODeadline.now()
        var lastFinished = NIODeadline.now()
        var next = 0
        var early: [ByteBuffer] = []
        var problem: String?
    }
    private let state: Mutex<State>
    private let path: String
    private let pool: [MesosConnection]
    private let tasks: Int
    private let batch: Int
    private let suffix: UInt64

    init(path: String, pool: [MesosConnection], tasks: Int, batch: Int, suffix: UInt64) {
        self.path = path
        self.pool = pool
        self.tasks = tasks
        self.batch = batch
        self.suffix = suffix
        state = Mutex(
            State(
                isRunning: Array(repeating: false, count: tasks), isFinished: Array(repeating: false, count: tasks)))
    }

    var isDone: Bool { state.withLock { $0.finished.count >= tasks || $0.problem != nil } }
    var problem: String? { state.withLock { $0.problem } }
    var progress: String {
        state.withLock {
            "launched \($0.launched), running \($0.running.count), finished \($0.finished.count) of \(tasks)"
        }
    }
    var measurements: [Measurement] {
        state.withLock { state in
            var (accepted, running, finished) = (state.accepted, state.running, state.finished)
            let first = state.first ?? .now()
            accepted.elapsed = .nanoseconds((state.lastAccepted - first).nanoseconds)
            running.elapsed = .nanoseconds((state.lastRunning - first).nanoseconds)
            finished.elapsed = .nanoseconds((state.lastFinished - first).nanoseconds)
            accepted.failures = tasks - accepted.count
            running.failures = tasks - running.count
            finished.failures = tasks - finished.count
            return [accepted, running, finished]
        }
    }

    /// The stream id is known only when the first events may be there already.
    func begin(streamID: String) {
        let early = state.withLock { state in
            state.streamID = streamID
            defer { state.early = [] }
            return state.early
        }
        for record in early { take(record) }
    }

    func take(_ record: ByteBuffer) {
        let isEarly = state.withLock { state in
            if state.streamID.isEmpty { state.early.append(record) }
            return state.streamID.isEmpty
        }
        if isEarly { return }
        guard let event = try? JSON.parse(record.readableBytesView) else { return }
        switch event["type"].string {
        case "SUBSCRIBED":
            state.withLock { $0.frameworkID = event["subscribed"]["framework_id"]["value"].string ?? "" }
        case "OFFERS":
            for offer in event["offers"]["offers"].elements { answer(offer) }
        case "UPDATE": update(event["update"]["status"])
        case "ERROR":
            state.withLock { $0.problem = "the master said: \(event["error"]["message"].string ?? "")" }
        default: break
        }
    }

    private func amount(_ name: String, of offer: JSON) -> Double {
        offer["resources"].elements.reduce(0) { sum, resource in
            resource["name"].string == name ? sum + (resource["scalar"]["value"].double ?? 0) : sum
        }
    }

    private static let cpus = 0.01
    private static let memory = 1.0

    private func answer(_ offer: JSON) {
        let room = Int(min(amount("cpus", of: offer) / Self.cpus, amount("mem", of: offer) / Self.memory))
        let range = state.withLock { state in
            let count = max(0, min(room, batch, tasks - state.launched))
            defer { state.launched += count }
            let now = NIODeadline.now()
            if state.first == nil, count > 0 { state.first = now }
            for _ in 0..<count { state.begun.append(now) }
            return state.launched..<(state.launched + count)
        }
        guard !range.isEmpty else {
            return call("DECLINE", ["offer_ids": [offer["id"]], "filters": ["refuse_seconds": 3600]])
        }
        let resources: JSON = [
            ["name": "cpus", "type": "SCALAR", "scalar": ["value": .number(JSONNumber(text: "\(Self.cpus)"))]],
            ["name": "mem", "type": "SCALAR", "scalar": ["value": .number(JSONNumber(text: "\(Self.memory)"))]],
        ]
        let infos = range.map { index -> JSON in
            [
                "name": "noop", "task_id": ["value": .string("\(suffix)-\(index)")], "agent_id": offer["agent_id"],
                "command": ["value": "true"], "resources": resources,
            ]
        }
        let left = state.withLock { tasks - $0.launched }
        call(
            "ACCEPT",
            [
                "offer_ids": [offer["id"]],
                "operations": [["type": "LAUNCH", "launch": ["task_infos": .array(infos)]]],
                "filters": ["refuse_seconds": left > 0 ? 0 : 3600],
            ]
        ) { [self] in
            let now = NIODeadline.now()
            state.withLock { state in
                for index in range { state.accepted.record(nanoseconds: (now - state.begun[index]).nanoseconds) }
                state.lastAccepted = now
            }
        }
    }

    private func update(_ status: JSON) {
        let id = status["task_id"]["value"].string ?? ""
        let name = status["state"].string ?? ""
        if status["uuid"].string != nil {
            call(
                "ACKNOWLEDGE",
                ["agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]])
        }
        guard let dash = id.lastIndex(of: "-"), let index = Int(id[id.index(after: dash)...]), index < tasks else {
            return
        }
        let now = NIODeadline.now()
        state.withLock { state in
            let nanoseconds = (now - state.begun[index]).nanoseconds
            if name == "TASK_RUNNING" || name == "TASK_FINISHED", !state.isRunning[index] {
                state.isRunning[index] = true
                state.running.record(nanoseconds: nanoseconds)
                state.lastRunning = now
            }
            if name == "TASK_FINISHED", !state.isFinished[index] {
                state.isFinished[index] = true
                state.finished.record(nanoseconds: nanoseconds)
                state.lastFinished = now
            }
            if ["TASK_ERROR", "TASK_FAILED", "TASK_LOST", "TASK_DROPPED", "TASK_GONE"].contains(name) {
                state.problem = "a task became \(name): \(status["message"].string ?? "")"
            }
        }
    }

    private func call(_ type: String, _ body: JSON, _ done: @escaping @Sendable () -> Void = {}) {
        send(type, body).whenComplete { [self] result in
            switch result {
            case .success(let answer) where answer.status >= 300:
                note("\(type) was answered with \(answer.status): \(String(buffer: answer.body))")
            case .failure(let error): note("\(type) failed: \(error)")
            default: done()
            }
        }
    }
    private func note(_ problem: String) { state.withLock { $0.problem = $0.problem ?? problem } }

    private func send(_ type: String, _ body: JSON) -> EventLoopFuture<HTTPAnswer> {
        let (streamID, frameworkID, index) = state.withLock { state in
            state.next += 1
            return (state.streamID, state.frameworkID, state.next)
        }
        // An ACCEPT is answered when its pods are stored: acknowledgements do not wait behind it.
        let half = max(pool.count / 2, 1)
        let place = type == "ACCEPT" ? index % half : half + index % max(pool.count - half, 1)
        var call: JSON = ["type": .string(type), "framework_id": ["value": .string(frameworkID)]]
        if !body.isNull { call[type.lowercased()] = body }
        return pool[min(place, pool.count - 1)].call(path, call.encoded(), streamID: streamID)
    }

    func teardown() async {
        _ = try? await send("TEARDOWN", .null).get()
    }
}
