import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Streaming

extension Dispatcher {
    /// `pods/log`: the container's output as plain text, or as messages of a WebSocket.
    func podLog(_ call: Call) async throws -> Answer {
        guard call.info.verb == "get" else { throw StatusError.methodNotSupported() }
        let options = try logOptions(call)
        let pod = try await pod(call)
        let container = try PodTarget.container(named: call.request.query["container"] ?? "", of: pod)
        let target = try await target(of: pod)
        let chunks: AsyncThrowingStream<[UInt8], any Error>
        do {
            chunks = try await target.gateway.logs(
                ContainerReference(pod: target.reference, container: container), options: options)
        } catch {
            // The API object tells best why there is nothing yet; the node tells the rest.
            throw logProblem(container, pod, isPrevious: options.previous) ?? error
        }
        if wantsWebSocket(call) {
            let (protocolName, headers) = try negotiated(
                try upgradeRequest(call), webSocket: StreamNegotiation.byteStreamWebSocket, spdy: { _ in nil },
                spdyVersions: [])
            let channel = try await call.exchange.upgrade(headers) { channel in
                try UpgradedChannel(synchronously: channel, protocolName)
            }
            await ByteStreamServer(logger: logger).run(channel, chunks)
            return .upgraded
        }
        let response = Response(
            status: .ok, headers: ["Content-Type": "text/plain"])
        return .streamed(response) { exchange in
            // Readers of a followed log may pause as long as they like (`| less`).
            for try await chunk in chunks where !chunk.isEmpty {
                try await exchange.write(ByteBuffer(bytes: chunk), isImpatient: false)
            }
        }
    }

    func logOptions(_ call: Call) throws -> LogOptions {
        let query = call.request.query
        var options = LogOptions()
        var problems: [FieldError] = []
        options.follow = query.flag("follow")
        options.previous = query.flag("previous")
        options.timestamps = query.flag("timestamps")
        func number(_ name: String, atLeast minimum: Int) throws -> Int? {
            guard let text = query[name], !text.isEmpty else { return nil }
            guard let value = Int(text) else {
                throw StatusError.badRequest("invalid \(name) \"\(text)\": must be a whole number")
            }
            if value < minimum {
                problems.append(.invalid(name, JSON(value), "must be greater than or equal to \(minimum)"))
            }
            return value
        }
        options.sinceSeconds = try number("sinceSeconds", atLeast: 1)
        options.tailLines = try number("tailLines", atLeast: 0)
        options.limitBytes = try number("limitBytes", atLeast: 1)
        if let time = query["sinceTime"], !time.isEmpty {
            if Timestamp(time) == nil {
                problems.append(.invalid("sinceTime", .string(time), "must be an RFC 3339 time"))
            }
            if options.sinceSeconds != nil {
                problems.append(
                    .forbidden("sinceSeconds", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
            }
            options.sinceTime = time
        }
        if let stream = query["stream"], !stream.isEmpty {
            if !["All", "Stdout", "Stderr"].contains(stream) {
                problems.append(.notSupported("stream", .string(stream), ["All", "Stdout", "Stderr"]))
            }
            options.stream = stream
        }
        guard problems.isEmpty else {
            throw StatusError.invalid(
                GroupVersionKind(group: "", version: "v1", kind: "PodLogOptions"), name: call.info.name, problems)
        }
        return options
    }

    /// Why a container has no log, in the words clients know; nil when its status gives no reason.
    private func logProblem(_ container: String, _ pod: Object, isPrevious: Bool) -> StatusError? {
        let status = PodTarget.status(of: container, in: pod)
        if isPrevious {
            guard status["lastState"]["terminated"].isNull else { return nil }
            return .badRequest("previous terminated container \"\(container)\" in pod \"\(pod.name)\" not found")
        }
        if status.isNull {
            return .badRequest(
                "container \"\(container)\" in pod \"\(pod.name)\" is waiting to start: ContainerCreating")
        }
        guard status["lastState"]["terminated"].isNull, !status["state"]["waiting"].isNull else { return nil }
        let prefix = "container \"\(container)\" in pod \"\(pod.name)\" is waiting to start"
        switch status["state"]["waiting"]["reason"].string ?? "" {
        case "ErrImagePull": return .badRequest("\(prefix): image can't be pulled")
        case "ImagePullBackOff": return .badRequest("\(prefix): trying and failing to pull image")
        case let reason: return .badRequest("\(prefix): \(reason)")
        }
    }
}
