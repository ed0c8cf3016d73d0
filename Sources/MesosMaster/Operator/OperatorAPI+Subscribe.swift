import HTTPWindow
import JSON
import MesosModel
import Synchronization

/// SUBSCRIBE of the operator API: a picture of everything, then every change.
extension OperatorAPI {
    func subscribe(_ format: MesosFormat) async -> WindowResponse {
        let stream = FrameworkStream(
            id: FrameworkIDs.uuid().text, format: format, message: "mesos.v1.master.Event")
        let backend = backend
        return WindowResponse(
            headers: [("Content-Type", format.contentType)],
            stream: { writer in
                let id = backend.events.add(stream)
                defer { backend.events.remove(id) }
                try await writeFirst(OperatorReads(await backend.snapshot()), format, writer)
                guard backend.events.start(id) else { return }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await stream.serve(writer) }
                    group.addTask {
                        while stream.push(Message.event("HEARTBEAT")), !stream.cutIfStalled(.now) {
                            try await Task.sleep(for: OperatorEvents.interval)
                        }
                    }
                    defer { group.cancelAll() }
                    try await group.next()
                }
            })
    }

    /// Writes the first event without ever holding it: a record begins with its length, so the pieces are made twice, and
    /// counted the first time.
    private func writeFirst(_ reads: OperatorReads, _ format: MesosFormat, _ writer: WindowWriter) async throws {
        func first(_ send: @escaping JSONOutput.Sink) async throws {
            try await format == .json ? writeJSON(reads, send) : Self.writeProtobuf(reads, send)
        }
        let (counted, written) = (Tally(), Tally())
        try await first { counted.add($0.count) }
        try await writer.write("\(counted.sum)\n")
        try await first { piece in
            written.add(piece.count)
            try await writer.write(piece)
        }
        // Nothing that follows could be read: the connection ends here.
        guard counted.sum == written.sum else { throw WindowError(500, "the state changed while it was written") }
    }

    private final class Tally: Sendable {
        private let count = Atomic<Int>(0)
        var sum: Int { count.load(ordering: .relaxed) }
        func add(_ number: Int) { count.add(number, ordering: .relaxed) }
    }

    private func writeJSON(_ reads: OperatorReads, _ send: @escaping JSONOutput.Sink) async throws {
        var out = JSONOutput(send)
        out.open("{")
        out.key("type")
        try await out.value("SUBSCRIBED")
        out.key("subscribed")
        out.open("{")
        out.key("get_state")
        try await write(stateOf: reads, &out)
        out.key("heartbeat_interval_seconds")
        try await out.value(Message.double(15))
        out.close("}")
        out.close("}")
        try await out.finish()
    }

    /// Parts of one event, one behind the other: whoever reads them merges them, as the format has it.
    private static func writeProtobuf(_ reads: OperatorReads, _ send: JSONOutput.Sink) async throws {
        let rest: JSON = [
            "get_executors": reads.executors, "get_frameworks": reads.frameworks, "get_agents": reads.agents,
        ]
        let first: JSON = ["get_state": rest, "heartbeat_interval_seconds": Message.double(15)]
        try await pieces(of: reads, first, { ["get_state": ["get_tasks": $0]] }) { part in
            try await send(
                MesosCodec.encode(
                    Message.event("SUBSCRIBED", "subscribed", part), as: "mesos.v1.master.Event", format: .protobuf))
        }
    }
}
