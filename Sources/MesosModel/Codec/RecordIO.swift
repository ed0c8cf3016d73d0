/// Reads RecordIO: `<length in decimal>\n<that many bytes>`, repeated, from bytes that come in any pieces.
///
/// What is buffered is at most one record and its length; an error is final, because nobody knows where the next record
/// would begin.
public struct RecordReader: Sendable {
    private enum State {
        case length(value: Int, digits: Int)
        case body(Int)
    }
    private let maximumSize: Int
    private var state = State.length(value: 0, digits: 0)
    private var body: [UInt8] = []
    private var failure: MesosError?

    /// - Parameter maximumSize: the longest record in bytes.
    public init(maximumSize: Int = MesosCodec.maximumBytes) {
        self.maximumSize = maximumSize
    }

    /// Takes the next bytes of the stream.
    /// - Returns: the records that they complete, in order.
    /// - Throws: `MesosError` for a length that is none, that is zero or above the limit; again at every later call.
    public mutating func read(_ bytes: some Sequence<UInt8>) throws(MesosError) -> [[UInt8]] {
        if let failure { throw failure }
        if let result = bytes.withContiguousStorageIfAvailable({ consume($0) }) { return try checked(result) }
        return try checked(Array(bytes).withUnsafeBufferPointer { consume($0) })
    }

    /// Says that the stream ended.
    /// - Throws: `MesosError` when it ended inside a record.
    public func finish() throws(MesosError) {
        if let failure { throw failure }
        if case .length(_, 0) = state { return }
        throw MesosError(.malformed, "the stream ends inside a record")
    }

    private mutating func checked(_ result: Result<[[UInt8]], MesosError>) throws(MesosError) -> [[UInt8]] {
        switch result {
        case .success(let records): return records
        case .failure(let error):
            failure = error
            body = []
            throw error
        }
    }

    private mutating func consume(_ bytes: UnsafeBufferPointer<UInt8>) -> Result<[[UInt8]], MesosError> {
        var records: [[UInt8]] = []
        var position = 0
        while position < bytes.count {
            switch state {
            case .length(let value, let digits):
                let byte = bytes[position]
                position += 1
                if byte == UInt8(ascii: "\n") {
                    if digits == 0 { return .failure(MesosError(.malformed, "a record without a length")) }
                    if value == 0 { return .failure(MesosError(.malformed, "a record of length 0")) }
                    state = .body(value)
                    // Memory is for bytes that came, not for what a length claims.
                    body.reserveCapacity(min(value, 64 << 10))
                    continue
                }
                guard byte >= 48, byte <= 57 else {
                    return .failure(MesosError(.malformed, "a record's length has the byte \(byte), which is no digit"))
                }
                let longer = value * 10 + Int(byte - 48)
                guard digits < 20, longer <= maximumSize else {
                    return .failure(MesosError(.tooLarge, "a record is longer than \(maximumSize) bytes"))
                }
                state = .length(value: longer, digits: digits + 1)
            case .body(let left):
                let count = min(left, bytes.count - position)
                body.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[position..<position + count]))
                position += count
                if count < left {
                    state = .body(left - count)
                    continue
                }
                records.append(body)
                body = []
                state = .length(value: 0, digits: 0)
            }
        }
        return .success(records)
    }
}

/// Writes RecordIO.
public enum RecordWriter {
    /// The record of a message: its length, a line feed, its bytes.
    public static func frame(_ message: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(message.count + 12)
        out.append(contentsOf: String(message.count).utf8)
        out.append(UInt8(ascii: "\n"))
        out.append(contentsOf: message)
        return out
    }
}
