import JSON
import ObjectModel

/// Scalars of a tree: what is accepted for each kind, and in which form it is kept.
enum MesosScalars {
    /// A signed integer in a range; numbers with a zero fraction and numbers in text count.
    static func signed(_ value: JSON, _ range: ClosedRange<Int64>) throws(CodecProblem) -> Int64 {
        let number: Int64?
        switch value {
        case .integer(let integer): number = integer
        case .number(let text): number = Int64(exactly: text.doubleValue)
        case .string(let text): number = Int64(text)
        default: throw .wrongType("an integer", value)
        }
        guard let number, range.contains(number) else {
            throw CodecProblem(.invalid, "\(value) is not an integer of that range")
        }
        return number
    }

    static func unsigned(_ value: JSON, _ maximum: UInt64) throws(CodecProblem) -> UInt64 {
        let number: UInt64?
        switch value {
        case .integer(let integer): number = UInt64(exactly: integer)
        case .number(let text): number = UInt64(text.text) ?? UInt64(exactly: text.doubleValue)
        case .string(let text): number = UInt64(text)
        default: throw .wrongType("an integer", value)
        }
        guard let number, number <= maximum else {
            throw CodecProblem(.invalid, "\(value) is not an unsigned integer of that range")
        }
        return number
    }

    static func double(_ value: JSON) throws(CodecProblem) -> Double {
        switch value {
        case .integer(let integer): return Double(integer)
        case .number(let number): return number.doubleValue
        case .string("Infinity"): return .infinity
        case .string("-Infinity"): return -.infinity
        case .string("NaN"): return .nan
        case .string(let text):
            guard let number = Double(text), number.isFinite else {
                throw CodecProblem(.invalid, "\(value) is not a number")
            }
            return number
        default: throw .wrongType("a number", value)
        }
    }

    static func json(_ number: UInt64) -> JSON {
        Int64(exactly: number).map(JSON.integer) ?? .number(JSONNumber(text: String(number)))
    }

    static func json(_ number: Double) -> JSON {
        if number.isFinite { return .number(JSONNumber(text: number.description)) }
        return number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
    }

    /// A value of an enum as its number; nil for one that is not known and that no UNKNOWN stands for.
    static func enumeration(_ value: JSON, _ place: Int) throws(CodecProblem) -> Int32? {
        let type = MesosSchema.shared.enums[place]
        switch value {
        case .string(let name):
            return type.byName[name] ?? type.unknown.flatMap { type.byName[$0] }
        case .integer(let number):
            if let known = Int32(exactly: number), type.byNumber[known] != nil { return known }
            return type.unknown.flatMap { type.byName[$0] }
        default: throw .wrongType("a name of \(type.name)", value)
        }
    }

    static func bytes(_ value: JSON) throws(CodecProblem) -> [UInt8] {
        guard case .string(let text) = value else { throw .wrongType("base64 in a string", value) }
        guard let bytes = Base64.decode(text.utf8) else { throw CodecProblem(.invalid, "not base64") }
        return bytes
    }

    /// Seconds and nanoseconds of `google.protobuf.Duration`: text such as `1.5s`, or an object of the two.
    static func duration(_ value: JSON) throws(CodecProblem) -> (seconds: Int64, nanos: Int32) {
        if case .object(let members) = value {
            let nanos = try signed(members["nanos"] ?? 0, -999_999_999...999_999_999)
            return (try signed(members["seconds"] ?? 0, .min ... .max), Int32(nanos))
        }
        guard case .string(let text) = value else { throw .wrongType("a duration such as \"10s\"", value) }
        let isNegative = text.hasPrefix("-")
        let parts = text.dropFirst(isNegative ? 1 : 0).dropLast().split(
            separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard text.hasSuffix("s"), let first = parts.first, let seconds = Int64(first), seconds >= 0,
            parts.count == 1 || (1...9).contains(parts[1].count)
        else {
            throw CodecProblem(.invalid, "\(value) is not a duration such as \"10s\"")
        }
        var nanos: Int32 = 0
        if parts.count == 2 {
            guard let fraction = Int32(parts[1] + String(repeating: "0", count: 9 - parts[1].count)), fraction >= 0
            else {
                throw CodecProblem(.invalid, "\(value) is not a duration such as \"10s\"")
            }
            nanos = fraction
        }
        return isNegative ? (-seconds, -nanos) : (seconds, nanos)
    }

    static func durationText(seconds: Int64, nanos: Int32) -> String {
        let sign = seconds < 0 || nanos < 0 ? "-" : ""
        var text = sign + String(seconds.magnitude)
        if nanos != 0 {
            let digits = String(min(nanos.magnitude, 999_999_999))
            var fraction = String(repeating: "0", count: 9 - digits.count) + digits
            while fraction.hasSuffix("0") { fraction.removeLast() }
            text += "." + fraction
        }
        return text + "s"
    }
}
