import RegularExpression

extension FunctionTable {
    mutating func addStrings() {
        let text: [CELType] = [.string, .string]
        member("contains", text, .bool, cost: .search, id: "contains_string") {
            .bool(Self.contains($0[0].asString, $0[1].asString))
        }
        member("startsWith", text, .bool, cost: .walk(argument: 0, factor: 0.1), id: "starts_with_string") {
            .bool($0[0].asString.utf8.starts(with: $0[1].asString.utf8))
        }
        member("endsWith", text, .bool, cost: .walk(argument: 0, factor: 0.1), id: "ends_with_string") {
            .bool($0[0].asString.utf8.reversed().starts(with: $0[1].asString.utf8.reversed()))
        }
        let matches: Overload.Body = { arguments throws(CELFailure) in
            .bool(try Self.pattern(arguments[1].asString).matches(arguments[0].asString))
        }
        member("matches", text, .bool, cost: .pattern, id: "matches_string", matches)
        function("matches", text, .bool, cost: .pattern, id: "matches", matches)
        member("charAt", [.string, .int], .string) { arguments throws(CELFailure) in
            let scalars = Array(arguments[0].asString.unicodeScalars)
            let index = arguments[1].asInt
            guard index >= 0, index <= scalars.count else { throw Self.outOfRange(index) }
            return .string(index == scalars.count ? "" : String(scalars[Int(index)]))
        }
        addStringSearch()
        addStringChanges()
    }

    static func pattern(_ source: String) throws(CELFailure) -> Pattern {
        do { return try Pattern(source) } catch { throw CELFailure(error.description) }
    }

    private static func outOfRange(_ index: Int64) -> CELFailure { CELFailure("index out of range: \(index)") }

    static func contains(_ text: String, _ part: String) -> Bool {
        find(Array(text.utf8), Array(part.utf8), from: 0) != nil
    }

    private static func find<T: Equatable>(_ text: [T], _ part: [T], from start: Int) -> Int? {
        guard let first = part.first else { return start }
        var index = start
        while index + part.count <= text.count {
            if text[index] == first, text[index..<index + part.count].elementsEqual(part) { return index }
            index += 1
        }
        return nil
    }

    private static func findLast<T: Equatable>(_ text: [T], _ part: [T], from start: Int) -> Int? {
        var index = min(start, text.count - part.count)
        while index >= 0 {
            if text[index..<index + part.count].elementsEqual(part) { return index }
            index -= 1
        }
        return nil
    }

    private mutating func addStringSearch() {
        let walk = CostRule.traversal
        member("indexOf", [.string, .string], .int, cost: walk) {
            let (text, part) = (Array($0[0].asString.unicodeScalars), Array($0[1].asString.unicodeScalars))
            return .int(Int64(Self.find(text, part, from: 0) ?? -1))
        }
        member("indexOf", [.string, .string, .int], .int, cost: walk) { arguments throws(CELFailure) in
            let text = Array(arguments[0].asString.unicodeScalars)
            let part = Array(arguments[1].asString.unicodeScalars)
            let start = arguments[2].asInt
            guard start >= 0 else { throw Self.outOfRange(start) }
            if part.isEmpty { return .int(min(start, Int64(text.count))) }
            if start >= text.count { return .int(-1) }
            return .int(Int64(Self.find(text, part, from: Int(start)) ?? -1))
        }
        member("lastIndexOf", [.string, .string], .int, cost: walk) {
            let (text, part) = (Array($0[0].asString.unicodeScalars), Array($0[1].asString.unicodeScalars))
            return .int(Int64(part.isEmpty ? text.count : Self.findLast(text, part, from: text.count) ?? -1))
        }
        member("lastIndexOf", [.string, .string, .int], .int, cost: walk) { arguments throws(CELFailure) in
            let text = Array(arguments[0].asString.unicodeScalars)
            let part = Array(arguments[1].asString.unicodeScalars)
            let start = arguments[2].asInt
            guard start >= 0 else { throw Self.outOfRange(start) }
            if part.isEmpty { return .int(min(start, Int64(text.count))) }
            if start >= text.count { return .int(-1) }
            return .int(Int64(Self.findLast(text, part, from: Int(start)) ?? -1))
        }
    }

