import Synchronization

/// A declared object type: named, typed fields of a JSON object.
///
/// A reference, so that types may be recursive; two are the same type when they are the same instance or have equal
/// names. Field names are those of the JSON document; expressions write them escaped (`CELName.escape`).
public final class CELObjectType: Sendable, Hashable {
    /// A field of an object.
    public struct Field: Sendable {
        /// The type of its values.
        public var type: CELType
        /// How its values compare and add when they are lists.
        public var listKind: CELListKind

        /// A field of a type.
        public init(_ type: CELType, listKind: CELListKind = .atomic) {
            self.type = type
            self.listKind = listKind
        }
    }

    /// The name that messages show, for example `Object.spec`.
    public let name: String
    /// The fields by their name in JSON, made at first use (so that a type may mention itself).
    public var fields: [String: Field] { cache.value }
    private let cache: Lazy<[String: Field]>

    /// True for the types of `Object{…}` in mutating policies: every field may be set and read, unchecked.
    let isOpen: Bool

    /// A type whose every field is `dyn`.
    init(openName: String) {
        name = openName
        isOpen = true
        cache = Lazy { [:] }
    }

    /// Declares a type. `fields` is called once, at first use.
    public init(name: String, fields: @escaping @Sendable () -> [String: Field]) {
        self.name = name
        isOpen = false
        cache = Lazy(fields)
    }

    public static func == (left: CELObjectType, right: CELObjectType) -> Bool {
        left === right || left.name == right.name
    }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// A value computed once, at first use.
private final class Lazy<Value: Sendable>: Sendable {
    private let make: @Sendable () -> Value
    private let made = Mutex<Value?>(nil)

    init(_ make: @escaping @Sendable () -> Value) { self.make = make }

    var value: Value {
        if let value = made.withLock({ $0 }) { return value }
        // Outside the lock: making the fields may look at other types, or at this one.
        let value = make()
        return made.withLock { stored in
            if let stored { return stored }
            stored = value
            return value
        }
    }
}
