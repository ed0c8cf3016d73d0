/// The syntax tree of a pattern.
indirect enum PatternNode {
    case empty
    case scalar(UInt32)
    case set(ScalarSet)
    case assertion(Assertion)
    case group(PatternNode, capture: Int?)
    case sequence([PatternNode])
    case choice([PatternNode])
    case repetition(PatternNode, minimum: Int, maximum: Int?, isGreedy: Bool)
}

/// A condition on a position between two scalars.
enum Assertion: Sendable, Hashable {
    case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
}

/// Reads RE2's syntax (https://github.com/google/re2/wiki/Syntax), by recursive descent with a bounded depth.
struct PatternParser {
    private static let maximumDepth = 250
    private static let maximumRepeat = 1000

    private struct Flags {
        var ignoresCase = false
        var isMultiline = false
        var dotMatchesNewline = false
        var isUngreedy = false
    }

    private let scalars: [UInt32]
    private var position = 0
    private var depth = 0
    private var flags = Flags()
    private(set) var captureNames: [String?] = []

    init(_ source: String) {
        scalars = source.unicodeScalars.map(\.value)
    }

    mutating func parse() throws(PatternProblem) -> PatternNode {
        let node = try parseChoice()
        if position < scalars.count { throw problem("unexpected )", 0..<scalars.count) }
        return node
    }

    private func problem(_ reason: String, _ range: Range<Int>) -> PatternProblem {
        var text = ""
        for value in scalars[range.clamped(to: 0..<scalars.count)] {
            text.unicodeScalars.append(Unicode.Scalar(value) ?? "\u{fffd}")
        }
        return PatternProblem(description: "error parsing regexp: \(reason): `\(text)`")
    }

