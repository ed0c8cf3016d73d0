import ObjectModel

/// A Kubernetes quantity.
struct QuantityValue: CELOpaque {
    static let type = CELType.opaque("kubernetes.Quantity")
    let quantity: Quantity
    var typeName: String { "kubernetes.Quantity" }
    func isEqual(to other: any CELOpaque) -> Bool { (other as? QuantityValue)?.quantity == quantity }
}

extension FunctionTable {
    mutating func addQuantities() {
        let type = QuantityValue.type
        let walk = CostRule.walk(argument: 0, factor: 0.1)
        function("quantity", [.string], type, cost: walk) { arguments throws(CELFailure) in
            guard let quantity = Quantity(arguments[0].asString) else {
                throw CELFailure(
                    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
            }
            return .opaque(QuantityValue(quantity: quantity))
        }
        function("isQuantity", [.string], .bool, cost: walk) { .bool(Quantity($0[0].asString) != nil) }
        func one(
            _ name: String, _ result: CELType, _ body: @escaping @Sendable (Quantity) throws(CELFailure) -> CELValue
        ) {
            member(name, [type], result) { arguments throws(CELFailure) in try body(Self.quantity(arguments[0])) }
        }
        func two(_ name: String, _ result: CELType, _ body: @escaping @Sendable (Quantity, Quantity) -> CELValue) {
            member(name, [type, type], result) { arguments throws(CELFailure) in
                body(try Self.quantity(arguments[0]), try Self.quantity(arguments[1]))
            }
        }
        one("sign", .int) { .int($0.isZero ? 0 : $0.isNegative ? -1 : 1) }
        // Upstream declares the sign as a function, too.
        function("sign", [type], .int) { arguments throws(CELFailure) in
            let quantity = try Self.quantity(arguments[0])
            return .int(quantity.isZero ? 0 : quantity.isNegative ? -1 : 1)
        }
        one("isInteger", .bool) { .bool(Self.whole($0) != nil) }
        one("asInteger", .int) { quantity throws(CELFailure) in
            guard let value = Self.whole(quantity) else {
                throw CELFailure("cannot convert value to integer")
            }
            return .int(value)
        }
        one("asApproximateFloat", .double) { .double($0.doubleValue) }
        two("isGreaterThan", .bool) { .bool($0 > $1) }
        two("isLessThan", .bool) { .bool($0 < $1) }
        two("compareTo", .int) { .int($0 == $1 ? 0 : $0 < $1 ? -1 : 1) }
        two("add", type) { .opaque(QuantityValue(quantity: $0 + $1)) }
        two("sub", type) { .opaque(QuantityValue(quantity: $0 - $1)) }
        member("add", [type, .int], type) { arguments throws(CELFailure) in
            .opaque(QuantityValue(quantity: try Self.quantity(arguments[0]) + Quantity(Int(arguments[1].asInt))))
        }
        member("sub", [type, .int], type) { arguments throws(CELFailure) in
            .opaque(QuantityValue(quantity: try Self.quantity(arguments[0]) - Quantity(Int(arguments[1].asInt))))
        }
    }

    private static func quantity(_ value: CELValue) throws(CELFailure) -> Quantity {
        guard case .opaque(let value) = value, let quantity = value as? QuantityValue else {
            throw Arithmetic.noOverload
        }
        return quantity.quantity
    }

    /// The value when it is a whole number of 64 bits.
    private static func whole(_ quantity: Quantity) -> Int64? {
        let value = quantity.value
        return Quantity(value) == quantity ? Int64(value) : nil
    }
}
