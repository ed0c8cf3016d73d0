import HTTPWindow
import JSON

/// The form that a document must have.
indirect enum Form: Sendable {
    case text(minimumLength: Int = 0)
    /// The id of a job or a schedule.
    case id(IDRule)
    case flag
    case whole(minimum: Int? = nil)
    case number(minimum: Double? = nil)
    case word([String])
    case list(Form)
    case map(Form)
    /// - Parameter isClosed: members that are not named are refused.
    case object([String: Form], required: [String] = [], isClosed: Bool = true)
    case textOr(Form)

    /// Everything that is wrong.
    func violations(_ document: JSON, _ path: String = "") -> [Violation] {
        var found: [Violation] = []
        check(document, path, &found)
        return found
    }

    private func check(_ json: JSON, _ path: String, _ found: inout [Violation]) {
        func wrong(_ message: String) {
            found.append(Violation(path: path.isEmpty ? "/" : path, message: message))
        }
        func expected(_ type: String) { wrong("Wrong type. Expected \(type), was \(Self.type(of: json)).") }
        func least(_ value: Double, _ minimum: Double?) {
            if let minimum, value < minimum {
                wrong(
                    "\(json.description) is smaller than required minimum value of \(JSON.plain(minimum).description).")
            }
        }
        switch self {
        case .text(let minimum):
            guard let text = json.string else { return expected("string") }
            if text.count < minimum { wrong("'\(text)' does not match minimum length of \(minimum).") }
        case .id(let rule):
            guard let text = json.string else { return expected("string") }
            if !rule.matches(text) { wrong("'\(text.prefix(300))' does not match pattern '\(rule.pattern)'.") }
        case .flag: if json.bool == nil { expected("boolean") }
        case .whole(let minimum):
            guard let value = json.int, Int32(exactly: value) != nil else { return expected("integer") }
            least(Double(value), minimum.map(Double.init))
        case .number(let minimum):
            guard let value = json.double, value.isFinite else { return expected("number") }
            least(value, minimum)
        case .word(let words):
            guard let text = json.string else { return expected("string") }
            if !words.contains(text) { wrong("'\(text)' has to be one of \(words.joined(separator: ", ")).") }
        case .list(let element):
            guard let elements = json.array else { return expected("array") }
            for (index, value) in elements.enumerated() { element.check(value, "\(path)/\(index)", &found) }
        case .map(let value):
            guard let members = json.object else { return expected("object") }
            for (key, member) in members { value.check(member, "\(path)/\(key)", &found) }
        case .object(let forms, let required, let isClosed):
            guard let members = json.object else { return expected("object") }
            for key in required where members[key]?.isNull ?? true { wrong("Property \(key) missing.") }
            let unknown = members.keys.filter { forms[$0] == nil }
            if isClosed, !unknown.isEmpty {
                let names = unknown.map { "'\($0)'" }.joined(separator: ", ")
                wrong("Additional properties are not allowed but found \(names).")
            }
            for (key, member) in members where !member.isNull { forms[key]?.check(member, "\(path)/\(key)", &found) }
        case .textOr(let other): if json.string == nil { other.check(json, path, &found) }
        }
    }

    private static func type(of json: JSON) -> String {
        if json.string != nil { return "string" }
        if json.bool != nil { return "boolean" }
        if json.array != nil { return "array" }
        if json.object != nil { return "object" }
        if json.isNull { return "null" }
        return json.int == nil ? "number" : "integer"
    }
}

/// What ids look like.
enum IDRule: Sendable {
    /// Labels of a domain name with dots between: `prod.report`.
    case job
    /// One such label of two characters or more.
    case schedule

    var pattern: String {
        switch self {
        case .job: "^([a-z0-9]+(\\-+[a-z0-9]+)*)(\\.([a-z0-9]+(\\-+[a-z0-9]+)*))*$"
        case .schedule: "^([a-z0-9][a-z0-9\\-]*[a-z0-9]+)$"
        }
    }

    func matches(_ text: String) -> Bool {
        // An id is the name of an object.
        guard text.utf8.count <= 253 else { return false }
        switch self {
        case .job:
            return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { Self.isLabel($0.utf8) }
        case .schedule: return text.utf8.count > 1 && Self.isLabel(text.utf8)
        }
    }

    private static func isLabel(_ bytes: some BidirectionalCollection<UInt8>) -> Bool {
        func isWord(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let first = bytes.first, let last = bytes.last, isWord(first), isWord(last) else { return false }
        return bytes.allSatisfy { isWord($0) || $0 == UInt8(ascii: "-") }
    }
}

extension JSON {
    /// A number; whole ones are printed without a fraction.
    static func plain(_ value: Double) -> JSON {
        if let whole = Int64(exactly: value) { return .integer(whole) }
        return .number(JSONNumber(text: "\(value)"))
    }
}