    private var current: UInt32? { position < scalars.count ? scalars[position] : nil }
    private func at(_ index: Int) -> UInt32? { index < scalars.count ? scalars[index] : nil }
    private func isAt(_ character: Unicode.Scalar) -> Bool { current == character.value }
    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        guard isAt(character) else { return false }
        position += 1
        return true
    }

    private mutating func parseChoice() throws(PatternProblem) -> PatternNode {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.maximumDepth { throw problem("expression nests too deeply", 0..<scalars.count) }
        var branches = [try parseSequence()]
        while accept("|") { branches.append(try parseSequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func parseSequence() throws(PatternProblem) -> PatternNode {
        var items: [PatternNode] = []
        /// Where the last repetition began, for messages.
        var repeatStart: Int?
        while let next = current, next != 0x7c, next != 0x29 {
            let start = position
            if let (minimum, maximum) = try parseRepetition() {
                let isLazy = accept("?")
                guard let operand = items.popLast() else {
                    throw problem("missing argument to repetition operator", start..<position)
                }
                if let repeatStart {
                    throw problem("invalid nested repetition operator", repeatStart..<position)
                }
                let isGreedy = isLazy == flags.isUngreedy
                let node = PatternNode.repetition(operand, minimum: minimum, maximum: maximum, isGreedy: isGreedy)
                if Self.copies(node) > Self.maximumRepeat {
                    throw problem("invalid repeat count", start..<position)
                }
                items.append(node)
                repeatStart = start
                continue
            }
            repeatStart = nil
            if let node = try parseAtom() { items.append(node) }
        }
        switch items.count {
        case 0: return .empty
        case 1: return items[0]
        default: return .sequence(items)
        }
    }

    /// How many copies of an innermost operand nested counted repetitions make: RE2 allows a thousand.
    private static func copies(_ node: PatternNode) -> Int {
        switch node {
        case .repetition(let inner, let minimum, let maximum, _):
            let own = max(minimum, maximum ?? 0)
            return min(copies(inner) * max(own, 1), maximumRepeat + 1)
        case .group(let inner, _): return copies(inner)
        case .sequence(let items), .choice(let items):
            var largest = 1
            for item in items { largest = max(largest, copies(item)) }
            return largest
        default: return 1
        }
    }

    private mutating func parseRepetition() throws(PatternProblem) -> (Int, Int?)? {
        if accept("*") { return (0, nil) }
        if accept("+") { return (1, nil) }
        if accept("?") { return (0, 1) }
        guard isAt("{") else { return nil }
        // What is not exactly {n}, {n,} or {n,m} is literal text.
        let start = position
        var index = position + 1
        func number() -> Int? {
            let first = index
            var value = 0
            while let digit = at(index), digit >= 0x30, digit <= 0x39 {
                value = min(value * 10 + Int(digit - 0x30), Self.maximumRepeat + 1)
                index += 1
            }
            return index == first ? nil : value
        }
        guard let minimum = number() else { return nil }
        var maximum: Int? = minimum
        if at(index) == 0x2c {
            index += 1
            maximum = number()
        }
        guard at(index) == 0x7d else { return nil }
        position = index + 1
        if minimum > Self.maximumRepeat || (maximum ?? 0) > Self.maximumRepeat || (maximum ?? minimum) < minimum {
            throw problem("invalid repeat count", start..<position)
        }
        return (minimum, maximum)
    }

    private func literal(_ value: UInt32) -> PatternNode {
        guard flags.ignoresCase else { return .scalar(value) }
        let set = ScalarSet([value...value]).folded
        return set.ranges.count == 1 && set.ranges[0].count == 1 ? .scalar(value) : .set(set)
    }

    /// One operand; nil for a flag group such as `(?i)`.
    private mutating func parseAtom() throws(PatternProblem) -> PatternNode? {
        guard let next = current else { return nil }
        switch Unicode.Scalar(next) {
        case "(": return try parseGroup()
        case "[": return .set(try parseClass())
        case ".":
            position += 1
            return .set(flags.dotMatchesNewline ? ScalarSet([0...ScalarSet.last]) : ScalarSet([0x0a...0x0a]).inverted)
        case "^":
            position += 1
            return .assertion(flags.isMultiline ? .lineStart : .textStart)
        case "$":
            position += 1
            return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
        case "\\": return try parseEscape()
        default:
            position += 1
            return literal(next)
        }
    }

    private mutating func parseGroup() throws(PatternProblem) -> PatternNode? {
        let start = position
        position += 1
        guard accept("?") else {
            let index = captureNames.count
            captureNames.append(nil)
            return try finishGroup(start, capture: index, flags)
        }
        if isAt("P") && at(position + 1) == 0x3c || isAt("<") && at(position + 1) != 0x3d && at(position + 1) != 0x21 {
            position += isAt("P") ? 2 : 1
            var name = ""
            while let value = current, value != 0x3e {
                name.unicodeScalars.append(Unicode.Scalar(value) ?? "?")
                position += 1
            }
            let isWord = name.utf8.allSatisfy { NamedClass.word.contains(UInt32($0)) }
            guard accept(">"), !name.isEmpty, isWord else {
                throw problem("invalid named capture", start..<position)
            }
            if captureNames.contains(name) {
                throw problem("duplicate capture group name", start..<position)
            }
            let index = captureNames.count
            captureNames.append(name)
            return try finishGroup(start, capture: index, flags)
        }
        var changed = flags
        var isSetting = true
        var hasFlag = false
        while let value = current {
            position += 1
            switch Unicode.Scalar(value) {
            case "i": changed.ignoresCase = isSetting
            case "m": changed.isMultiline = isSetting
            case "s": changed.dotMatchesNewline = isSetting
            case "U": changed.isUngreedy = isSetting
            case "-" where isSetting:
                isSetting = false
                hasFlag = false
                continue
            case ")" where isSetting || hasFlag:
                flags = changed
                return nil
            case ":" where isSetting || hasFlag:
                let outer = flags
                flags = changed
                return try finishGroup(start, capture: nil, outer)
            default:
                throw problem("invalid or unsupported Perl syntax", start..<position)
            }
            hasFlag = true
        }
        throw problem("missing closing )", 0..<scalars.count)
    }

    /// The inside of a group and its end; afterwards the flags are `outer` again.
    private mutating func finishGroup(_ start: Int, capture: Int?, _ outer: Flags) throws(PatternProblem) -> PatternNode
    {
        let inner = try parseChoice()
        flags = outer
        guard accept(")") else { throw problem("missing closing )", 0..<scalars.count) }
        return .group(inner, capture: capture)
    }

    private mutating func parseEscape() throws(PatternProblem) -> PatternNode {
        guard let next = at(position + 1) else {
            throw problem("trailing backslash at end of expression", 0..<0)
        }
        switch Unicode.Scalar(next) {
        case "A":
            position += 2
            return .assertion(.textStart)
        case "z":
            position += 2
            return .assertion(.textEnd)
        case "b":
            position += 2
            return .assertion(.wordBoundary)
        case "B":
            position += 2
            return .assertion(.noWordBoundary)
        case "Q":
            position += 2
            var items: [PatternNode] = []
            while let value = current, !(value == 0x5c && at(position + 1) == 0x45) {
                items.append(literal(value))
                position += 1
            }
            if current != nil { position += 2 }
            return .sequence(items)
        default: break
        }
        if let set = try parseClassEscape() { return .set(flags.ignoresCase ? set.folded : set) }
        return literal(try parseScalarEscape())
    }

    /// `\d`, `\pL`, `\p{Greek}`, `\P{…}`; nil when no class begins here.
    private mutating func parseClassEscape() throws(PatternProblem) -> ScalarSet? {
        guard isAt("\\"), let letter = at(position + 1) else { return nil }
        if let set = NamedClass.perl(letter) {
            position += 2
            return set
        }
        guard letter == 0x70 || letter == 0x50 else { return nil }
        let start = position
        position += 2
        var name = ""
        if accept("{") {
            while let value = current, value != 0x7d {
                name.unicodeScalars.append(Unicode.Scalar(value) ?? "?")
                position += 1
            }
            guard accept("}") else { throw problem("invalid character class range", start..<position) }
        } else if let value = current {
            name.unicodeScalars.append(Unicode.Scalar(value) ?? "?")
            position += 1
        }
        var isNegated = letter == 0x50
        if name.hasPrefix("^") {
            isNegated.toggle()
            name.removeFirst()
        }
        guard let set = NamedClass.unicode(name) else {
            throw problem("invalid character class range", start..<position)
        }
        return isNegated ? set.inverted : set
    }

    private mutating func parseScalarEscape() throws(PatternProblem) -> UInt32 {
        let start = position
        position += 1
        guard let letter = current else { throw problem("trailing backslash at end of expression", 0..<0) }
        position += 1
        switch Unicode.Scalar(letter) {
        case "a": return 7
        case "f": return 12
        case "n": return 10
        case "r": return 13
        case "t": return 9
        case "v": return 11
        case "x":
            func digit(_ value: UInt32?) -> UInt32? {
                value.flatMap { Unicode.Scalar($0) }.flatMap { Character($0).hexDigitValue }.map(UInt32.init)
            }
            if accept("{") {
                var value: UInt32 = 0
                var count = 0
                while let next = digit(current) {
                    value = value * 16 + next
                    count += 1
                    position += 1
                    if value > ScalarSet.last { break }
                }
                guard count > 0, value <= ScalarSet.last, accept("}") else {
                    throw problem("invalid escape sequence", start..<position)
                }
                return value
            }
            guard let high = digit(current), let low = digit(at(position + 1)) else {
                throw problem("invalid escape sequence", start..<position)
            }
            position += 2
            return high * 16 + low
        case .some("0"..."7"):
            // Octal: \0 alone, or up to three digits that do not look like a back reference.
            if letter != 0x30, !(current.map { $0 >= 0x30 && $0 <= 0x37 } ?? false) { break }
            var value = letter - 0x30
            var count = 1
            while count < 3, let digit = current, digit >= 0x30, digit <= 0x37 {
                value = value * 8 + digit - 0x30
                position += 1
                count += 1
            }
            return value
        default:
            if letter < 0x80, !NamedClass.word.contains(letter) || letter == 0x5f { return letter }
        }
        throw problem("invalid escape sequence", start..<position)
    }

    private mutating func parseClass() throws(PatternProblem) -> ScalarSet {
        let start = position
        position += 1
        let isNegated = accept("^")
        var ranges: [ClosedRange<UInt32>] = []
        var isFirst = true
        while true {
            guard let next = current else { throw problem("missing closing ]", start..<scalars.count) }
            if next == 0x5d, !isFirst { break }
            isFirst = false
            if next == 0x5b, at(position + 1) == 0x3a, let set = try parsePOSIXClass() {
                ranges += set.ranges
                continue
            }
            if let set = try parseClassEscape() {
                ranges += set.ranges
                continue
            }
            let rangeStart = position
            let low = try parseClassScalar(start)
            var high = low
            if isAt("-"), let after = at(position + 1), after != 0x5d {
                position += 1
                high = try parseClassScalar(start)
                if high < low { throw problem("invalid character class range", rangeStart..<position) }
            }
            ranges.append(low...high)
        }
        position += 1
        var set = ScalarSet(ranges)
        if flags.ignoresCase { set = set.folded }
        return isNegated ? set.inverted : set
    }

    private mutating func parseClassScalar(_ classStart: Int) throws(PatternProblem) -> UInt32 {
        guard let next = current else { throw problem("missing closing ]", classStart..<scalars.count) }
        if next == 0x5c { return try parseScalarEscape() }
        position += 1
        return next
    }

    private mutating func parsePOSIXClass() throws(PatternProblem) -> ScalarSet? {
        var index = position + 2
        let isNegated = at(index) == 0x5e
        if isNegated { index += 1 }
        var name = ""
        while let value = at(index), value >= 0x61, value <= 0x7a {
            name.unicodeScalars.append(Unicode.Scalar(value) ?? "?")
            index += 1
        }
        guard at(index) == 0x3a, at(index + 1) == 0x5d else { return nil }
        guard let set = NamedClass.posix(name) else {
            throw problem("invalid character class range", position..<index + 2)
        }
        position = index + 2
        return isNegated ? set.inverted : set
    }
}
