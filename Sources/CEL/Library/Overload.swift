/// One signature of a function, what it does and what it costs.
struct Overload: Sendable {
    typealias Body = @Sendable ([CELValue]) throws(CELFailure) -> CELValue
    /// Upstream's name, where a cost depends on it.
    let id: String
    let isMember: Bool
    /// The receiver first.
    let parameters: [CELType]
    let result: CELType
    let cost: CostRule
    let run: Body
    let isGeneric: Bool

    init(
        _ id: String, isMember: Bool, _ parameters: [CELType], _ result: CELType, _ cost: CostRule,
        _ run: @escaping Body
    ) {
        self.id = id
        self.isMember = isMember
        self.parameters = parameters
        self.result = result
        self.cost = cost
        self.run = run
        isGeneric = (parameters + [result]).contains { Self.mentionsParameter($0) }
    }

    private static func mentionsParameter(_ type: CELType) -> Bool {
        switch type {
        case .parameter: true
        case .list(let inner), .optional(let inner), .type(let inner): mentionsParameter(inner)
        case .map(let key, let value): mentionsParameter(key) || mentionsParameter(value)
        default: false
        }
    }

    /// True when values of these kinds may be passed. Elements of lists are not looked at, except the first where an
    /// overload depends on it.
    func accepts(_ values: [CELValue]) -> Bool {
        guard values.count == parameters.count else { return false }
        for index in values.indices where !Self.fits(values[index], parameters[index]) { return false }
        return true
    }

    private static func fits(_ value: CELValue, _ type: CELType) -> Bool {
        switch (type, value) {
        case (.dyn, _), (.parameter, _): return true
        case (.string, .string), (.int, .int), (.bool, .bool), (.uint, .uint), (.double, .double), (.bytes, .bytes),
            (.null, .null), (.timestamp, .timestamp), (.duration, .duration), (.map, .map), (.map, .object),
            (.optional, .optional), (.type, .type):
            return true
        case (.list(let element), .list(let list)):
            switch element {
            case .dyn, .parameter, .list: return true
            default: return list.count == 0 || fits(list[0], element)
            }
        case (.opaque(let name), .opaque(let value)): return name == value.typeName
        case (.object(let declared), .object(.json(_, let type))): return declared == type
        default: return false
        }
    }
}

/// All functions of some libraries by name.
struct FunctionTable: Sendable {
    var overloads: [String: [Overload]] = [:]

    mutating func function(
        _ name: String, _ parameters: [CELType], _ result: CELType, cost: CostRule = .one, id: String? = nil,
        _ run: @escaping Overload.Body
    ) {
        overloads[name, default: []].append(
            Overload(id ?? name, isMember: false, parameters, result, cost, run))
    }

    /// A function called as `receiver.name(…)`; the receiver is the first parameter.
    mutating func member(
        _ name: String, _ parameters: [CELType], _ result: CELType, cost: CostRule = .one, id: String? = nil,
        _ run: @escaping Overload.Body
    ) {
        overloads[name, default: []].append(Overload(id ?? name, isMember: true, parameters, result, cost, run))
    }

    static func table(_ libraries: CELLibraries) -> FunctionTable {
        switch (libraries.contains(.mutation), libraries.contains(.extensions)) {
        case (false, false): kubernetes
        case (true, false): mutation
        default: everything
        }
    }

    private static let kubernetes = make { _ in }
    private static let mutation = make { $0.addMutation() }
    private static let everything = make {
        $0.addMutation()
        $0.addExtensions()
    }

    private static func make(_ more: (inout FunctionTable) -> Void) -> FunctionTable {
        var table = FunctionTable()
        table.addOperators()
        table.addConversions()
        table.addTimes()
        table.addStrings()
        table.addLists()
        table.addOptionals()
        table.addRegularExpressions()
        table.addURLs()
        table.addQuantities()
        table.addAddresses()
        table.addFormats()
        table.addVersions()
        table.addAuthorizer()
        more(&table)
        return table
    }
}

extension CELValue {
    // What an overload's parameters guarantee; the fallbacks are never seen.
    var asString: String { if case .string(let value) = self { value } else { "" } }
    var asInt: Int64 { if case .int(let value) = self { value } else { 0 } }
    var asList: CELList { if case .list(let value) = self { value } else { .values([]) } }
}
