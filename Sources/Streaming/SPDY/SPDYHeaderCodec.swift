import CZlib

/// Header names and values of a SPDY stream. Names are compared without case; they are sent in lower case.
struct SPDYHeaders: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    var pairs: [Pair] = []
    struct Pair: Sendable, Hashable {
        var name: String
        var value: String
    }

    init() {}

    init(dictionaryLiteral elements: (String, String)...) {
        pairs = elements.map { Pair(name: $0.0.lowercased(), value: $0.1) }
    }

    /// The first value of that name.
    subscript(name: String) -> String? {
        let wanted = name.lowercased()
        return pairs.first { $0.name == wanted }?.value
    }

    /// SPDY/3 section 2.6.10: counts and lengths of four bytes; several values of a name are joined by NUL.
    var encoded: [UInt8] {
        var out: [UInt8] = []
        func put(_ value: Int) {
            for shift in [24, 16, 8, 0] { out.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        put(pairs.count)
        for pair in pairs {
            for text in [pair.name, pair.value] {
                put(text.utf8.count)
                out += text.utf8
            }
        }
        return out
    }

    init(decoding bytes: [UInt8]) throws(StreamingError) {
        var rest = bytes[...]
        func number() throws(StreamingError) -> Int {
            guard rest.count >= 4 else { throw StreamingError("SPDY header block is cut off") }
            let value = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            return value
        }
        func text() throws(StreamingError) -> String {
            let length = try number()
            guard rest.count >= length else { throw StreamingError("SPDY header block is cut off") }
            defer { rest = rest.dropFirst(length) }
            return String(decoding: rest.prefix(length), as: UTF8.self)
        }
        let count = try number()
        // Every pair takes eight bytes at least, so a huge count fails here and not in memory.
        guard count <= rest.count / 8 else { throw StreamingError("SPDY header block is cut off") }
        for _ in 0..<count {
            let name = try text().lowercased()
            for value in try text().split(separator: "\0", omittingEmptySubsequences: false) {
                pairs.append(Pair(name: name, value: String(value)))
            }
        }
    }
}

/// Compresses the header blocks of one direction of a connection: one zlib stream with the SPDY/3 dictionary.
final class SPDYHeaderDeflater {
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    init() {
        stream.initialize(to: z_stream())
        let result = deflateInit_(
            stream, Z_DEFAULT_COMPRESSION, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "zlib does not start: \(result)")
        deflateSetDictionary(stream, SPDYDictionary.bytes, UInt32(SPDYDictionary.bytes.count))
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    func deflate(_ bytes: [UInt8]) -> [UInt8] {
        var input = bytes
        var out: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        input.withUnsafeMutableBufferPointer { source in
            stream.pointee.next_in = source.baseAddress
            stream.pointee.avail_in = UInt32(source.count)
            repeat {
                let produced = chunk.withUnsafeMutableBufferPointer { target in
                    stream.pointee.next_out = target.baseAddress
                    stream.pointee.avail_out = UInt32(target.count)
                    _ = CZlib.deflate(stream, Z_SYNC_FLUSH)
                    return target.count - Int(stream.pointee.avail_out)
                }
                out += chunk[..<produced]
            } while stream.pointee.avail_out == 0
        }
        return out
    }
}

/// The other end of `SPDYHeaderDeflater`.
final class SPDYHeaderInflater {
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    init() {
        stream.initialize(to: z_stream())
        let result = inflateInit_(stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "zlib does not start: \(result)")
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// - Parameter limit: most bytes that come out; more is an error.
    func inflate(_ bytes: [UInt8], limit: Int) throws(StreamingError) -> [UInt8] {
        var input = bytes
        var out: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        var problem: String?
        input.withUnsafeMutableBufferPointer { source in
            stream.pointee.next_in = source.baseAddress
            stream.pointee.avail_in = UInt32(source.count)
            while problem == nil {
                var result = Z_OK
                let produced = chunk.withUnsafeMutableBufferPointer { target in
                    stream.pointee.next_out = target.baseAddress
                    stream.pointee.avail_out = UInt32(target.count)
                    result = CZlib.inflate(stream, Z_SYNC_FLUSH)
                    if result == Z_NEED_DICT {
                        result = inflateSetDictionary(
                            stream, SPDYDictionary.bytes, UInt32(SPDYDictionary.bytes.count))
                        if result == Z_OK { result = CZlib.inflate(stream, Z_SYNC_FLUSH) }
                    }
                    return target.count - Int(stream.pointee.avail_out)
                }
                out += chunk[..<produced]
                if out.count > limit {
                    problem = "SPDY header block is larger than \(limit) bytes"
                } else if result != Z_OK, result != Z_BUF_ERROR {
                    problem = "SPDY header block is not valid zlib data"
                } else if stream.pointee.avail_out > 0 {
                    break
                }
            }
        }
        if let problem { throw StreamingError(problem) }
        return out
    }
}
