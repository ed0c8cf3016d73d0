import Glibc
import JSON

/// How many rounds the fuzz tests do; `APUS_FUZZ_ITERATIONS` makes them longer.
let fuzzIterations = getenv("APUS_FUZZ_ITERATIONS").flatMap { Int(String(cString: $0)) } ?? 300

/// A repeatable source of random numbers (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

func randomTree(depth: Int, _ random: inout SeededRandom) -> JSON {
    switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &random) {
    case 0: return .null
    case 1: return .bool(Bool.random(using: &random))
    case 2: return .integer(Int64.random(in: .min ... .max, using: &random))
    case 3: return .integer(Int64.random(in: -100...100, using: &random))
    case 4: return .number(JSONNumber(text: "\(Double.random(in: -1e6...1e6, using: &random))"))
    case 5: return .string(randomText(&random))
    case 6:
        return .array((0..<Int.random(in: 0...20, using: &random)).map { _ in randomTree(depth: depth - 1, &random) })
    default:
        var tree: JSON = [:]
        for _ in 0..<Int.random(in: 0...20, using: &random) {
            tree[randomText(&random)] = randomTree(depth: depth - 1, &random)
        }
        return tree
    }
}

private func randomText(_ random: inout SeededRandom) -> String {
    let known = ["name", "metadata", "terminationMessagePath", "kubernetes.io/hostname", "creationTimestamp"]
    if Int.random(in: 0..<4, using: &random) == 0 { return known.randomElement(using: &random) ?? "" }
    let scalars = (0..<Int.random(in: 0...24, using: &random)).map { _ in
        let ranges: [ClosedRange<UInt32>] = [0...0x1f, 0x20...0x7e, 0x20...0x7e, 0xa0...0x24f, 0x1f600...0x1f64f]
        return Unicode.Scalar(UInt32.random(in: ranges.randomElement(using: &random) ?? 0x20...0x7e, using: &random))
            ?? " "
    }
    var text = ""
    text.unicodeScalars.append(contentsOf: scalars)
    return text
}
