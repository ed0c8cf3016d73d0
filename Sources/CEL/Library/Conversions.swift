import ObjectModel

/// Conversions between types.
enum Conversions {
    static func duration(_ text: String) -> GoDuration? {
        if text == "-9223372036.854775808s" { return GoDuration(nanoseconds: .min) }
        return GoDuration(text)
    }

    static func int(_ value: CELValue) throws(CELFailure) -> CELValue {
        switch value {
        case .int: return value
        case .uint(let value):
            guard let int = Int64(exactly: value) else { throw Arithmetic.intOverflow }
            return .int(int)
        case .double(let value):
            // The bounds themselves are refused: they may have been rounded to.
            guard value.isFinite, value > -9_223_372_036_854_775_808, value < 9_223_372_036_854_775_808 else {
                throw Arithmetic.intOverflow
            }
            return .int(Int64(value.rounded(.towardZero)))
        case .string(let text):
            guard let int = Int64(text) else {
                throw CELFailure("strconv.ParseInt: parsing \"\(text)\": invalid syntax")
            }
            return .int(int)
        case .timestamp(let value): return .int(value.seconds)
        case .duration(let value): return .int(value.nanoseconds)
        default: throw Arithmetic.noOverload
        }
    }

    static func uint(_ value: CELValue) throws(CELFailure) -> CELValue {
        switch value {
        case .uint: return value
        case .int(let value):
            guard value >= 0 else { throw Arithmetic.uintOverflow }
            return .uint(UInt64(value))
        case .double(let value):
            guard value.isFinite, value >= 0, value < 18_446_744_073_709_551_616 else { throw Arithmetic.uintOverflow }
            return .uint(UInt64(value.rounded(.towardZero)))
        case .string(let text):
            guard !text.hasPrefix("+"), let uint = UInt64(text) else {
                throw CELFailure("strconv.ParseUint: parsing \"\(text)\": invalid syntax")
            }
            return .uint(uint)
        default: throw Arithmetic.noOverload
        }
    }

    static func double(_ value: CELValue) throws(CELFailure) -> CELValue {
        switch value {
        case .double: return value
        case .int(let value): return .double(Double(value))
        case .uint(let value): return .double(Double(value))
        case .string(let text):
            switch text.lowercased() {
            case "nan": return .double(.nan)
            case "inf", "+inf", "infinity", "+infinity": return .double(.infinity)
            case "-inf", "-infinity": return .double(-.infinity)
            default: break
            }
            guard let first = text.utf8.first, first != 0x20, let value = Double(text) else {
                throw CELFailure("strconv.ParseFloat: parsing \"\(text)\": invalid syntax")
            }
            return .double(value)
        default: throw Arithmetic.noOverload
        }
    }

    static func bool(_ text: String) throws(CELFailure) -> CELValue {
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": return .bool(true)
        case "0", "f", "F", "false", "FALSE", "False": return .bool(false)
        default: throw CELFailure("strconv.ParseBool: parsing \"\(text)\": invalid syntax")
        }
    }

    static func string(_ value: CELValue) throws(CELFailure) -> CELValue {
        switch value {
        case .string: return value
        case .bool(let value): return .string(value ? "true" : "false")
        case .int(let value): return .string(String(value))
        case .uint(let value): return .string(String(value))
        case .double(let value): return .string(CELText.double(value))
        case .bytes(let bytes):
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw CELFailure("invalid UTF-8 in bytes, cannot convert to string")
            }
            return .string(text)
        case .timestamp(let value): return .string(value.description)
        case .duration(let value): return .string(CELText.seconds(value))
        default: throw Arithmetic.noOverload
        }
    }
}

extension FunctionTable {
    mutating func addConversions() {
        let a = CELType.parameter("A")
        for type in [CELType.int, .uint, .double, .string, .timestamp, .duration] {
            function("int", [type], .int) { arguments throws(CELFailure) in try Conversions.int(arguments[0]) }
        }
        for type in [CELType.uint, .int, .double, .string] {
            function("uint", [type], .uint) { arguments throws(CELFailure) in try Conversions.uint(arguments[0]) }
        }
        for type in [CELType.double, .int, .uint, .string] {
            function("double", [type], .double) { arguments throws(CELFailure) in
                try Conversions.double(arguments[0])
            }
        }
        function("bool", [.bool], .bool) { $0[0] }
        function("bool", [.string], .bool) { arguments throws(CELFailure) in
            try Conversions.bool(arguments[0].asString)
        }
        for type in [CELType.string, .bool, .int, .uint, .double, .bytes, .timestamp, .duration] {
            let cost: CostRule = type == .bytes ? .walk(argument: 0, factor: 0.1) : .one
            function("string", [type], .string, cost: cost, id: type == .bytes ? "bytes_to_string" : nil) {
                arguments throws(CELFailure) in try Conversions.string(arguments[0])
            }
        }
        function("bytes", [.bytes], .bytes) { $0[0] }
        function("bytes", [.string], .bytes, cost: .walk(argument: 0, factor: 0.1), id: "string_to_bytes") {
            .bytes(Array($0[0].asString.utf8))
        }
        function("timestamp", [.timestamp], .timestamp) { $0[0] }
        function("timestamp", [.string], .timestamp) { arguments throws(CELFailure) in
            let text = arguments[0].asString
            guard text.utf8.count != 10, let value = CELTimestamp(text) else {
                throw CELFailure("parsing time \"\(text)\" as RFC 3339 failed")
            }
            return .timestamp(value)
        }
        function("timestamp", [.int], .timestamp) { arguments throws(CELFailure) in
            guard CELTimestamp.range.contains(arguments[0].asInt) else { throw Arithmetic.timestampOverflow }
            return .timestamp(CELTimestamp(seconds: arguments[0].asInt))
        }
        function("duration", [.duration], .duration) { $0[0] }
        function("duration", [.string], .duration) { arguments throws(CELFailure) in
            guard let value = Conversions.duration(arguments[0].asString) else {
                throw CELFailure("time: invalid duration \"\(arguments[0].asString)\"")
            }
            return .duration(value)
        }
        function("duration", [.int], .duration) { .duration(GoDuration(nanoseconds: $0[0].asInt)) }
        function("dyn", [a], .dyn) { $0[0] }
        function("type", [a], .type(a)) { .type(TypeNames.type(of: $0[0])) }
        addSizes()
    }

    private mutating func addSizes() {
        let body: Overload.Body = { arguments throws(CELFailure) in
            switch arguments[0] {
            case .string(let text): .int(Int64(text.unicodeScalars.count))
            case let value: .int(Int64(clamping: value.size))
            }
        }
        for type in [CELType.string, .bytes, .list(.parameter("A")), .map(.parameter("A"), .parameter("B"))] {
            function("size", [type], .int, body)
            member("size", [type], .int, body)
        }
    }
}
