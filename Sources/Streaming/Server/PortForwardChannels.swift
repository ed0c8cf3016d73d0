import NIOCore
import NIOWebSocket

/// The older port-forward protocol: two WebSocket channels per port of the query, data and error, one connection each.
struct PortForwardChannels: Sendable {
    private let codec: ChannelCodec
    private let ports: [Int]
    private let allocator: ByteBufferAllocator

    init(_ codec: ChannelCodec, _ ports: [Int], _ allocator: ByteBufferAllocator) {
        self.codec = codec
        self.ports = ports
        self.allocator = allocator
    }

    func serve(
        _ channel: NIOAsyncChannel<WebSocketFrame, WebSocketFrame>,
        _ connect: @escaping @Sendable (Int) async throws -> any ByteConnection
    ) async throws {
        guard !ports.isEmpty, ports.count <= 127, ports.allSatisfy({ (1...65535).contains($0) }) else {
            throw StreamingError("the query must name 1 to 127 ports")
        }
        let queues = ports.map { _ in BoundedQueue<[UInt8]>(limit: StreamLimits.bufferedBytes) }
        try await channel.executeThenClose { inbound, _ in
            let outbound = ChannelWriter<WebSocketFrame>(channel.channel)
            for (index, port) in ports.enumerated() {
                // Both channels start with the port, little endian.
                let greeting = [UInt8(port & 255), UInt8(port >> 8)]
                for side in 0...1 {
                    try await outbound.write(codec.encode(channel: UInt8(2 * index + side), greeting, allocator))
                }
            }
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    defer { for queue in queues { queue.finish() } }
                    for try await frame in inbound {
                        guard case .data(let channel, let bytes) = try codec.decode(frame), channel % 2 == 0,
                            Int(channel) / 2 < queues.count
                        else { continue }
                        await queues[Int(channel) / 2].send(bytes, cost: bytes.count)
                    }
                    return true
                }
                for (index, port) in ports.enumerated() {
                    group.addTask {
                        await forward(index, port, queues[index], outbound, connect)
                        return false
                    }
                }
                defer { group.cancelAll() }
                var open = ports.count
                while open > 0, let isClientGone = try await group.next(), !isClientGone { open -= 1 }
            }
        }
    }

    private func forward(
        _ index: Int, _ port: Int, _ queue: BoundedQueue<[UInt8]>,
        _ outbound: ChannelWriter<WebSocketFrame>,
        _ connect: @Sendable (Int) async throws -> any ByteConnection
    ) async {
        do {
            let remote = try await connect(port)
            do {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        while let bytes = try await queue.next() { try await remote.write(bytes) }
                        try await remote.closeOutput()
                    }
                    group.addTask {
                        for try await bytes in remote.input {
                            try await outbound.write(codec.encode(channel: UInt8(2 * index), bytes, allocator))
                        }
                        queue.abandon()
                    }
                    try await group.waitForAll()
                }
            } catch {
                await remote.close()
                throw error
            }
            await remote.close()
        } catch {
            queue.abandon()
            let text = Array("error forwarding port \(port): \(error)".utf8)
            try? await outbound.write(codec.encode(channel: UInt8(2 * index + 1), text, allocator))
        }
    }
}
