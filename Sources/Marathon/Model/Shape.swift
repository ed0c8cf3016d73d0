import HTTPWindow
import JSON

/// The form that a document must have: types, and the bounds that belong to them.
indirect enum Shape: Sendable {
    case string
    case bool
    case int(minimum: Int? = nil, maximum: Int? = nil)
    case number(minimum: Double? = nil, maximum: Double? = nil)
    case words([String])
    case list(Shape)
    case map(Shape)
    case object([String: Shape], required: [String] = [])
    /// A string or an object of this form.
    case stringOr(Shape)
    /// A number or the word.
    case numberOr(String)
    case anything

    /// Collects what is wrong, as `error.…` codes by path; violations of bounds separately from those of types.
    struct Findings {
        var wrongTypes: [Violation] = []
        var outOfBounds: [Violation] = []
    }

    /// - Throws: `MarathonError` 400 for wrong types, 422 when only bounds are violated.
    func check(_ document: JSON) throws(MarathonError) {
        var findings = Findings()
        check(document, "", &findings)
        if !findings.wrongTypes.isEmpty { throw .malformed(findings.wrongTypes + findings.outOfBounds) }
        if !findings.outOfBounds.isEmpty { throw .invalid(findings.outOfBounds) }
    }

    private func check(_ json: JSON, _ path: String, _ findings: inout Findings) {
        func expected(_ type: String) {
            findings.wrongTypes.append(Violation(path: path.isEmpty ? "/" : path, message: "error.expected.\(type)"))
        }
        func bounds(_ value: Double, _ minimum: Double?, _ maximum: Double?) {
            if let minimum, value < minimum {
                findings.outOfBounds.append(
                    Violation(path: path, message: "error.min: must be greater than or equal to \(Self.text(minimum))"))
            }
            if let maximum, value > maximum {
                findings.outOfBounds.append(
                    Violation(path: path, message: "error.max: must be less than or equal to \(Self.text(maximum))"))
            }
        }
        switch self {
        case .anything: return
        case .string: if json.string == nil { expected("jsstring") }
        case .bool: if json.bool == nil { expected("jsboolean") }
        case .int(let minimum, let maximum):
            // Integers of the original have 32 bits.
            guard let value = json.int, Int32(exactly: value) != nil else {
                return expected(json.double == nil ? "jsnumber" : "int")
            }
            bounds(Double(value), minimum.map(Double.init), maximum.map(Double.init))
        case .number(let minimum, let maximum):
            guard let value = json.double, value.isFinite else { return expected("jsnumber") }
            bounds(value, minimum, maximum)
        case .words(let words):
            guard let value = json.string else { return expected("jsstring") }
            if !words.contains(value) {
                findings.outOfBounds.append(
                    Violation(
                        path: path, message: "error.unknown.enum.literal: \(words.joined(separator: ", ")) are allowed")
                )
            }
        case .list(let element):
            guard let elements = json.array else { return expected("jsarray") }
            for (index, value) in elements.enumerated() { element.check(value, "\(path)(\(index))", &findings) }
        case .map(let value):
            guard let members = json.object else { return expected("jsobject") }
            for (key, member) in members { value.check(member, "\(path)/\(key)", &findings) }
        case .object(let shapes, let required):
            guard let members = json.object else { return expected("jsobject") }
            for key in required where members[key]?.isNull ?? true {
                findings.wrongTypes.append(Violation(path: "\(path)/\(key)", message: "error.path.missing"))
            }
            for (key, member) in members where !member.isNull {
                shapes[key]?.check(member, "\(path)/\(key)", &findings)
            }
        case .stringOr(let other): if json.string == nil { other.check(json, path, &findings) }
        case .numberOr(let word):
            if json.string == word { return }
            guard let value = json.double else { return expected("jsnumber") }
            bounds(value, 0, nil)
        }
    }

    private static func text(_ value: Double) -> String { JSON.double(value).description }
}

extension JSON {
    /// A number; whole ones are printed without a fraction.
    static func double(_ value: Double) -> JSON {
        if let whole = Int64(exactly: value) { return .integer(whole) }
        return .number(JSONNumber(text: "\(value)"))
    }

    /// The document without members that are null, at any depth.
    var withoutNulls: JSON {
        switch self {
        case .object(let members):
            var out = JSONObject(minimumCapacity: members.count)
            for (key, value) in members where !value.isNull { out[key] = value.withoutNulls }
            return .object(out)
        case .array(let elements): return .array(elements.map(\.withoutNulls))
        default: return self
        }
    }
}
