import AsyncHTTPClient
import JSON
import MesosModel
import NIOCore
import ObjectModel
import Testing

/// An executor's side of the executor API, in either format.
final class TestExecutor: @unchecked Sendable {
    // Safe: a test reads events from one task at a time.
    private let test: TestAgent
    private let format: MesosFormat
    private var iterator: HTTPClientResponse.Body.AsyncIterator
    private var reader = RecordReader()
    private var waiting: [JSON] = []

    static func subscribe(
        _ test: TestAgent, _ format: MesosFormat = .json, tasks: [JSON] = [], updates: [JSON] = []
    ) async throws -> TestExecutor {
        let subscribe: JSON = [
            "unacknowledged_tasks": .array(tasks),
            "unacknowledged_updates": .array(updates.map { ["status": $0] }),
        ]
        var request = HTTPClientRequest(url: test.url + "/slave(1)/api/v1/executor")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: format.contentType)
        request.headers.add(name: "Accept", value: format.contentType)
        request.body = .bytes(try call("SUBSCRIBE", ["subscribe": subscribe], format))
        let response = try await HTTPClient.shared.execute(request, timeout: .hours(1))
        try #require(response.status.code == 200)
        #expect(response.headers.first(name: "Content-Type") == format.contentType)
        return TestExecutor(test, format, response.body.makeAsyncIterator())
    }
    private init(_ test: TestAgent, _ format: MesosFormat, _ iterator: HTTPClientResponse.Body.AsyncIterator) {
        self.test = test
        self.format = format
        self.iterator = iterator
    }

    static func call(_ type: String, _ more: JSON, _ format: MesosFormat = .json) throws -> [UInt8] {
        var call: JSON = [
            "type": .string(type), "framework_id": ["value": "m-0000"], "executor_id": ["value": "e1"],
        ]
        for (name, value) in more.members { call[name] = value }
        return try MesosCodec.encode(call, as: "mesos.v1.executor.Call", format: format)
    }

    /// The next event that is no sign of life; nil at the end.
    func next() async throws -> JSON? {
        while true {
            if !waiting.isEmpty {
                let event = waiting.removeFirst()
                if event["type"].string != "HEARTBEAT" { return event }
                continue
            }
            guard let piece = try await iterator.next() else { return nil }
            for record in try reader.read(piece.readableBytesView) {
                waiting.append(try MesosCodec.decode(record, as: "mesos.v1.executor.Event", format: format))
            }
        }
    }
    /// The next event, which must be of a type; its payload.
    func expect(_ type: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> JSON {
        let event = try await next()
        try #require(event?["type"].string == type, "\(event ?? .null)", sourceLocation: sourceLocation)
        return event?[type.lowercased()] ?? .null
    }

    func post(_ type: String, _ more: JSON = [:]) async throws {
        let (code, text) = try await test.post(
            "/api/v1/executor", try Self.call(type, more, format), type: format.contentType)
        try #require(code == 202, "\(text)")
    }
    /// Sends an update and returns its status.
    @discardableResult
    func update(_ task: String, _ state: String, number: UInt8) async throws -> JSON {
        let status = Self.status(task, state, number: number)
        try await post("UPDATE", ["update": ["status": status]])
        return status
    }
    static func status(_ task: String, _ state: String, number: UInt8) -> JSON {
        [
            "task_id": ["value": .string(task)], "state": .string(state), "source": "SOURCE_EXECUTOR",
            "uuid": .string(uuid(number)), "timestamp": 1,
        ]
    }
    static func uuid(_ number: UInt8) -> String { Base64.encode([UInt8](repeating: number, count: 16)) }
}
