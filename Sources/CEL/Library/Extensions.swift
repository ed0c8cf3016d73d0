import ObjectModel

extension FunctionTable {
    /// What mutating policies have besides.
    mutating func addMutation() {
        function("jsonpatch.escapeKey", [.string], .string, cost: .walk(argument: 0, factor: 0.1)) { arguments in
            var out = ""
            for scalar in arguments[0].asString.unicodeScalars {
                switch scalar {
                case "~": out += "~0"
                case "/": out += "~1"
                default: out.unicodeScalars.append(scalar)
                }
            }
            return .string(out)
        }
    }

    /// What CEL has and Kubernetes has not.
    mutating func addExtensions() {
        let walk = CostRule.walk(argument: 0, factor: 0.1)
        member("reverse", [.string], .string, cost: walk) {
            var scalars = String.UnicodeScalarView()
            scalars.append(contentsOf: $0[0].asString.unicodeScalars.reversed())
            return .string(String(scalars))
        }
        // The newest `format` prints lists and maps without quotes.
        replace("format") { arguments throws(CELFailure) in
            .string(try StringFormat(isQuoting: false).run(arguments[0].asString, arguments[1].asList))
        }
        function("base64.encode", [.bytes], .string, cost: walk) {
            if case .bytes(let bytes) = $0[0] { .string(Base64.encode(bytes)) } else { .string("") }
        }
        function("base64.decode", [.string], .bytes, cost: walk) { arguments throws(CELFailure) in
            guard let bytes = Base64.decode(arguments[0].asString.utf8) else {
                throw CELFailure("illegal base64 data")
            }
            return .bytes(bytes)
        }
        addMath()
    }

    private mutating func replace(_ name: String, _ body: @escaping Overload.Body) {
        overloads[name] = overloads[name]?.map {
            Overload($0.id, isMember: $0.isMember, $0.parameters, $0.result, $0.cost, body)
        }
    }

    private mutating func addMath() {
        let numbers: [CELType] = [.int, .uint, .double]
        for (name, wanted) in [("math.least", -1), ("math.greatest", 1)] {
            let body: Overload.Body = { arguments throws(CELFailure) in
                var values = arguments
                if arguments.count == 1, case .list(let list) = arguments[0] {
                    if list.count == 0 { throw CELFailure("\(name)(list) argument must not be empty") }
                    values = list.values
                }
                var best = values[0]
                for value in values {
                    guard TypeNames.isNumber(value) else { throw Arithmetic.noOverload }
                    if CELValue.order(value, best) == wanted { best = value }
                }
                return best
            }
            for type in numbers {
                function(name, [type], type, body)
                function(name, [.list(type)], type, body)
                for other in numbers { function(name, [type, other], type == other ? type : .dyn, body) }
            }
            function(name, [.list(.dyn)], .dyn, body)
            for count in 3...8 { function(name, Array(repeating: .dyn, count: count), .dyn, body) }
        }
        let roundings: [(String, @Sendable (Double) -> Double)] = [
            ("ceil", { $0.rounded(.up) }), ("floor", { $0.rounded(.down) }),
            ("round", { $0.rounded(.toNearestOrAwayFromZero) }), ("trunc", { $0.rounded(.towardZero) }),
        ]
        for (name, body) in roundings {
            function("math.\(name)", [.double], .double) { .double(body($0[0].asDouble)) }
        }
        function("math.isInf", [.double], .bool) { .bool($0[0].asDouble.isInfinite) }
        function("math.isNaN", [.double], .bool) { .bool($0[0].asDouble.isNaN) }
        function("math.isFinite", [.double], .bool) { .bool($0[0].asDouble.isFinite) }
        for type in numbers {
            function("math.sqrt", [type], .double) { .double($0[0].asDouble.squareRoot()) }
            function("math.abs", [type], type) { arguments throws(CELFailure) in
                switch arguments[0] {
                case .int(let value):
                    if value == .min { throw Arithmetic.intOverflow }
                    return .int(abs(value))
                case .double(let value): return .double(abs(value))
                case let value: return value
                }
            }
            function("math.sign", [type], type) {
                switch $0[0] {
                case .int(let value): .int(value.signum())
                case .uint(let value): .uint(value == 0 ? 0 : 1)
                case .double(let value): .double(value.isNaN ? .nan : value == 0 ? 0 : value < 0 ? -1 : 1)
                case let value: value
                }
            }
        }
        addBits()
    }

    private mutating func addBits() {
        func two(_ name: String, _ body: @escaping @Sendable (UInt64, UInt64) -> UInt64) {
            function("math.\(name)", [.int, .int], .int) { .int(Int64(bitPattern: body($0[0].asBits, $0[1].asBits))) }
            function("math.\(name)", [.uint, .uint], .uint) { .uint(body($0[0].asBits, $0[1].asBits)) }
        }
        two("bitAnd", &)
        two("bitOr", |)
        two("bitXor", ^)
        function("math.bitNot", [.int], .int) { .int(~$0[0].asInt) }
        function("math.bitNot", [.uint], .uint) { .uint(~$0[0].asBits) }
        for (name, isLeft) in [("math.bitShiftLeft", true), ("math.bitShiftRight", false)] {
            for type in [CELType.int, .uint] {
                function(name, [type, .int], type) { arguments throws(CELFailure) in
                    let offset = arguments[1].asInt
                    if offset < 0 { throw CELFailure("\(name)() negative offset: \(offset)") }
                    let bits = arguments[0].asBits
                    // A right shift of an int fills with zeros, too.
                    let shifted = offset > 63 ? 0 : isLeft ? bits << UInt64(offset) : bits >> UInt64(offset)
                    return type == .int ? .int(Int64(bitPattern: shifted)) : .uint(shifted)
                }
            }
        }
    }
}

extension CELValue {
    fileprivate var asDouble: Double {
        switch self {
        case .double(let value): value
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        default: .nan
        }
    }
    fileprivate var asBits: UInt64 {
        switch self {
        case .int(let value): UInt64(bitPattern: value)
        case .uint(let value): value
        default: 0
        }
    }
}

extension TypeNames {
    static func isNumber(_ value: CELValue) -> Bool {
        switch value {
        case .int, .uint, .double: true
        default: false
        }
    }
}
