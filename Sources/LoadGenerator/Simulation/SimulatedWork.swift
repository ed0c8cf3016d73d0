import HTTPAccess
import JSON
import NIOCore
import ObjectModel
import Synchronization

/// What is left to do for the pods on simulated nodes: filled by the watch, emptied by the connections.
///
/// What a pod needs next follows from what the server says of it and from what was sent before; a request that failed is sent
/// again some times, so that nothing but a pod's end takes it out of here.
final class SimulatedWork: Sendable {
    enum Stage: Int, Comparable {
        case seen, starting, ending, deleting
        static func < (left: Stage, right: Stage) -> Bool { left.rawValue < right.rawValue }
    }
    struct Item {
        var pod: JSON
        var uid: String
        var stage: Stage
        var attempts = 0
        /// When a pod that was just seen ends by itself, whoever was told of it by then.
        var end: NIODeadline?
        /// Nobody was told that it runs.
        var isUntold: Bool { pod["status"]["phase"].string != "Running" }
    }
    private struct State {
        var waiting = CircularBuffer<Item>()
        /// Pods that end by themselves, oldest first.
        var due = CircularBuffer<(at: NIODeadline, item: Item)>()
        var stages: [String: Stage] = [:]
        var idle: [AsyncStream<Void>.Continuation] = []
        var counts = SimulatedNodes.Counts()
        var addresses = 0
    }
    private let state = Mutex(State())
    private let nodes: [String: SimulatedNode]
    private let head: RequestHead
    private let lifetime: Duration?

    init(nodes: [SimulatedNode], access: ClusterAccess, lifetime: Duration?) {
        self.nodes = Dictionary(nodes.map { ($0.name, $0) }) { first, _ in first }
        self.head = RequestHead(access)
        self.lifetime = lifetime
    }

    var counts: SimulatedNodes.Counts { state.withLock { $0.counts } }

    // MARK: What is seen

    /// Takes an event of the watch of all pods.
    func take(_ event: JSON) {
        let pod = event["object"]
        guard nodes[pod["spec"]["nodeName"].string ?? ""] != nil, let uid = pod["metadata"]["uid"].string else {
            return
        }
        if event["type"].string == "DELETED" {
            state.withLock { state in
                if state.stages.removeValue(forKey: uid) != nil { state.counts.gone += 1 }
            }
            return
        }
        let phase = pod["status"]["phase"].string ?? ""
        let isTerminal = phase == "Succeeded" || phase == "Failed"
        if pod["metadata"]["deletionTimestamp"].isNull {
            if isTerminal { return note(uid) }
            if phase == "Running" { return end(pod, uid) }
            let end = lifetime.map { NIODeadline.now() + TimeAmount($0) }
            add(Item(pod: pod, uid: uid, stage: .starting, end: end))
        } else {
            add(Item(pod: pod, uid: uid, stage: isTerminal ? .deleting : .ending))
        }
    }

    /// A pod that needs nothing until it is deleted.
    private func note(_ uid: String) {
        state.withLock { $0.stages[uid] = max($0.stages[uid] ?? .seen, .ending) }
    }

    private func add(_ item: Item) {
        state.withLock { state in
            guard state.stages[item.uid] ?? .seen < item.stage else { return }
            state.stages[item.uid] = item.stage
            state.waiting.append(item)
            state.idle.popLast()?.yield()
        }
    }

    private func end(_ pod: JSON, _ uid: String) {
        guard let lifetime else { return }
        state.withLock { state in
            guard state.stages[uid] ?? .seen < .ending else { return }
            state.stages[uid] = .ending
            state.due.append((.now() + TimeAmount(lifetime), Item(pod: pod, uid: uid, stage: .ending)))
        }
    }

    /// Moves pods whose time is over to those that are worked on.
    func endThoseDue() {
        let now = NIODeadline.now()
        state.withLock { state in
            while let first = state.due.first, first.at <= now {
                state.due.removeFirst()
                guard state.stages[first.item.uid] == .ending else { continue }
                state.waiting.append(first.item)
                state.idle.popLast()?.yield()
            }
        }
    }

    // MARK: What is done

    /// The next thing to do; when there is none, the caller is woken when there is.
    ///
    /// As a node does, it tells what is true when its turn comes: a pod that ended before anybody was told that it runs is told to
    /// have ended, in one request.
    func next(else idle: AsyncStream<Void>.Continuation) -> Item? {
        state.withLock { state in
            if var item = state.waiting.popFirst() {
                if item.stage == .starting, let end = item.end, end <= .now(), state.stages[item.uid] == .starting {
                    item.stage = .ending
                    state.stages[item.uid] = .ending
                }
                return item
            }
            state.idle.append(idle)
            return nil
        }
    }

    /// Writes the request for a thing to do.
    func write(_ item: Item, into buffer: inout ByteBuffer) {
        let metadata = item.pod["metadata"]
        let path = "/api/v1/namespaces/\(metadata["namespace"].string ?? "")/pods/\(metadata["name"].string ?? "")"
        let now = Timestamp.now.rfc3339
        let status: JSON
        switch item.stage {
        case .deleting:
            let uid = JSON.string(item.uid).description
            return head.write(
                "DELETE", path,
                body:
                    #"{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":\#(uid)}}"#,
                into: &buffer)
        case .ending:
            let isKilled = !metadata["deletionTimestamp"].isNull
            if item.isUntold, !isKilled, let node = nodes[item.pod["spec"]["nodeName"].string ?? ""] {
                status = SimulatedPod.cameAndWent(item.pod, node: node, address: nextAddress(), now: now)
            } else {
                status = SimulatedPod.ended(item.pod, isKilled: isKilled, now: now)
            }
        case .seen, .starting:
            guard let node = nodes[item.pod["spec"]["nodeName"].string ?? ""] else { return }
            status = SimulatedPod.running(item.pod, node: node, address: nextAddress(), now: now)
        }
        head.write(
            "PATCH", "\(path)/status", body: status.description, type: "application/merge-patch+json", into: &buffer)
    }

    private func nextAddress() -> String {
        let index = state.withLock { state in
            state.addresses += 1
            return state.addresses
        }
        return "198.18.\(index / 250 % 256).\(index % 250 + 1)"
    }

    /// - Parameter status: of the answer; 0 when none came.
    func finished(_ item: Item, status: Int) {
        state.withLock { state in
            switch status {
            case 200..<300:
                switch item.stage {
                case .seen, .starting: state.counts.started += 1
                case .ending:
                    if item.isUntold { state.counts.started += 1 }
                    state.counts.ended += 1
                case .deleting: state.counts.deleted += 1
                }
            // Gone, or another pod of the same name: its own events tell.
            case 404,
                409 where item.stage == .deleting:
                break
            default:
                guard item.attempts < 10 else {
                    state.counts.failures += 1
                    return
                }
                var again = item
                if status != 0 { again.attempts += 1 }
                state.waiting.append(again)
                state.idle.popLast()?.yield()
            }
        }
    }
}
