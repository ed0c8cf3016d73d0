import Logging
import NIOCore
import NIOWebSocket
import ObjectModel
import Synchronization
import Testing

@testable import Streaming

private let bothCarriers: [StreamUpgrade] = [
    .webSocket(subprotocol: "v5.channel.k8s.io"), .spdy(subprotocol: "v4.channel.k8s.io"),
]

private let allStreams: ExecOptions = {
    var options = ExecOptions()
    options.stdin = true
    options.stdout = true
    options.stderr = true
    return options
}()

@Suite(.timeLimit(.minutes(1))) struct RemoteCommandTests {
    private func server(
        _ upgrade: StreamUpgrade, options: ExecOptions = allStreams,
        open: @escaping @Sendable () async throws -> any ProcessSession
    ) async throws -> LoopbackServer {
        let bridge = RemoteCommandServer(logger: Logger(label: "test"))
        return try await LoopbackServer.start(upgrade) { await bridge.run($0, options: options, open: open) }
    }

    @Test func spdyCarriesBinaryDataAndTheExitCode() async throws {
        let server = try await server(.spdy(subprotocol: "v4.channel.k8s.io")) { CatSession() }
        let session = try await SPDYProcessSession.start(try await server.connectBytes(), options: allStreams)
        let sent = noise(300_000)
        async let writing: Void = {
            try await session.write(sent)
            try await session.closeInput()
        }()
        var output: [UInt8] = []
        var errors: [UInt8] = []
        for try await piece in session.output {
            switch piece {
            case .standardOutput(let bytes): output += bytes
            case .standardError(let bytes): errors += bytes
            }
        }
        try await writing
        #expect(output == sent)
        #expect(errors == Array("bye".utf8))
        #expect(try await session.exit() == .code(5))
        await session.close()
        await server.stop()
    }

    @Test func spdyTellsWhyNothingWasStarted() async throws {
        let server = try await server(.spdy(subprotocol: "v4.channel.k8s.io")) {
            throw StatusError.badRequest("container not found")
        }
        let session = try await SPDYProcessSession.start(try await server.connectBytes(), options: allStreams)
        #expect(try await session.exit() == .failed("container not found"))
        await server.stop()
    }

    @Test(arguments: ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"])
    func webSocketCarriesBinaryDataAndTheExitCode(subprotocol: String) async throws {
        let session = CatSession()
        let codec = ChannelCodec(subprotocol: subprotocol)
        let server = try await server(.webSocket(subprotocol: subprotocol)) { session }
        let sent = noise(300_000)
        let seen = try await server.connectFrames().executeThenClose { inbound, outbound in
            let allocator = ByteBufferAllocator()
            func frame(_ channel: UInt8, _ bytes: [UInt8]) -> WebSocketFrame {
                var frame = codec.encode(channel: channel, bytes, allocator)
                frame.maskKey = .random()
                return frame
            }
            async let writing: Void = {
                try await outbound.write(frame(ChannelCodec.resize, Array(#"{"Width":80,"Height":24}"#.utf8)))
                for start in stride(from: 0, to: sent.count, by: 32_000) {
                    try await outbound.write(
                        frame(ChannelCodec.standardInput, Array(sent[start..<min(sent.count, start + 32_000)])))
                }
                try await outbound.write(
                    WebSocketFrame(
                        fin: true, opcode: .ping, maskKey: .random(), data: ByteBuffer(string: "are you there")))
                if codec.hasClose { try await outbound.write(frame(ChannelCodec.close, [0])) }
            }()
            let seen = try await conversation(inbound, codec, sent.count) { count in
                // Before v5 nobody can tell the end of the input: let the program end by itself.
                if !codec.hasClose, count == sent.count { try await session.closeInput() }
            }
            try await writing
            return seen
        }
        #expect(seen.first == [1])
        #expect(seen.output == sent)
        #expect(seen.errors == Array("bye".utf8))
        #expect(seen.pongs == ["are you there"])
        #expect(ExitStatus.parse(seen.status) == .code(5))
        #expect(seen.closeCode == 1000)
        #expect(session.sizes.withLock { $0 } == [TerminalSize(width: 80, height: 24)])
        try await session.closed.get()
        await server.stop()
    }

    private struct Conversation {
        var first: [UInt8] = []
        var output: [UInt8] = []
        var errors: [UInt8] = []
        var status: [UInt8] = []
        var pongs: [String] = []
        var closeCode: Int?
    }

    private func conversation(
        _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, _ codec: ChannelCodec, _ expected: Int,
        _ onOutput: (Int) async throws -> Void
    ) async throws -> Conversation {
        var seen = Conversation()
        for try await frame in inbound {
            switch frame.opcode {
            case .pong: seen.pongs.append(String(buffer: frame.data))
            case .connectionClose:
                seen.closeCode = frame.data.getInteger(at: frame.data.readerIndex, as: UInt16.self).map(Int.init)
                return seen
            default:
                guard case .data(let channel, let bytes) = try codec.decode(frame) else { continue }
                if seen.first.isEmpty { seen.first = [channel] + bytes }
                switch channel {
                case ChannelCodec.standardOutput: seen.output += bytes
                case ChannelCodec.standardError: seen.errors += bytes
                default: seen.status += bytes
                }
                if channel == ChannelCodec.standardOutput { try await onOutput(seen.output.count) }
            }
        }
        return seen
    }

    @Test func clientThatLeavesEndsTheSession() async throws {
        for upgrade in bothCarriers {
            let session = CatSession()
            let server = try await server(upgrade) { session }
            if case .spdy = upgrade {
                let client = try await SPDYProcessSession.start(try await server.connectBytes(), options: allStreams)
                try await client.write([1])
                // Its echo says that the program runs.
                for try await _ in client.output { break }
                await client.close()
            } else {
                try await server.connectFrames().executeThenClose { inbound, _ in
                    for try await _ in inbound { break }
                }
            }
            try await session.closed.get()
            await server.stop()
        }
    }

    @Test func slowReaderHoldsTheProgramBack() async throws {
        // A program that never stops talking.
        final class Talker: ProcessSession {
            let produced = Mutex(0)
            var output: AsyncThrowingStream<ProcessOutput, any Error> {
                AsyncThrowingStream {
                    if Task.isCancelled { return nil }
                    self.produced.withLock { $0 += 32_000 }
                    return .standardOutput([UInt8](repeating: 7, count: 32_000))
                }
            }
            func write(_ bytes: [UInt8]) async throws {}
            func closeInput() async throws {}
            func resize(width: UInt16, height: UInt16) async throws {}
            func exit() async throws -> ProcessExit { .code(0) }
            func close() async {}
        }
        for upgrade in bothCarriers {
            let talker = Talker()
            let server = try await server(upgrade) { talker }
            var before = -1
            let check = {
                // Wait until it stands still: everything between the two ends is full.
                while true {
                    let now = talker.produced.withLock { $0 }
                    if now == before, now > 0 { return }
                    before = now
                    try await Task.sleep(for: .milliseconds(200))
                }
            }
            if case .spdy = upgrade {
                let client = try await SPDYProcessSession.start(try await server.connectBytes(), options: allStreams)
                try await check()
                await client.close()
            } else {
                try await server.connectFrames().executeThenClose { _, _ in try await check() }
            }
            // Kernel buffers of both ends and ours.
            #expect(before < 32 << 20)
            await server.stop()
        }
    }

    @Test func garbageEndsTheConnectionOnly() async throws {
        for upgrade in bothCarriers {
            let server = try await server(upgrade) { CatSession() }
            let client = try await server.connectBytes()
            try await client.executeThenClose { inbound, outbound in
                try await outbound.write(ByteBuffer(bytes: [UInt8](repeating: 0xFF, count: 5000)))
                for try await _ in inbound {}
            }
            await server.stop()
        }
    }
}
