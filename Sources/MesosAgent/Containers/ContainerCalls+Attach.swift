import HTTPWindow
import JSON
import MesosModel
import ObjectModel
import Streaming

extension ContainerCalls {
    /// The longest record of input.
    private static let maximumRecord = 1 << 20

    // MARK: Output

    func attachOutput(_ path: ContainerPath, _ request: WindowRequest) async throws -> WindowResponse {
        let answer = try StreamAnswer(request)
        if let nested = await table.container(path) {
            return answer.response { writer in try await answer.write(nested.output, isPacing: false, to: writer) }
        }
        let session = try await attach(path, input: false)
        return answer.response { writer in
            do {
                for try await piece in session.output { try await writer.write(try answer.record(piece)) }
            } catch {
                await session.close()
                throw error
            }
            await session.close()
        }
    }

    /// Joins the program of a pod's container.
    private func attach(_ path: ContainerPath, input: Bool) async throws -> any ProcessSession {
        guard let (pod, container) = main(path) else {
            throw WindowError(404, "Container '\(path)' cannot be found")
        }
        let spec = pod.object.tree["spec"]["containers"].elements.first { $0["name"].string == container.name } ?? .null
        if input, spec["stdin"].bool != true {
            throw WindowError(400, "The container '\(path)' was not launched with an input that can be attached to")
        }
        var options = ExecOptions()
        options.tty = spec["tty"].bool ?? false
        options.stdin = input
        options.stdout = true
        options.stderr = !options.tty
        do {
            return try await node.attach(reference(pod, container), options)
        } catch {
            throw WindowError(400, "The container '\(path)' cannot be attached to: \(error)")
        }
    }

    // MARK: Input

    /// A request whose body is a stream: first the container, then what goes to its input.
    func attachInput(_ request: WindowRequest) async throws -> WindowResponse {
        guard let type = request.header("message-content-type"), let format = MesosFormat(contentType: type) else {
            throw WindowError(415, "Expecting 'Message-Content-Type' of application/json or application/x-protobuf")
        }
        let input = ContainerInput()
        return try await withThrowingTaskGroup(of: WindowResponse.self) { group in
            group.addTask {
                var reader = RecordReader(maximumSize: Self.maximumRecord)
                for try await piece in request.pieces() {
                    for record in try records(&reader, piece) {
                        let call = try Messages.decode(record, as: "mesos.v1.agent.Call", format: format)
                        try await take(call["attach_container_input"], input)
                    }
                }
                guard await input.session != nil else {
                    throw WindowError(400, "Expecting a record with the container's id")
                }
                return WindowResponse(200)
            }
            group.addTask {
                // Who waits for the next key must hear that the program ended.
                await input.untilProgramEnds()
                return WindowResponse(200)
            }
            defer { group.cancelAll() }
            do {
                let answer = try await group.next()
                await input.leave()
                return answer ?? WindowResponse(200)
            } catch {
                await input.leave()
                throw error
            }
        }
    }

    private func records(_ reader: inout RecordReader, _ piece: [UInt8]) throws -> [[UInt8]] {
        do {
            return try reader.read(piece)
        } catch {
            throw WindowError(400, "Failed to read the stream: \(error)")
        }
    }

    private func take(_ record: JSON, _ input: ContainerInput) async throws {
        switch record["type"].string {
        case "CONTAINER_ID":
            guard let path = ContainerPath(record["container_id"]), await input.session == nil else {
                throw WindowError(400, "Expecting 'container_id' once, and to be a container's id")
            }
            if let nested = await table.container(path) {
                await input.begin(nested.session, isOwn: false)
            } else {
                await input.begin(try await attach(path, input: true), isOwn: true)
            }
        case "PROCESS_IO":
            guard let session = await input.session else {
                throw WindowError(400, "Expecting a record with the container's id first")
            }
            try await take(io: record["process_io"], session)
        default: throw WindowError(400, "Expecting 'attach_container_input' to have a type")
        }
    }

    private func take(io: JSON, _ session: any ProcessSession) async throws {
        switch io["type"].string {
        case "DATA":
            guard io["data"]["type"].string == "STDIN" else { throw WindowError(400, "Expecting data for STDIN") }
            let bytes = Base64.decode((io["data"]["data"].string ?? "").utf8) ?? []
            if bytes.isEmpty { try await session.closeInput() } else { try await session.write(bytes) }
        case "CONTROL":
            if let (width, height) = Self.size(io["control"]["tty_info"]) {
                try await session.resize(width: width, height: height)
            }
        default: throw WindowError(400, "Expecting 'process_io' to have a type")
        }
    }
}

/// The program that a stream of input goes to.
private actor ContainerInput {
    private(set) var session: (any ProcessSession)?
    private var isOwn = false
    private var waiter: CheckedContinuation<Void, Never>?
    private var isOver = false

    func begin(_ session: any ProcessSession, isOwn: Bool) {
        self.session = session
        self.isOwn = isOwn
        // Beside the request, which may end long before the program does.
        Task {
            _ = try? await session.exit()
            self.end()
        }
    }

    /// Returns when the program has ended, or nobody gives input any more.
    func untilProgramEnds() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                if isOver || Task.isCancelled { return continuation.resume() }
                waiter = continuation
            }
        } onCancel: {
            Task { await self.end() }
        }
    }
    private func end() {
        isOver = true
        waiter?.resume()
        waiter = nil
    }

    /// The stream ended: a session that was opened for it is not needed any more.
    func leave() async {
        end()
        if isOwn, let session { await session.close() }
    }
}
