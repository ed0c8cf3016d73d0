import JSON
import NIOCore
import NIOWebSocket

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
            buffer.writeBytes(Base64.encode(bytes))
            return WebSocketFrame(fin: true, opcode: .text, data: buffer)
        }
        var buffer = allocator.buffer(capacity: 1 + bytes.count)
        buffer.writeInteger(channel)
        buffer.writeBytes(bytes)
        return WebSocketFrame(fin: true, opcode: .binary, data: buffer)
    }
}

/// Standard base64 (RFC 4648 section 4), with padding.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 255, count: 256)
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        return table
    }()

    static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        var held: UInt32 = 0
        var count = 0
        for byte in bytes {
            held = held << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { out.append(alphabet[Int(held >> shift & 63)]) }
                held = 0
                count = 0
            }
        }
        if count == 1 {
            out += [alphabet[Int(held >> 2 & 63)], alphabet[Int(held << 4 & 63)], 0x3D, 0x3D]
        } else if count == 2 {
            out += [alphabet[Int(held >> 10 & 63)], alphabet[Int(held >> 4 & 63)], alphabet[Int(held << 2 & 63)], 0x3D]
        }
        return out
    }

    /// Nil when it is not base64. Line breaks are skipped, missing padding is an error.
    static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(text.count / 4 * 3)
        var held: UInt32 = 0
        var count = 0
        var padding = 0
        for character in text where character != 0x0A && character != 0x0D {
            if character == 0x3D {
                padding += 1
                held <<= 6
            } else {
                let value = values[Int(character)]
                guard value != 255, padding == 0 else { return nil }
                held = held << 6 | UInt32(value)
            }
            count += 1
            if count == 4 {
                guard padding <= 2 else { return nil }
                let group = [UInt8(held >> 16 & 255), UInt8(held >> 8 & 255), UInt8(held & 255)]
                out += group.prefix(3 - padding)
                held = 0
                count = 0
            } else if padding > 2 {
                return nil
            }
        }
        return count == 0 ? out : nil
    }
}
