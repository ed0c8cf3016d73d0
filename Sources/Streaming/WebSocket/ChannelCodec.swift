import JSON
import NIOCore
import NIOWebSocket
import ObjectModel

/// Messages of the `channel.k8s.io` WebSocket protocols: the first byte (or digit) names the channel.
struct ChannelCodec: Sendable, Hashable {
    static let standardInput: UInt8 = 0
    static let standardOutput: UInt8 = 1
    static let standardError: UInt8 = 2
    static let error: UInt8 = 3
    static let resize: UInt8 = 4
    /// v5: the payload names the channel that its sender closed.
    static let close: UInt8 = 255

    static let remoteCommandSubprotocols = [
        "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io",
        "base64.channel.k8s.io",
    ]

    /// Channel digit and base64 text instead of bytes.
    let isBase64: Bool
    /// The final status is a `Status` object; older versions carry plain text and only for failures.
    let hasStatus: Bool
    /// Half-close messages exist.
    let hasClose: Bool

    init(subprotocol: String) {
        isBase64 = subprotocol.contains("base64.")
        hasClose = subprotocol.hasPrefix("v5.")
        hasStatus = hasClose || subprotocol.hasPrefix("v4.")
    }

    enum Message: Sendable, Hashable {
        case data(channel: UInt8, [UInt8])
        case closed(channel: UInt8)
    }

    /// Nil for an empty message, which means nothing.
    func decode(_ frame: WebSocketFrame) throws(StreamingError) -> Message? {
        let payload = frame.unmaskedData.readableBytesView
        guard let first = payload.first else { return nil }
        let rest = payload.dropFirst()
        guard isBase64 else {
            if hasClose, first == Self.close {
                guard rest.count == 1, let channel = rest.first else {
                    throw StreamingError("close message must name exactly one channel")
                }
                return .closed(channel: channel)
            }
            return .data(channel: first, Array(rest))
        }
        guard first >= 0x30, first <= 0x39 else {
            throw StreamingError("base64 message must start with a channel digit")
        }
        guard let bytes = Base64.decode(rest) else { throw StreamingError("message is not valid base64") }
        return .data(channel: first - 0x30, bytes)
    }

    func encode(channel: UInt8, _ bytes: some Collection<UInt8>, _ allocator: ByteBufferAllocator) -> WebSocketFrame {
        if isBase64 {
            var buffer = allocator.buffer(capacity: 1 + (bytes.count + 2) / 3 * 4)
            buffer.writeInteger(channel &+ 0x30)
            buffer.writeString(Base64.encode(bytes))
            return WebSocketFrame(fin: true, opcode: .text, data: buffer)
        }
        var buffer = allocator.buffer(capacity: 1 + bytes.count)
        buffer.writeInteger(channel)
        buffer.writeBytes(bytes)
        return WebSocketFrame(fin: true, opcode: .binary, data: buffer)
    }
}
