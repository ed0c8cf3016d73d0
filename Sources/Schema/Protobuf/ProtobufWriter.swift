/// Writes a message from its end to its beginning, so that every length is known when it is written.
struct ProtobufWriter: ~Copyable {
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    /// Where the bytes written so far begin.
    private var start: Int

    init(capacity: Int) {
        self.capacity = max(64, capacity)
        base = .allocate(capacity: self.capacity)
        start = self.capacity
    }

    deinit {
        base.deallocate()
    }

    /// Number of bytes written.
    var count: Int { capacity - start }
    var bytes: [UInt8] { Array(UnsafeBufferPointer(start: base + start, count: count)) }

    private mutating func makeRoom(_ room: Int) {
        guard room > start else { return }
        let grown = max(capacity * 2, count + room)
        let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: grown)
        (moved + (grown - count)).update(from: base + start, count: count)
        base.deallocate()
        start = grown - count
        base = moved
        capacity = grown
    }

    mutating func varint(_ value: UInt64) {
        makeRoom(10)
        if value < 0x80 {
            start -= 1
            base[start] = UInt8(truncatingIfNeeded: value)
            return
        }
        var length = 1
        var rest = value >> 7
        while rest > 0 {
            length += 1
            rest >>= 7
        }
        start -= length
        rest = value
        for offset in 0..<length {
            base[start + offset] = UInt8(truncatingIfNeeded: rest & 0x7F) | (offset == length - 1 ? 0 : 0x80)
            rest >>= 7
        }
    }

    mutating func fixed64(_ value: UInt64) {
        makeRoom(8)
        start -= 8
        for offset in 0..<8 { base[start + offset] = UInt8(truncatingIfNeeded: value >> UInt64(offset * 8)) }
    }

    mutating func raw(_ buffer: UnsafeBufferPointer<UInt8>) {
        guard let source = buffer.baseAddress, !buffer.isEmpty else { return }
        makeRoom(buffer.count)
        start -= buffer.count
        (base + start).update(from: source, count: buffer.count)
    }
    mutating func raw(_ bytes: [UInt8]) { bytes.withUnsafeBufferPointer { raw($0) } }

    mutating func tag(_ number: Int, _ wireType: UInt64) { varint(UInt64(number) << 3 | wireType) }

    /// Closes a message or a text that began when `count` was `mark`: its length and its tag go in front.
    mutating func close(_ number: Int, since mark: Int) {
        varint(UInt64(count - mark))
        tag(number, 2)
    }

    mutating func text(_ number: Int, _ text: String) {
        let mark = count
        var text = text
        text.withUTF8 { raw($0) }
        close(number, since: mark)
    }
    mutating func bytes(_ number: Int, _ bytes: [UInt8]) {
        let mark = count
        raw(bytes)
        close(number, since: mark)
    }
    mutating func number(_ number: Int, _ value: UInt64) {
        varint(value)
        tag(number, 0)
    }
}
