/// What type variables stand for, and whether types fit each other given that.
struct Substitution {
    private var bindings: [String: CELType] = [:]

    /// True when a value of the type `from` may stand where `to` is wanted; binds type variables of both. On false
    /// nothing has changed.
    mutating func assign(_ to: CELType, _ from: CELType) -> Bool {
        var attempt = self
        guard attempt.fits(to, from) else { return false }
        self = attempt
        return true
    }

    mutating func assign(_ to: [CELType], _ from: [CELType]) -> Bool {
        guard to.count == from.count else { return false }
        var attempt = self
        for (left, right) in zip(to, from) {
            guard attempt.fits(left, right) else { return false }
        }
        self = attempt
        return true
    }

    /// The type with its variables replaced; unbound ones stay, or become `dyn`.
    func resolve(_ type: CELType, unboundAsDyn: Bool = false) -> CELType {
        switch type {
        case .parameter(let name):
            if let bound = bindings[name] { return resolve(bound, unboundAsDyn: unboundAsDyn) }
            return unboundAsDyn ? .dyn : type
        case .list(let element): return .list(resolve(element, unboundAsDyn: unboundAsDyn))
        case .map(let key, let value):
            return .map(resolve(key, unboundAsDyn: unboundAsDyn), resolve(value, unboundAsDyn: unboundAsDyn))
        case .optional(let value): return .optional(resolve(value, unboundAsDyn: unboundAsDyn))
        case .type(let value): return .type(resolve(value, unboundAsDyn: unboundAsDyn))
        default: return type
        }
    }

    private mutating func fits(_ left: CELType, _ right: CELType) -> Bool {
        if case .parameter(let name) = right {
            let (isValid, isBound) = substitute(name, left)
            if isValid { return true }
            if isBound { return false }
        }
        if case .parameter(let name) = left { return substitute(name, right).isValid }
        switch (left, right) {
        case (.dyn, _), (_, .dyn): return true
        case (.null, .null): return true
        case (.null, let other), (let other, .null):
            switch other {
            case .opaque, .optional, .object, .duration, .timestamp: return true
            default: return false
            }
        case (.list(let a), .list(let b)), (.optional(let a), .optional(let b)): return fits(a, b)
        case (.map(let keyA, let valueA), .map(let keyB, let valueB)): return fits(keyA, keyB) && fits(valueA, valueB)
        case (.type, .type): return true
        default: return left == right
        }
    }

    /// Binds a variable to a type, or checks the type against what it is bound to (keeping the more general).
    private mutating func substitute(_ name: String, _ type: CELType) -> (isValid: Bool, isBound: Bool) {
        if type == .parameter(name) { return (true, true) }
        if let bound = bindings[name] {
            if bound == type { return (true, true) }
            guard fits(type, bound) else { return (false, true) }
            let general = Self.isMoreGeneral(type, bound) ? type : bound
            if !mentions(general, name) { bindings[name] = general }
            return (true, true)
        }
        guard !mentions(type, name) else { return (false, false) }
        bindings[name] = type
        return (true, false)
    }

    private func mentions(_ type: CELType, _ name: String) -> Bool {
        switch type {
        case .parameter(let other):
            if other == name { return true }
            return bindings[other].map { mentions($0, name) } ?? false
        case .list(let inner), .optional(let inner), .type(let inner): return mentions(inner, name)
        case .map(let key, let value): return mentions(key, name) || mentions(value, name)
        default: return false
        }
    }

    /// True when the left type is equal to the right or less specific.
    static func isMoreGeneral(_ left: CELType, _ right: CELType) -> Bool {
        switch (left, right) {
        case (.dyn, _), (.parameter, _): true
        case (_, .dyn), (_, .parameter): false
        case (.list(let a), .list(let b)), (.optional(let a), .optional(let b)): isMoreGeneral(a, b)
        case (.map(let keyA, let valueA), .map(let keyB, let valueB)):
            isMoreGeneral(keyA, keyB) && isMoreGeneral(valueA, valueB)
        case (.type, .type): true
        default: left == right
        }
    }
}
