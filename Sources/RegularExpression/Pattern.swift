import Synchronization

/// Why a pattern is refused.
public struct PatternProblem: Error, Sendable, Hashable, CustomStringConvertible {
    /// The reason in the words of Go's `regexp/syntax`, for example ``error parsing regexp: missing closing ): `(a` ``.
    public let description: String
}

/// A compiled regular expression in RE2's syntax (https://github.com/google/re2/wiki/Syntax).
///
/// Searching takes time linear in the text and at most proportional to the size of the pattern. Patterns are shared
/// freely between threads. Offsets are of UTF-8 bytes.
public struct Pattern: Sendable {
    /// The longest pattern in bytes.
    public static let maximumLength = 65_536

    /// The pattern as it was written.
    public let source: String
    /// Names of the capture groups in order; nil for those without.
    public let captureNames: [String?]

    private let program: PatternProgram
    private let automaton: Automaton?

    /// An automaton that one thread uses at a time; others then run the machine without one.
    private final class Automaton: Sendable {
        let state: Mutex<PatternAutomaton>
        init(_ program: PatternProgram) { state = Mutex(PatternAutomaton(program)) }
    }

    /// Compiles a pattern.
    /// - Throws: `PatternProblem` for bad syntax, or for a pattern that expands beyond the limits.
    public init(_ source: String) throws(PatternProblem) {
        guard source.utf8.count <= Self.maximumLength else {
            throw PatternProblem(description: "error parsing regexp: expression too large: `\(source.prefix(64))`")
        }
        var parser = PatternParser(source)
        let node = try parser.parse()
        program = try PatternProgram(node, source: source)
        automaton = program.hasPositionAssertions ? nil : Automaton(program)
        captureNames = parser.captureNames
        self.source = source
    }

    /// True when the pattern matches anywhere in the text.
    public func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            if let result = automaton?.state.withLockIfAvailable({ $0.matches(bytes) }) { return result }
            var search = PatternSearch(program, slotCount: 0)
            return search.run(bytes, from: 0) != nil
        }
    }

    /// The first match: its text, or nil.
    public func find(_ text: String) -> String? {
        findAll(text, limit: 1).first
    }

    /// The matches from left to right that do not overlap.
    /// - Parameter limit: at most so many; nil for all.
    public func findAll(_ text: String, limit: Int? = nil) -> [String] {
        ranges(text, limit: limit, slotCount: 2).map { Self.slice(text, $0[0], $0[1]) }
    }

    /// The groups of the first match: the whole match, then each capture group (nil when it took no part).
    public func captures(_ text: String) -> [String?]? {
        guard let match = ranges(text, limit: 1, slotCount: captureNames.count * 2 + 2).first else { return nil }
        return stride(from: 0, to: match.count, by: 2).map {
            match[$0] < 0 || match[$0 + 1] < 0 ? nil : Self.slice(text, match[$0], match[$0 + 1])
        }
    }

    private func ranges(_ text: String, limit: Int?, slotCount: Int) -> [[Int]] {
        var text = text
        return text.withUTF8 { bytes in
            var search = PatternSearch(program, slotCount: slotCount)
            var found: [[Int]] = []
            var position = 0
            var previousEnd = -1
            while position <= bytes.count, found.count < limit ?? .max {
                guard let match = search.run(bytes, from: position) else { break }
                // An empty match right after another match is none, as in Go.
                let isEmpty = match[1] == position
                if !isEmpty || match[0] != previousEnd { found.append(match) }
                previousEnd = match[1]
                position = isEmpty ? position + max(1, UTF8Scalar.decode(bytes, position).1) : match[1]
            }
            return found
        }
    }

    private static func slice(_ text: String, _ start: Int, _ end: Int) -> String {
        let utf8 = text.utf8
        return String(text[utf8.index(utf8.startIndex, offsetBy: start)..<utf8.index(utf8.startIndex, offsetBy: end)])
    }
}
