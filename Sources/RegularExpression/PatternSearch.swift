/// Runs a program over UTF-8 with all threads in step, so that time is linear in the text (Pike's machine).
struct PatternSearch {
    private let program: PatternProgram
    private let slotCount: Int
    private var current: ThreadList
    private var next: ThreadList
    private var stack: [(pc: Int, restore: Int, old: Int)] = []
    private var slots: [Int]

    /// Threads in order of preference, each instruction at most once.
    private struct ThreadList {
        var order: [Int] = []
        var marks: [Int]
        var generation = 0
        var captures: [Int]

        init(size: Int, slotCount: Int) {
            marks = Array(repeating: -1, count: size)
            captures = Array(repeating: -1, count: size * slotCount)
        }
        mutating func clear() {
            order.removeAll(keepingCapacity: true)
            generation += 1
        }
    }

    /// - Parameter slotCount: two per wanted group, the whole match included; 0 when only whether it matches matters.
    init(_ program: PatternProgram, slotCount: Int) {
        self.program = program
        self.slotCount = slotCount
        current = ThreadList(size: program.instructions.count, slotCount: slotCount)
        next = current
        slots = Array(repeating: -1, count: slotCount)
    }

    /// The leftmost match at or after a byte offset; nil when there is none. Empty when `slotCount` is 0.
    mutating func run(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> [Int]? {
        var result: [Int]?
        var position = start
        var previous = start > 0 ? UTF8Scalar.before(bytes, start) : UTF8Scalar.none
        current.clear()
        while true {
            let (scalar, length) = UTF8Scalar.decode(bytes, position)
            if result == nil {
                for index in 0..<slotCount { slots[index] = -1 }
                if slotCount > 0 { slots[0] = position }
                Self.add(0, to: &current, &slots, &stack, program, position, previous, scalar)
            }
            next.clear()
            threads: for pc in current.order {
                switch program.instructions[pc] {
                case .match:
                    if slotCount == 0 { return [] }
                    var found = Array(current.captures[pc * slotCount..<(pc + 1) * slotCount])
                    found[1] = position
                    result = found
                    break threads  // What follows is less preferred.
                case .scalar(let value):
                    if value == scalar { step(pc, position + length, scalar, bytes) }
                case .set(let set):
                    if length > 0, program.setContains(set, scalar) { step(pc, position + length, scalar, bytes) }
                default: break
                }
            }
            if length == 0 { break }
            swap(&current, &next)
            previous = scalar
            position += length
            if current.order.isEmpty, result != nil { break }
        }
        return result
    }

    private mutating func step(_ pc: Int, _ position: Int, _ scalar: UInt32, _ bytes: UnsafeBufferPointer<UInt8>) {
        for index in 0..<slotCount { slots[index] = current.captures[pc * slotCount + index] }
        let following = UTF8Scalar.decode(bytes, position).0
        Self.add(pc + 1, to: &next, &slots, &stack, program, position, scalar, following)
    }

    /// Adds a thread and all that it reaches without consuming text.
    private static func add(
        _ start: Int, to list: inout ThreadList, _ slots: inout [Int],
        _ stack: inout [(pc: Int, restore: Int, old: Int)], _ program: PatternProgram, _ position: Int,
        _ previous: UInt32, _ following: UInt32
    ) {
        let slotCount = slots.count
        stack.append((start, -1, 0))
        while let (pc, restore, old) = stack.popLast() {
            if restore >= 0 {
                slots[restore] = old
                continue
            }
            if list.marks[pc] == list.generation { continue }
            list.marks[pc] = list.generation
            switch program.instructions[pc] {
            case .jump(let target): stack.append((target, -1, 0))
            case .split(let first, let second):
                stack.append((second, -1, 0))
                stack.append((first, -1, 0))
            case .save(let slot):
                if slot < slotCount {
                    stack.append((0, slot, slots[slot]))
                    slots[slot] = position
                }
                stack.append((pc + 1, -1, 0))
            case .assertion(let assertion):
                if holds(assertion, previous, following) { stack.append((pc + 1, -1, 0)) }
            case .scalar, .set, .match:
                list.order.append(pc)
                for index in 0..<slotCount { list.captures[pc * slotCount + index] = slots[index] }
            }
        }
    }

    static func holds(_ assertion: Assertion, _ previous: UInt32, _ following: UInt32) -> Bool {
        switch assertion {
        case .textStart: previous == UTF8Scalar.none
        case .textEnd: following == UTF8Scalar.none
        case .lineStart: previous == UTF8Scalar.none || previous == 0x0a
        case .lineEnd: following == UTF8Scalar.none || following == 0x0a
        case .wordBoundary: NamedClass.word.contains(previous) != NamedClass.word.contains(following)
        case .noWordBoundary: NamedClass.word.contains(previous) == NamedClass.word.contains(following)
        }
    }
}

/// Scalars of UTF-8 bytes.
enum UTF8Scalar {
    /// What stands before the first and after the last scalar.
    static let none: UInt32 = .max

    /// The scalar at an offset and its length; (`none`, 0) at the end. The bytes are valid UTF-8 (a string's).
    @inline(__always)
    static func decode(_ bytes: UnsafeBufferPointer<UInt8>, _ offset: Int) -> (UInt32, Int) {
        guard offset < bytes.count else { return (none, 0) }
        let first = UInt32(bytes[offset])
        if first < 0x80 { return (first, 1) }
        func tail(_ index: Int) -> UInt32 { offset + index < bytes.count ? UInt32(bytes[offset + index]) & 0x3f : 0 }
        if first < 0xe0 { return ((first & 0x1f) << 6 | tail(1), 2) }
        if first < 0xf0 { return ((first & 0x0f) << 12 | tail(1) << 6 | tail(2), 3) }
        return ((first & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4)
    }

    static func before(_ bytes: UnsafeBufferPointer<UInt8>, _ offset: Int) -> UInt32 {
        var start = offset - 1
        while start > 0, bytes[start] & 0xc0 == 0x80 { start -= 1 }
        return decode(bytes, start).0
    }
}
