import CZlib
public import NIOCore

/// Gzip (RFC 1952) in pieces, at the fastest level, as API servers do.
public final class Gzip {
    private let stream: UnsafeMutablePointer<z_stream>

    /// Nil when zlib has no memory.
    public init?(level: Int32 = 1) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = deflateInit2_(
            stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Compresses a piece; what comes out may lag behind until the last piece.
    public func compress(_ input: [UInt8], isLast: Bool) -> ByteBuffer {
        var out = ByteBuffer()
        out.reserveCapacity(isLast ? input.count / 4 + 1024 : input.count / 4 + 256)
        var input = input
        let stream = self.stream
        input.withUnsafeMutableBufferPointer { bytes in
            stream.pointee.next_in = bytes.baseAddress
            stream.pointee.avail_in = UInt32(bytes.count)
            var isDone = false
            while !isDone {
                out.writeWithUnsafeMutableBytes(minimumWritableBytes: 16 * 1024) { room in
                    let room = UnsafeMutableRawBufferPointer(rebasing: room.prefix(1 << 30))
                    stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
                    stream.pointee.avail_out = UInt32(room.count)
                    let result = deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
                    let isFull = stream.pointee.avail_out == 0
                    isDone = isLast ? result != Z_OK : !isFull
                    return room.count - Int(stream.pointee.avail_out)
                }
            }
        }
        return out
    }

    /// The whole of some bytes.
    public static func compress(_ bytes: [UInt8], level: Int32 = 1) -> ByteBuffer? {
        guard let gzip = Gzip(level: level) else { return nil }
        return gzip.compress(bytes, isLast: true)
    }

    /// Whether the values of a request's `Accept-Encoding` headers (a value each, commas split) take gzip.
    public static func isAccepted(_ values: some Sequence<some StringProtocol>) -> Bool {
        values.contains { value in
            let parts = value.split(separator: ";")
            guard let name = parts.first, name.split(separator: " ").first?.lowercased() == "gzip" else { return false }
            return !parts.dropFirst().contains { String($0.filter { $0 != " " }) == "q=0" }
        }
    }
}
