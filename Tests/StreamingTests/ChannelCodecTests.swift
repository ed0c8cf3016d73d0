import NIOCore
import NIOWebSocket
import Testing

@testable import Streaming

@Suite struct ChannelCodecTests {
    private func binary(_ bytes: [UInt8]) -> WebSocketFrame {
        WebSocketFrame(fin: true, opcode: .binary, data: ByteBuffer(bytes: bytes))
    }

    @Test func messages() throws {
        let five = ChannelCodec(subprotocol: "v5.channel.k8s.io")
        #expect(try five.decode(binary([0, 104, 105])) == .data(channel: 0, [104, 105]))
        #expect(try five.decode(binary([255, 0])) == .closed(channel: 0))
        #expect(try five.decode(binary([])) == nil)
        #expect(throws: StreamingError.self) { try five.decode(binary([255])) }
        let four = ChannelCodec(subprotocol: "v4.channel.k8s.io")
        #expect(try four.decode(binary([255, 0])) == .data(channel: 255, [0]))
        let base64 = ChannelCodec(subprotocol: "v4.base64.channel.k8s.io")
        #expect(try base64.decode(binary(Array("0aGk=".utf8))) == .data(channel: 0, [104, 105]))
        #expect(throws: StreamingError.self) { try base64.decode(binary(Array("xaGk=".utf8))) }
        #expect(throws: StreamingError.self) { try base64.decode(binary(Array("0aGk".utf8 + [61, 61]))) }
        let frame = base64.encode(channel: 1, [104, 105], ByteBufferAllocator())
        #expect(frame.opcode == .text)
        #expect(Array(frame.data.readableBytesView) == Array("1aGk=".utf8))
    }

    @Test func negotiation() {
        #expect(StreamNegotiation.remoteCommandWebSocket(offered: ["x", "v5.channel.k8s.io"]) == "v5.channel.k8s.io")
        #expect(StreamNegotiation.remoteCommandWebSocket(offered: ["x"]) == nil)
        #expect(StreamNegotiation.remoteCommandWebSocket(offered: []) == "")
        #expect(
            StreamNegotiation.remoteCommandSPDY(offered: ["v5.channel.k8s.io", "v4.channel.k8s.io"])
                == "v4.channel.k8s.io")
        #expect(StreamNegotiation.portForwardSPDY(offered: ["portforward.k8s.io"]) == "portforward.k8s.io")
    }

    @Test func statusAndSize() {
        func text(_ exit: ProcessExit) -> String {
            String(decoding: ExitStatus.message(exit, isStructured: true) ?? [], as: UTF8.self)
        }
        #expect(text(.code(0)) == #"{"metadata":{},"status":"Success"}"#)
        #expect(text(.code(3)).contains(#""reason":"NonZeroExitCode""#))
        for exit in [ProcessExit.code(0), .code(137), .failed("no such program")] {
            #expect(ExitStatus.parse(ExitStatus.message(exit, isStructured: true) ?? []) == exit)
        }
        #expect(ExitStatus.message(.code(0), isStructured: false) == nil)
        #expect(TerminalSize(Array(#"{"Width":80,"Height":24}"#.utf8)) == TerminalSize(width: 80, height: 24))
        #expect(TerminalSize(Array(#"{"Width":70000,"Height":24}"#.utf8)) == nil)
        #expect(TerminalSize(TerminalSize(width: 1, height: 2).encoded) == TerminalSize(width: 1, height: 2))
    }
}
