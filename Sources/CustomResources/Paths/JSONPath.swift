import JSON

/// Why a text is no path.
struct JSONPathProblem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A path into a document, as `kubectl -o jsonpath` writes it without the braces: `.spec.list[0]['a.b']`, `[*]`, `[1:3]`,
/// `..name`, `[?(@.type=="Ready")].status`.
struct JSONPath: Sendable {
    private indirect enum Step: Sendable {
        case member(String)
        case index(Int)
        case slice(Int?, Int?, Int)
        case everything
        case descendants
        case union([Step])
        case filter([Condition])
    }

    /// One comparison of a filter.
    private struct Condition: Sendable {
        enum Operand: Sendable {
            case path(JSONPath)
            case literal(JSON)
        }
        var left: Operand
        /// `==`, `!=`, `<`, `<=`, `>`, `>=`; nil: the left side is there.
        var comparison: (String, Operand)?
    }

    private let steps: [Step]

    /// - Throws: `JSONPathProblem` for malformed text.
    init(_ text: String) throws(JSONPathProblem) {
        var reader = Reader(text)
        steps = try reader.steps(until: nil)
    }

    private init(steps: [Step]) { self.steps = steps }

    /// The names of a path that has only members; nil for any other.
    var members: [String]? {
        var names: [String] = []
        for step in steps {
            guard case .member(let name) = step else { return nil }
            names.append(name)
        }
        return names
    }

    // MARK: Finding

    /// The first value; nil when there is none.
    func first(in document: JSON) -> JSON? {
        // Nearly all paths are members only.
        var value = document
        for (index, step) in steps.enumerated() {
            guard case .member(let name) = step else { return find(in: [value], steps[index...]).first }
            guard case .object(let members) = value, let inner = members[name] else { return nil }
            value = inner
        }
        return value
    }

    private static let maximumFindings = 10_000

    private func find(in values: [JSON], _ steps: ArraySlice<Step>) -> [JSON] {
        var current = values
        for step in steps {
            var next: [JSON] = []
            for value in current where next.count < Self.maximumFindings { take(step, from: value, &next) }
            current = next
            if current.isEmpty { return [] }
        }
        return current
    }

    private func take(_ step: Step, from value: JSON, _ found: inout [JSON]) {
        switch (step, value) {
        case (.member(let name), .object(let members)): if let inner = members[name] { found.append(inner) }
        case (.index(let index), .array(let elements)):
            let place = index < 0 ? elements.count + index : index
            if elements.indices.contains(place) { found.append(elements[place]) }
        case (.slice(let from, let to, let by), .array(let elements)):
            let count = elements.count
            func place(_ index: Int) -> Int { max(0, min(count, index < 0 ? count + index : index)) }
            let start = place(from ?? 0), end = place(to ?? count)
            guard by > 0, start < end else { return }
            for index in stride(from: start, to: end, by: by) { found.append(elements[index]) }
        case (.everything, .array(let elements)): found += elements
        case (.everything, .object(let members)): found += members.values
        case (.descendants, _): Self.descend(value, &found)
        case (.union(let steps), _): for step in steps { take(step, from: value, &found) }
        case (.filter(let conditions), .array(let elements)):
            for element in elements where conditions.allSatisfy({ Self.holds($0, for: element) }) {
                found.append(element)
            }
        default: return
        }
    }

    private static func descend(_ value: JSON, _ found: inout [JSON]) {
        guard found.count < maximumFindings else { return }
        found.append(value)
        switch value {
        case .object(let members): for (_, member) in members { descend(member, &found) }
        case .array(let elements): for element in elements { descend(element, &found) }
        default: return
        }
    }

    private static func holds(_ condition: Condition, for element: JSON) -> Bool {
        func value(_ operand: Condition.Operand) -> JSON? {
            switch operand {
            case .path(let path): path.first(in: element)
            case .literal(let json): json
            }
        }
        guard let left = value(condition.left) else { return false }
        guard let (comparison, operand) = condition.comparison else { return true }
        guard let right = value(operand) else { return false }
        switch comparison {
        case "==": return left == right
        case "!=": return left != right
        default: break
        }
        let order: (less: Bool, equal: Bool)
        switch (left, right) {
        case (.string(let a), .string(let b)): order = (a < b, a == b)
        default:
            guard let a = left.double, let b = right.double else { return false }
            order = (a < b, a == b)
        }
        switch comparison {
        case "<": return order.less
        case "<=": return order.less || order.equal
        case ">": return !order.less && !order.equal
        default: return !order.less
        }
    }

    // MARK: Reading

    private struct Reader {
        private let text: [Character]
        private var at = 0

        init(_ text: String) { self.text = Array(text) }

        private var next: Character? { at < text.count ? text[at] : nil }

        private mutating func skipSpace() {
            while next == " " { at += 1 }
        }

