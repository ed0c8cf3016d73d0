import NIOCore

/// A frame of SPDY/3.1, with its header block in the clear.
enum SPDYFrame: Sendable, Hashable {
    case synStream(id: UInt32, headers: SPDYHeaders, isFinal: Bool)
    case synReply(id: UInt32, headers: SPDYHeaders, isFinal: Bool)
    /// On reading, a part of a frame: a large frame comes in pieces, the last of which carries `isFinal`.
    case data(id: UInt32, [UInt8], isFinal: Bool)
    case reset(id: UInt32, status: UInt32)
    case ping(id: UInt32)
    case goAway(lastStream: UInt32, status: UInt32)
    case headers(id: UInt32, headers: SPDYHeaders, isFinal: Bool)
    /// SETTINGS, WINDOW_UPDATE and types that we do not know: they change nothing here.
    case ignored(type: UInt16)

    /// What it takes of a queue's room.
    var cost: Int {
        if case .data(_, let bytes, _) = self { 64 + bytes.count } else { 256 }
    }

    enum ResetStatus {
        static let protocolError: UInt32 = 1
        static let invalidStream: UInt32 = 2
        static let refused: UInt32 = 3
        static let cancel: UInt32 = 5
    }
}

private enum FrameType {
    static let synStream: UInt16 = 1
    static let synReply: UInt16 = 2
    static let reset: UInt16 = 3
    static let ping: UInt16 = 6
    static let goAway: UInt16 = 7
    static let headers: UInt16 = 8
}

private let finalFlag: UInt8 = 1

/// Turns frames into bytes; keeps the compression state, so the order of calls is the order on the wire.
struct SPDYEncoder: ~Copyable {
    private let deflater = SPDYHeaderDeflater()

    func encode(_ frame: SPDYFrame, into out: inout ByteBuffer) {
        switch frame {
        case .synStream(let id, let headers, let isFinal):
            let block = deflater.deflate(headers.encoded)
            header(FrameType.synStream, isFinal, 10 + block.count, &out)
            out.writeInteger(id)
            out.writeInteger(0 as UInt32)
            out.writeInteger(0 as UInt16)
            out.writeBytes(block)
        case .synReply(let id, let headers, let isFinal):
            withBlock(FrameType.synReply, id, headers, isFinal, &out)
        case .headers(let id, let headers, let isFinal):
            withBlock(FrameType.headers, id, headers, isFinal, &out)
        case .data(let id, let bytes, let isFinal):
            out.writeInteger(id & 0x7FFF_FFFF)
            out.writeInteger(UInt32(isFinal ? finalFlag : 0) << 24 | UInt32(bytes.count))
            out.writeBytes(bytes)
        case .reset(let id, let status):
            header(FrameType.reset, false, 8, &out)
            out.writeInteger(id)
            out.writeInteger(status)
        case .ping(let id):
            header(FrameType.ping, false, 4, &out)
            out.writeInteger(id)
        case .goAway(let lastStream, let status):
            header(FrameType.goAway, false, 8, &out)
            out.writeInteger(lastStream)
            out.writeInteger(status)
        case .ignored:
            break
        }
    }

    private func withBlock(
        _ type: UInt16, _ id: UInt32, _ headers: SPDYHeaders, _ isFinal: Bool, _ out: inout ByteBuffer
    ) {
        let block = deflater.deflate(headers.encoded)
        header(type, isFinal, 4 + block.count, &out)
        out.writeInteger(id)
        out.writeBytes(block)
    }

    private func header(_ type: UInt16, _ isFinal: Bool, _ length: Int, _ out: inout ByteBuffer) {
        out.writeInteger(0x8003 as UInt16)
        out.writeInteger(type)
        out.writeInteger(UInt32(isFinal ? finalFlag : 0) << 24 | UInt32(length))
    }
}

/// Turns bytes into frames. Holds at most one control frame, never a whole data frame.
struct SPDYDecoder: ~Copyable {
    /// Largest control frame and largest header block taken.
    static let controlLimit = 64 * 1024

    private let inflater = SPDYHeaderInflater()
    private var pending = ByteBuffer()
    private var openData: (id: UInt32, remaining: Int, isFinal: Bool)?

    /// - Returns: the frames that are complete, and the data pieces that came.
    mutating func decode(_ bytes: ByteBuffer) throws(StreamingError) -> [SPDYFrame] {
        var added = bytes
        pending.writeBuffer(&added)
        var frames: [SPDYFrame] = []
        while let frame = try next() { frames.append(frame) }
        pending.discardReadBytes()
        return frames
    }

    private mutating func next() throws(StreamingError) -> SPDYFrame? {
        if let open = openData {
            let count = min(open.remaining, pending.readableBytes)
            guard count > 0 || open.remaining == 0, let piece = pending.readBytes(length: count) else { return nil }
            let isEnd = count == open.remaining
            openData = isEnd ? nil : (open.id, open.remaining - count, open.isFinal)
            return .data(id: open.id, piece, isFinal: isEnd && open.isFinal)
        }
        let start = pending.readerIndex
        guard let first = pending.getInteger(at: start, as: UInt32.self),
            let second = pending.getInteger(at: start + 4, as: UInt32.self)
        else { return nil }
        let flags = UInt8(second >> 24)
        let length = Int(second & 0xFF_FFFF)
        if first & 0x8000_0000 == 0 {
            pending.moveReaderIndex(forwardBy: 8)
            openData = (first, length, flags & finalFlag != 0)
            return try next()
        }
        guard first >> 16 == 0x8003 else { throw StreamingError("SPDY version \(first >> 16 & 0x7FFF) is not 3") }
        guard length <= Self.controlLimit else { throw StreamingError("SPDY control frame of \(length) bytes") }
        guard pending.readableBytes >= 8 + length else { return nil }
        pending.moveReaderIndex(forwardBy: 8)
        guard var body = pending.readSlice(length: length) else { return nil }
        return try control(UInt16(truncatingIfNeeded: first), isFinal: flags & finalFlag != 0, &body)
    }

    private func control(_ type: UInt16, isFinal: Bool, _ body: inout ByteBuffer) throws(StreamingError) -> SPDYFrame {
        switch type {
        case FrameType.synStream:
            let id = try number(&body)
            _ = try number(&body)
            guard body.readInteger(as: UInt16.self) != nil else { throw StreamingError("SYN_STREAM is cut off") }
            return .synStream(id: id & 0x7FFF_FFFF, headers: try block(&body), isFinal: isFinal)
        case FrameType.synReply:
            return .synReply(id: try number(&body) & 0x7FFF_FFFF, headers: try block(&body), isFinal: isFinal)
        case FrameType.headers:
            return .headers(id: try number(&body) & 0x7FFF_FFFF, headers: try block(&body), isFinal: isFinal)
        case FrameType.reset:
            return .reset(id: try number(&body) & 0x7FFF_FFFF, status: try number(&body))
        case FrameType.ping:
            return .ping(id: try number(&body))
        case FrameType.goAway:
            return .goAway(lastStream: try number(&body), status: try number(&body))
        default:
            return .ignored(type: type)
        }
    }

    private func number(_ body: inout ByteBuffer) throws(StreamingError) -> UInt32 {
        guard let value = body.readInteger(as: UInt32.self) else { throw StreamingError("SPDY frame is cut off") }
        return value
    }

    private func block(_ body: inout ByteBuffer) throws(StreamingError) -> SPDYHeaders {
        let compressed = body.readBytes(length: body.readableBytes) ?? []
        return try SPDYHeaders(decoding: try inflater.inflate(compressed, limit: Self.controlLimit))
    }
}
