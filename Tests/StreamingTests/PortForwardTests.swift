import Glibc
import Logging
import NIOCore
import NIOPosix
import NIOWebSocket
import Testing

@testable import Streaming

@Suite(.timeLimit(.minutes(1))) struct PortForwardTests {
    private let bridge = PortForwardServer(logger: Logger(label: "test"))

    /// A connected socket to a loopback port.
    @Sendable private static func dial(_ port: Int) async throws -> any ByteConnection {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            throw StreamingError("connection refused")
        }
        return try await SocketConnection.adopting(descriptor: descriptor)
    }

    @Test(arguments: [false, true])
    func spdyForwardsSeveralConnections(isTunnelled: Bool) async throws {
        let echo = try await LoopbackServer.echo()
        let upgrade: StreamUpgrade =
            isTunnelled
            ? .webSocket(subprotocol: "SPDY/3.1+portforward.k8s.io") : .spdy(subprotocol: "portforward.k8s.io")
        let bridge = bridge
        let server = try await LoopbackServer.start(upgrade) { await bridge.run($0, ports: [], connect: Self.dial) }
        let channel = try await isTunnelled ? server.connectTunnel() : server.connectBytes()
        let client = SPDYConnection(role: .client)
        try await client.run(channel) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for request in 0..<3 {
                    group.addTask {
                        let headers: SPDYHeaders = [
                            "streamType": "error", "port": "\(echo.port)", "requestID": "\(request)",
                        ]
                        let error = try await client.open(headers)
                        var dataHeaders = headers
                        dataHeaders.pairs[0].value = "data"
                        let data = try await client.open(dataHeaders)
                        try await error.finish()
                        let sent = noise(300_000 + request)
                        async let writing: Void = {
                            try await data.write(sent)
                            try await data.finish()
                        }()
                        #expect(try await data.readAll(limit: .max) == sent)
                        try await writing
                        #expect(try await error.readAll(limit: 1000).isEmpty)
                    }
                }
                try await group.waitForAll()
            }
            // A port where nobody listens.
            let error = try await client.open(["streamType": "error", "port": "1", "requestID": "9"])
            let data = try await client.open(["streamType": "data", "port": "1", "requestID": "9"])
            let text = String(decoding: try await error.readAll(limit: 1000), as: UTF8.self)
            #expect(text.contains("port 1") && text.contains("refused"))
            #expect(try await data.readAll(limit: 1000).isEmpty)
        }
        await server.stop()
        await echo.stop()
    }

    /// kubectl hangs up a connection by resetting its data stream, and takes text on the error stream as a reason to
    /// close everything.
    @Test func hangingUpIsNoFailure() async throws {
        let echo = try await LoopbackServer.echo()
        let bridge = bridge
        let server = try await LoopbackServer.start(.spdy(subprotocol: "portforward.k8s.io")) {
            await bridge.run($0, ports: [], connect: Self.dial)
        }
        let channel = try await server.connectBytes()
        let client = SPDYConnection(role: .client)
        try await client.run(channel) {
            for request in 0..<20 {
                let port = "\(echo.port)"
                let error = try await client.open(["streamType": "error", "port": port, "requestID": "\(request)"])
                let data = try await client.open(["streamType": "data", "port": port, "requestID": "\(request)"])
                try await error.finish()
                try await data.write([1, 2, 3])
                #expect(try await data.incoming.next() == [1, 2, 3])
                data.abort()
                #expect(try await error.readAll(limit: 1000).isEmpty)
            }
        }
        await server.stop()
        await echo.stop()
    }

    @Test func oldWebSocketForm() async throws {
        let echo = try await LoopbackServer.echo()
        let bridge = bridge
        let port = echo.port
        let server = try await LoopbackServer.start(.webSocket(subprotocol: "v4.channel.k8s.io")) {
            await bridge.run($0, ports: [port, 1], connect: Self.dial)
        }
        var received: [UInt8: [UInt8]] = [:]
        let sent = noise(100_000)
        try await server.connectFrames().executeThenClose { inbound, outbound in
            for start in stride(from: 0, to: sent.count, by: 20_000) {
                let piece = [0] + sent[start..<start + 20_000]
                try await outbound.write(
                    WebSocketFrame(fin: true, opcode: .binary, maskKey: .random(), data: ByteBuffer(bytes: piece)))
            }
            for try await frame in inbound {
                guard let channel = frame.data.readableBytesView.first else { continue }
                received[channel, default: []] += frame.data.readableBytesView.dropFirst()
                if received[0]?.count == sent.count + 2, (received[3]?.count ?? 0) > 2 { break }
            }
        }
        let greeting = [UInt8(port & 255), UInt8(port >> 8)]
        #expect(received[0] == greeting + sent)
        #expect(received[1] == greeting)
        let problem = String(decoding: (received[3] ?? []).dropFirst(2), as: UTF8.self)
        #expect(problem.contains("refused"))
        await server.stop()
        await echo.stop()
    }
}