        mutating func steps(until ends: Set<Character>?) throws(JSONPathProblem) -> [Step] {
            var steps: [Step] = []
            if next == "$" || next == "@" { at += 1 }
            while let character = next {
                if let ends, ends.contains(character) { break }
                switch character {
                case ".":
                    at += 1
                    if next == "." {
                        at += 1
                        steps.append(.descendants)
                    }
                    if next == "[" || next == nil { continue }
                    if let ends, let character = next, ends.contains(character) { continue }
                    steps.append(name(ends))
                case "[": steps.append(try brackets())
                case "'", "\"": throw JSONPathProblem("a text is no part of a path outside of brackets")
                default: steps.append(name(ends))
                }
            }
            return steps
        }

        private mutating func name(_ ends: Set<Character>?) -> Step {
            var name = ""
            while let character = next, character != ".", character != "[", !(ends?.contains(character) ?? false) {
                at += 1
                if character == "\\", let escaped = next {
                    name.append(escaped)
                    at += 1
                } else {
                    name.append(character)
                }
            }
            return name == "*" ? .everything : .member(name)
        }

        private mutating func brackets() throws(JSONPathProblem) -> Step {
            at += 1
            skipSpace()
            if next == "?" { return try filter() }
            var parts: [Step] = []
            while true {
                skipSpace()
                guard let character = next else { throw JSONPathProblem("unterminated array") }
                if character == "'" || character == "\"" {
                    parts.append(.member(try quoted()))
                } else {
                    var part = ""
                    while let character = next, character != "]", character != "," {
                        part.append(character)
                        at += 1
                    }
                    parts.append(try element(part.filter { $0 != " " }))
                }
                skipSpace()
                if next == "," {
                    at += 1
                    continue
                }
                guard next == "]" else { throw JSONPathProblem("unterminated array") }
                at += 1
                return parts.count == 1 ? parts[0] : .union(parts)
            }
        }

        private func element(_ part: String) throws(JSONPathProblem) -> Step {
            if part == "*" || part.isEmpty { return .everything }
            let numbers = part.split(separator: ":", omittingEmptySubsequences: false).map { ($0.isEmpty, Int($0)) }
            guard numbers.count <= 3, numbers.allSatisfy({ $0.0 || $0.1 != nil }) else {
                throw JSONPathProblem("invalid array index \(part)")
            }
            if numbers.count == 1, let index = numbers[0].1 { return .index(index) }
            return .slice(numbers[0].1, numbers[1].1, numbers.count == 3 ? numbers[2].1 ?? 1 : 1)
        }

        private mutating func quoted() throws(JSONPathProblem) -> String {
            guard let quote = next else { throw JSONPathProblem("unterminated quoted string") }
            at += 1
            var result = ""
            while let character = next, character != quote {
                at += 1
                if character == "\\", let escaped = next {
                    result.append(escaped)
                    at += 1
                } else {
                    result.append(character)
                }
            }
            guard next == quote else { throw JSONPathProblem("unterminated quoted string") }
            at += 1
            return result
        }

        private mutating func filter() throws(JSONPathProblem) -> Step {
            at += 1
            skipSpace()
            guard next == "(" else { throw JSONPathProblem("a filter is written [?(…)]") }
            at += 1
            var conditions: [Condition] = []
            while true {
                let left = try operand()
                skipSpace()
                var comparison = ""
                while let character = next, "=!<>".contains(character) {
                    comparison.append(character)
                    at += 1
                }
                var condition = Condition(left: left, comparison: nil)
                if !comparison.isEmpty {
                    guard ["==", "!=", "<", "<=", ">", ">="].contains(comparison) else {
                        throw JSONPathProblem("unrecognized filter operator \(comparison)")
                    }
                    condition.comparison = (comparison, try operand())
                }
                conditions.append(condition)
                skipSpace()
                if next == "&", at + 1 < text.count, text[at + 1] == "&" {
                    at += 2
                    continue
                }
                guard next == ")" else { throw JSONPathProblem("unterminated filter") }
                at += 1
                guard next == "]" else { throw JSONPathProblem("unterminated filter") }
                at += 1
                return .filter(conditions)
            }
        }

        private mutating func operand() throws(JSONPathProblem) -> Condition.Operand {
            skipSpace()
            switch next {
            case "'", "\"": return .literal(.string(try quoted()))
            case "@", ".", "$": return .path(JSONPath(steps: try steps(until: ["=", "!", "<", ">", ")", " ", "&"])))
            default:
                var word = ""
                while let character = next, !"=!<>)& ".contains(character) {
                    word.append(character)
                    at += 1
                }
                guard let json = try? JSON.parse(word) else {
                    throw JSONPathProblem("unrecognized operand \(word) in a filter")
                }
                return .literal(json)
            }
        }
    }
}
