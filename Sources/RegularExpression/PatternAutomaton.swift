/// A deterministic automaton built while it runs: each state is a set of the program's threads. It answers only
/// whether the pattern occurs. Bounded: at `maximumStates` it forgets and begins anew.
struct PatternAutomaton {
    private static let maximumStates = 400
    private static let unknown: Int32 = -1

    private let program: PatternProgram
    private var identifiers: [[Int32]: Int32] = [:]
    private var threads: [[Int32]] = []
    private var accepts: [Bool] = []
    private var acceptsAtEnd: [Bool] = []
    /// 128 per state: where an ASCII character leads.
    private var transitions: [Int32] = []
    private var marks: [Int]
    private var generation = 0
    /// How often the table was emptied.
    private var epoch = 0
    private var stack: [Int] = []

    /// - Precondition: the program has no assertion but those of the text's start and end.
    init(_ program: PatternProgram) {
        self.program = program
        marks = Array(repeating: -1, count: program.instructions.count)
    }

    mutating func matches(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var state = identifiers.isEmpty ? state(of: [0], atStart: true) : 0
        if accepts[Int(state)] { return true }
        var position = 0
        while position < bytes.count {
            let byte = bytes[position]
            var following = Self.unknown
            if byte < 0x80 {
                following = transitions[Int(state) * 128 + Int(byte)]
                position += 1
                if following == Self.unknown {
                    let before = epoch
                    following = advance(state, UInt32(byte))
                    // When the table was emptied on the way, this state is gone and there is nothing to remember.
                    if epoch == before { transitions[Int(state) * 128 + Int(byte)] = following }
                }
            } else {
                let (scalar, length) = UTF8Scalar.decode(bytes, position)
                position += length
                following = advance(state, scalar)
            }
            state = following
            if accepts[Int(state)] { return true }
        }
        return acceptsAtEnd[Int(state)]
    }

    private mutating func advance(_ state: Int32, _ scalar: UInt32) -> Int32 {
        var reached: [Int] = []
        for thread in threads[Int(state)] {
            let pc = Int(thread)
            switch program.instructions[pc] {
            case .scalar(let value): if value == scalar { reached.append(pc + 1) }
            case .set(let set): if program.setContains(set, scalar) { reached.append(pc + 1) }
            default: break
            }
        }
        reached.append(0)  // A match may begin anywhere.
        return self.state(of: reached, atStart: false)
    }

    private mutating func state(of pcs: [Int], atStart: Bool) -> Int32 {
        let (members, isAccepting) = closure(pcs, atStart: atStart, atEnd: false)
        let key = atStart ? [-1] : isAccepting ? members + [-2] : members
        if let known = identifiers[key] { return known }
        if threads.count >= Self.maximumStates {
            epoch += 1
            identifiers.removeAll(keepingCapacity: true)
            threads.removeAll(keepingCapacity: true)
            accepts.removeAll(keepingCapacity: true)
            acceptsAtEnd.removeAll(keepingCapacity: true)
            transitions.removeAll(keepingCapacity: true)
            if !atStart { _ = state(of: [0], atStart: true) }
        }
        let identifier = Int32(threads.count)
        let atEnd = closure(members.map(Int.init) + pcs, atStart: atStart, atEnd: true).1
        identifiers[key] = identifier
        threads.append(members)
        accepts.append(isAccepting)
        acceptsAtEnd.append(isAccepting || atEnd)
        transitions.append(contentsOf: repeatElement(Self.unknown, count: 128))
        return identifier
    }

    /// The threads that wait for a scalar, sorted, and whether a match is reached.
    private mutating func closure(_ pcs: [Int], atStart: Bool, atEnd: Bool) -> ([Int32], Bool) {
        generation += 1
        var members: [Int32] = []
        var isAccepting = false
        stack.append(contentsOf: pcs)
        while let pc = stack.popLast() {
            if marks[pc] == generation { continue }
            marks[pc] = generation
            switch program.instructions[pc] {
            case .jump(let target): stack.append(target)
            case .split(let first, let second):
                stack.append(second)
                stack.append(first)
            case .save: stack.append(pc + 1)
            case .assertion(.textStart): if atStart { stack.append(pc + 1) }
            case .assertion(.textEnd):
                if atEnd { stack.append(pc + 1) } else { members.append(Int32(pc)) }
            case .assertion: break
            case .scalar, .set: members.append(Int32(pc))
            case .match: isAccepting = true
            }
        }
        members.sort()
        return (members, isAccepting)
    }
}
