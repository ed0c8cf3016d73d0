import JSON
import ObjectModel
import RegularExpression
import Synchronization

/// One of Marathon's placement constraints: `[field, operator, value?]`.
///
/// Some look at the node alone (`LIKE`, `UNLIKE`, `IS`, `CLUSTER` with a value), the others count the instances of the
/// same app by the field's value.
struct MarathonConstraint: Sendable, Hashable {
    enum Rule: Sendable, Hashable {
        case unique
        /// Where the others are.
        case cluster
        /// Evenly over the values; at least so many of them when given.
        case groupBy(Int?)
        case maximumPer(Int)
        case like(Expression)
        case unlike(Expression)
        case equal(String)
        /// An operator or value that makes no sense: no node satisfies it.
        case unsatisfiable
    }
    /// A regular expression that must match the whole text.
    struct Expression: Sendable, Hashable {
        var source: String
        var pattern: Pattern?

        static func == (left: Expression, right: Expression) -> Bool { left.source == right.source }
        func hash(into hasher: inout Hasher) { hasher.combine(source) }
    }

    static let annotation = "marathon.apus.dev/constraints"
    static let groupLabel = "marathon.apus.dev/app"
    static let reason = "node(s) didn't satisfy Marathon constraint"

    var field: Field
    var rule: Rule

    /// True when it depends on where other instances are.
    var isCounting: Bool {
        switch rule {
        case .unique, .cluster, .groupBy, .maximumPer: true
        default: false
        }
    }

    /// The constraints of an annotation; text that is none allows no node, for running anywhere could do harm.
    static func parse(_ annotation: String?) -> [MarathonConstraint] {
        guard let annotation else { return [] }
        guard let list = try? JSON.parse(annotation).array else {
            return [MarathonConstraint(field: Field("hostname"), rule: .unsatisfiable)]
        }
        return list.map(MarathonConstraint.init)
    }

    init(field: Field, rule: Rule) {
        self.field = field
        self.rule = rule
    }

    init(_ json: JSON) {
        field = Field(json[0].string ?? "")
        // The value is text, but a number is what people write.
        let value = json[2].string ?? json[2].int.map { String($0) } ?? ""
        switch json[1].string?.uppercased() {
        case "UNIQUE": rule = .unique
        case "CLUSTER": rule = value.isEmpty ? .cluster : .equal(value)
        case "GROUP_BY": rule = value.isEmpty ? .groupBy(nil) : Int(value).map { .groupBy($0) } ?? .unsatisfiable
        case "MAX_PER": rule = Int(value).map { .maximumPer($0) } ?? .unsatisfiable
        case "LIKE": rule = .like(Patterns.expression(value))
        case "UNLIKE": rule = .unlike(Patterns.expression(value))
        case "IS": rule = .equal(value)
        default: rule = .unsatisfiable
        }
    }

    /// Whether a node may be chosen as far as that depends on the node alone.
    func allows(_ node: NodeView) -> Bool {
        let found = field.value(on: node)
        switch rule {
        case .unlike(let expression):
            guard let found else { return true }
            return expression.pattern.map { !$0.matches(found) } ?? false
        case .like(let expression):
            guard let found else { return false }
            return expression.pattern?.matches(found) ?? false
        case .equal(let wanted):
            guard let found else { return false }
            return found == wanted || Self.isSameNumber(found, wanted)
        case .unique, .cluster, .groupBy, .maximumPer: return found != nil
        case .unsatisfiable: return false
        }
    }

    /// Scalars of Mesos have three decimals.
    private static func isSameNumber(_ left: String, _ right: String) -> Bool {
        guard let left = Double(left), let right = Double(right), left.isFinite, right.isFinite else { return false }
        return (left * 1000).rounded(.toNearestOrEven) == (right * 1000).rounded(.toNearestOrEven)
    }
}

extension MarathonConstraint {
    /// What a constraint looks at: the host's name, its region or zone, an attribute or any label of the node.
    struct Field: Sendable, Hashable {
        var name: String

        init(_ name: String) {
            self.name = name == "@hostname" ? "hostname" : name
        }

        static let attributePrefix = "attribute.mesos.apus.dev/"
        private static let topologyPrefix = "field:"

        /// A key for `NodeTable.topology` that no label can have.
        var topologyKey: String { Self.topologyPrefix + name }

        init?(topologyKey: String) {
            guard topologyKey.hasPrefix(Self.topologyPrefix) else { return nil }
            name = String(topologyKey.dropFirst(Self.topologyPrefix.count))
        }

        func value(on node: NodeView) -> String? {
            switch name {
            case "hostname": node.name
            case "@region": node.labels["topology.kubernetes.io/region"]
            case "@zone": node.labels["topology.kubernetes.io/zone"]
            default: node.labels[Self.attributePrefix + name] ?? node.labels[name]
            }
        }
    }

    /// Compiled patterns, shared: every version of every pod names its pattern again.
    private enum Patterns {
        private static let known = Mutex<[String: Pattern?]>([:])
        private static let maximum = 1024

        static func expression(_ source: String) -> Expression {
            let pattern = known.withLock { known -> Pattern? in
                if let found = known[source] { return found }
                if known.count >= maximum { known = [:] }
                let made = try? Pattern("\\A(?:\(source))\\z")
                known[source] = .some(made)
                return made
            }
            return Expression(source: source, pattern: pattern)
        }
    }
}
