import NIOCore
import NIOEmbedded
import Testing

@testable import ContainerRuntime

@Suite struct HTTP2PingFilterTests {
    private func frame(_ type: UInt8, flags: UInt8 = 0, _ payload: [UInt8]) -> [UInt8] {
        [0, UInt8(payload.count >> 8), UInt8(payload.count & 255), type, flags, 0, 0, 0, 0] + payload
    }

    @Test(arguments: [1, 2, 3, 8, 9, 10, 17, 1000])
    func answersPingsAndPassesTheRest(size: Int) throws {
        let data = frame(0, [UInt8](repeating: 6, count: 300))
        let payload: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
        // A settings frame, a ping, data, the answer to a ping of ours, another ping.
        let input = frame(4, []) + frame(6, payload) + data + frame(6, flags: 1, payload) + frame(6, payload.reversed())
        let channel = EmbeddedChannel(handler: HTTP2PingFilter())
        for start in stride(from: 0, to: input.count, by: size) {
            try channel.writeInbound(ByteBuffer(bytes: input[start..<min(input.count, start + size)]))
        }
        var passed: [UInt8] = []
        while let buffer = try channel.readInbound(as: ByteBuffer.self) { passed += buffer.readableBytesView }
        var answered: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { answered += buffer.readableBytesView }
        #expect(passed == frame(4, []) + data + frame(6, flags: 1, payload))
        #expect(answered == frame(6, flags: 1, payload) + frame(6, flags: 1, payload.reversed()))
    }
}