    private mutating func addStringChanges() {
        let walk = CostRule.walk(argument: 0, factor: 0.1)
        let twice = CostRule.walk(argument: 0, factor: 0.2)
        member("lowerAscii", [.string], .string, cost: walk) {
            .string(Self.mapASCII($0[0].asString) { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 })
        }
        member("upperAscii", [.string], .string, cost: walk) {
            .string(Self.mapASCII($0[0].asString) { $0 >= 97 && $0 <= 122 ? $0 - 32 : $0 })
        }
        member("trim", [.string], .string, cost: walk) {
            let scalars = $0[0].asString.unicodeScalars
            let start = scalars.drop { $0.properties.isWhitespace }
            guard let end = start.lastIndex(where: { !$0.properties.isWhitespace }) else { return .string("") }
            return .string(String(start[...end]))
        }
        member("replace", [.string, .string, .string], .string, cost: twice) { arguments throws(CELFailure) in
            .string(try Self.replace(arguments, limit: -1))
        }
        member("replace", [.string, .string, .string, .int], .string, cost: twice) { arguments throws(CELFailure) in
            .string(try Self.replace(arguments, limit: arguments[3].asInt))
        }
        member("split", [.string, .string], .list(.string), cost: twice) {
            .list(.values(Self.split($0[0].asString, $0[1].asString, limit: -1)))
        }
        member("split", [.string, .string, .int], .list(.string), cost: twice) {
            .list(.values(Self.split($0[0].asString, $0[1].asString, limit: $0[2].asInt)))
        }
        member("substring", [.string, .int], .string, cost: walk) { arguments throws(CELFailure) in
            let scalars = Array(arguments[0].asString.unicodeScalars)
            let start = arguments[1].asInt
            guard start >= 0, start <= scalars.count else { throw Self.outOfRange(start) }
            return .string(Self.text(scalars[Int(start)...]))
        }
        member("substring", [.string, .int, .int], .string, cost: walk) { arguments throws(CELFailure) in
            let scalars = Array(arguments[0].asString.unicodeScalars)
            let (start, end) = (arguments[1].asInt, arguments[2].asInt)
            if start > end { throw CELFailure("invalid substring range. start: \(start), end: \(end)") }
            guard start >= 0, start <= scalars.count else { throw Self.outOfRange(start) }
            guard end >= 0, end <= scalars.count else { throw Self.outOfRange(end) }
            return .string(Self.text(scalars[Int(start)..<Int(end)]))
        }
        let joined = CostRule.walkResult(factor: 0.2)
        member("join", [.list(.string)], .string, cost: joined) { arguments throws(CELFailure) in
            .string(try Self.join(arguments[0].asList, ""))
        }
        member("join", [.list(.string), .string], .string, cost: joined) { arguments throws(CELFailure) in
            .string(try Self.join(arguments[0].asList, arguments[1].asString))
        }
        function("strings.quote", [.string], .string, cost: walk) { .string(StringFormat.quote($0[0].asString)) }
        member("format", [.string, .list(.dyn)], .string, cost: walk) { arguments throws(CELFailure) in
            .string(try StringFormat(isQuoting: true).run(arguments[0].asString, arguments[1].asList))
        }
    }

    private static func mapASCII(_ text: String, _ change: (UInt8) -> UInt8) -> String {
        String(decoding: text.utf8.map(change), as: UTF8.self)
    }

    private static func text(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return String(text)
    }

    /// The most that one `replace` or `join` may make, in bytes: arguments alone do not bound it.
    private static let maximumResult = 4 << 20

    private static func replace(_ arguments: [CELValue], limit: Int64) throws(CELFailure) -> String {
        let text = Array(arguments[0].asString.utf8)
        let old = Array(arguments[1].asString.utf8)
        let new = Array(arguments[2].asString.utf8)
        var left = limit < 0 ? Int64.max : limit
        var result: [UInt8] = []
        var index = 0
        while left > 0, index <= text.count {
            if old.isEmpty {
                result += new
                guard index < text.count else { break }
                // Between scalars, not inside of them.
                repeat {
                    result.append(text[index])
                    index += 1
                } while index < text.count && text[index] & 0xc0 == 0x80
            } else {
                guard let found = find(text, old, from: index) else { break }
                result += text[index..<found]
                result += new
                index = found + old.count
            }
            if result.count > maximumResult { throw CELFailure("replace: result too large") }
            left -= 1
        }
        if index < text.count { result += text[index...] }
        return String(decoding: result, as: UTF8.self)
    }

    private static func split(_ text: String, _ separator: String, limit: Int64) -> [CELValue] {
        if limit == 0 { return [] }
        if limit == 1 { return [.string(text)] }
        let most = limit < 0 ? Int.max : Int(clamping: limit)
        if separator.isEmpty {
            let scalars = Array(text.unicodeScalars)
            var parts = scalars.prefix(scalars.count > most ? most - 1 : scalars.count).map {
                CELValue.string(String($0))
            }
            if scalars.count > most { parts.append(.string(Self.text(scalars[(most - 1)...]))) }
            return parts
        }
        let bytes = Array(text.utf8)
        let mark = Array(separator.utf8)
        var parts: [CELValue] = []
        var index = 0
        while parts.count < most - 1, let found = find(bytes, mark, from: index) {
            parts.append(.string(String(decoding: bytes[index..<found], as: UTF8.self)))
            index = found + mark.count
        }
        parts.append(.string(String(decoding: bytes[index...], as: UTF8.self)))
        return parts
    }

    private static func join(_ list: CELList, _ separator: String) throws(CELFailure) -> String {
        var result = ""
        for index in 0..<list.count {
            guard case .string(let part) = list[index] else {
                throw CELFailure("join: invalid input: \(CELText.display(list[index]))")
            }
            if index > 0 { result += separator }
            result += part
            if result.utf8.count > maximumResult { throw CELFailure("join: result too large") }
        }
        return result
    }

    mutating func addRegularExpressions() {
        member("find", [.string, .string], .string, cost: .pattern) { arguments throws(CELFailure) in
            .string(try Self.pattern(arguments[1].asString).find(arguments[0].asString) ?? "")
        }
        member("findAll", [.string, .string], .list(.string), cost: .pattern) { arguments throws(CELFailure) in
            let found = try Self.pattern(arguments[1].asString).findAll(arguments[0].asString)
            return .list(.values(found.map(CELValue.string)))
        }
        member("findAll", [.string, .string, .int], .list(.string), cost: .pattern) { arguments throws(CELFailure) in
            let limit = arguments[2].asInt
            let found = try Self.pattern(arguments[1].asString)
                .findAll(arguments[0].asString, limit: limit < 0 ? nil : Int(clamping: limit))
            return .list(.values(found.map(CELValue.string)))
        }
    }
}
