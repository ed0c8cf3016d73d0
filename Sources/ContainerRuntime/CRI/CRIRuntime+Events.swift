import GRPCCore
import SwiftProtobuf
import Synchronization
import WireCRI

extension CRIRuntime {
    /// Starts and ends of containers, seen through containerd's own event service (it exists in every version that speaks
    /// CRI v1; the CRI's event stream does not). Listing finds what it misses, every ten seconds, and every second while
    /// the service is away.
    ///
    /// When the reader is slow, events collapse into one with an empty `podUID`: look at everything.
    public func events() -> AsyncThrowingStream<RuntimeEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: RuntimeEvent.self, bufferingPolicy: .bufferingOldest(256))
        let sink = EventSink(continuation)
        let task = Task {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.subscribe(sink) }
                group.addTask { await self.poll(sink) }
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    private func subscribe(_ sink: EventSink) async {
        var request = Containerd_Services_Events_V1_SubscribeRequest()
        request.filters = ["start", "exit", "oom", "paused", "resumed"].map { "topic==\"/tasks/\($0)\"" }
        let message = request
        while !Task.isCancelled {
            do {
                try await eventService.subscribe(
                    message, metadata: ["containerd-namespace": .string(ImageImporter.containerdNamespace)]
                ) { response in
                    sink.setSubscribed(true)
                    // Whatever happened before.
                    sink.send(RuntimeEvent(podUID: "", containerID: ""))
                    try await withThrowingDiscardingTaskGroup { group in
                        for try await envelope in response.messages {
                            guard envelope.namespace == ImageImporter.containerdNamespace,
                                let event = try? Containerd_Services_Events_V1_ContainerEvent(
                                    serializedBytes: envelope.event.value)
                            else { continue }
                            let isExit = envelope.topic == "/tasks/exit"
                            // Commands run by exec and probes end with their own id.
                            if isExit, event.processID != event.containerID { continue }
                            guard sink.enter() else {
                                sink.send(RuntimeEvent(podUID: "", containerID: ""))
                                continue
                            }
                            group.addTask {
                                defer { sink.leave() }
                                sink.send(await self.settled(event.containerID, isExit: isExit))
                            }
                        }
                    }
                }
            } catch {
                logger.debug("containerd's events are away", metadata: ["error": "\(error)"])
            }
            sink.setSubscribed(false)
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Waits until the CRI side knows of an exit too (it hears of it at the same moment as we do, but tells it only when
    /// it has cleaned up, which takes a busy machine long), and finds the pod.
    private func settled(_ id: String, isExit: Bool) async -> RuntimeEvent {
        for attempt in 1...60 {
            if let status = try? await containerStatus(id) {
                if !isExit || status.state == .exited {
                    return RuntimeEvent(podUID: status.labels[PodLabel.uid] ?? "", containerID: id)
                }
            } else if let status = try? await sandbox(id, verbose: false).status {
                if !isExit || status.state == .sandboxNotready {
                    return RuntimeEvent(podUID: status.metadata.uid, containerID: id)
                }
            } else {
                break
            }
            try? await Task.sleep(for: .milliseconds(min(5 * attempt, 200)))
            if Task.isCancelled { break }
        }
        return RuntimeEvent(podUID: "", containerID: id)
    }

    private func poll(_ sink: EventSink) async {
        var known: [String: Observation]?
        while !Task.isCancelled {
            if let containers = try? await containers(labels: [:]), let sandboxes = try? await sandboxes(labels: [:]) {
                var seen: [String: Observation] = [:]
                for item in containers {
                    seen[item.id] = Observation(podUID: item.labels[PodLabel.uid] ?? "", state: item.state)
                }
                for item in sandboxes {
                    seen[item.id] = Observation(podUID: item.uid, state: item.isReady ? .running : .exited)
                }
                if let known {
                    for (id, now) in seen where known[id]?.state != now.state {
                        sink.send(RuntimeEvent(podUID: now.podUID, containerID: id))
                    }
                    for (id, before) in known where seen[id] == nil {
                        sink.send(RuntimeEvent(podUID: before.podUID, containerID: id))
                    }
                }
                known = seen
            }
            for _ in 0..<10 {
                try? await Task.sleep(for: .seconds(1))
                if Task.isCancelled || !sink.isSubscribed { break }
            }
        }
    }

    private struct Observation: Hashable {
        var podUID: String
        var state: ContainerState
    }
}

/// Labels that the node agent puts on everything it makes; the names are Kubernetes' own.
enum PodLabel {
    static let uid = "io.kubernetes.pod.uid"
}

/// The bounded way from the watchers to the reader.
private final class EventSink: Sendable {
    private struct State {
        var isSubscribed = false
        /// An event did not fit: the next one that does says "look at everything".
        var hasLost = false
        var lookups = 0
    }
    private let state = Mutex(State())
    private let continuation: AsyncThrowingStream<RuntimeEvent, any Error>.Continuation

    init(_ continuation: AsyncThrowingStream<RuntimeEvent, any Error>.Continuation) {
        self.continuation = continuation
    }

    var isSubscribed: Bool { state.withLock { $0.isSubscribed } }
    func setSubscribed(_ value: Bool) { state.withLock { $0.isSubscribed = value } }

    /// At most 64 look-ups run at once.
    func enter() -> Bool {
        state.withLock {
            guard $0.lookups < 64 else { return false }
            $0.lookups += 1
            return true
        }
    }
    func leave() { state.withLock { $0.lookups -= 1 } }

    func send(_ event: RuntimeEvent) {
        let hasLost = state.withLock { state in
            defer { state.hasLost = false }
            return state.hasLost
        }
        let result = continuation.yield(hasLost ? RuntimeEvent(podUID: "", containerID: "") : event)
        if case .dropped = result { state.withLock { $0.hasLost = true } }
    }
}
