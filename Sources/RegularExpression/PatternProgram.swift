/// A pattern as instructions of a non-deterministic machine (Thompson's construction).
struct PatternProgram: Sendable {
    enum Instruction: Sendable {
        case scalar(UInt32)
        case set(Int)
        /// Tries the first way before the second.
        case split(Int, Int)
        case jump(Int)
        case save(Int)
        case assertion(Assertion)
        case match
    }
    /// More would make a step of the machine slow; RE2 has a limit of this kind too.
    static let maximumInstructions = 50_000

    private(set) var instructions: [Instruction] = []
    private(set) var sets: [ScalarSet] = []
    /// One bit per ASCII character for each set.
    private(set) var asciiMasks: [(UInt64, UInt64)] = []
    private(set) var hasPositionAssertions = false
    private var setIndexes: [ScalarSet: Int] = [:]

    init(_ node: PatternNode, source: String) throws(PatternProblem) {
        try emit(node, source)
        try append(.match, source)
        setIndexes = [:]
    }

    @inline(__always)
    func setContains(_ index: Int, _ scalar: UInt32) -> Bool {
        if scalar < 64 { return asciiMasks[index].0 & (1 << UInt64(scalar)) != 0 }
        if scalar < 128 { return asciiMasks[index].1 & (1 << UInt64(scalar - 64)) != 0 }
        return sets[index].contains(scalar)
    }

    private mutating func append(_ instruction: Instruction, _ source: String) throws(PatternProblem) {
        guard instructions.count < Self.maximumInstructions else {
            throw PatternProblem(description: "error parsing regexp: expression too large: `\(source)`")
        }
        instructions.append(instruction)
    }

    private mutating func index(of set: ScalarSet) -> Int {
        if let index = setIndexes[set] { return index }
        var mask: (UInt64, UInt64) = (0, 0)
        for scalar in UInt32(0)..<128 where set.contains(scalar) {
            if scalar < 64 { mask.0 |= 1 << UInt64(scalar) } else { mask.1 |= 1 << UInt64(scalar - 64) }
        }
        sets.append(set)
        asciiMasks.append(mask)
        setIndexes[set] = sets.count - 1
        return sets.count - 1
    }

    private mutating func emit(_ node: PatternNode, _ source: String) throws(PatternProblem) {
        switch node {
        case .empty: break
        case .scalar(let value): try append(.scalar(value), source)
        case .set(let set): try append(.set(index(of: set)), source)
        case .assertion(let assertion):
            if assertion != .textStart, assertion != .textEnd { hasPositionAssertions = true }
            try append(.assertion(assertion), source)
        case .group(let inner, let capture):
            if let capture { try append(.save(capture * 2 + 2), source) }
            try emit(inner, source)
            if let capture { try append(.save(capture * 2 + 3), source) }
        case .sequence(let items):
            for item in items { try emit(item, source) }
        case .choice(let branches):
            var ends: [Int] = []
            for (index, branch) in branches.enumerated() {
                guard index < branches.count - 1 else {
                    try emit(branch, source)
                    break
                }
                let split = instructions.count
                try append(.split(split + 1, 0), source)
                try emit(branch, source)
                ends.append(instructions.count)
                try append(.jump(0), source)
                instructions[split] = .split(split + 1, instructions.count)
            }
            for end in ends { instructions[end] = .jump(instructions.count) }
        case .repetition(let inner, let minimum, let maximum, let isGreedy):
            for _ in 0..<minimum { try emit(inner, source) }
            guard let maximum else {
                try emitLoop(inner, isGreedy, source)
                return
            }
            var splits: [Int] = []
            for _ in minimum..<max(maximum, minimum) {
                splits.append(instructions.count)
                try append(.split(0, 0), source)
                try emit(inner, source)
            }
            let end = instructions.count
            for split in splits {
                instructions[split] = isGreedy ? .split(split + 1, end) : .split(end, split + 1)
            }
        }
    }

    private mutating func emitLoop(_ inner: PatternNode, _ isGreedy: Bool, _ source: String) throws(PatternProblem) {
        let split = instructions.count
        try append(.split(0, 0), source)
        try emit(inner, source)
        try append(.jump(split), source)
        let end = instructions.count
        instructions[split] = isGreedy ? .split(split + 1, end) : .split(end, split + 1)
    }
}
