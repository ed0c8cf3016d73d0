public import JSON
import RegularExpression

/// The `OfferConstraints` message, compiled: which agents a framework wants to be offered for each of its roles.
public struct OfferConstraints: Sendable {
    /// What constraints look at.
    public struct Agent: Sendable {
        public var hostname: String
        public var region: String?
        public var zone: String?
        /// `Attribute` messages.
        public var attributes: [JSON]

        /// The facts of an agent.
        public init(hostname: String, region: String? = nil, zone: String? = nil, attributes: [JSON] = []) {
            self.hostname = hostname
            self.region = region
            self.zone = zone
            self.attributes = attributes
        }
    }

    private enum Subject: Sendable {
        case hostname, region, zone
        case attribute(String)
    }
    private enum Predicate: Sendable {
        case exists, notExists
        case equals(String), notEquals(String)
        case matches(Pattern), notMatches(Pattern)
    }
    private struct Constraint: Sendable {
        var subject: Subject
        var predicate: Predicate
    }

    /// Per role: one group must hold, of which every constraint must hold.
    private var groups: [String: [[Constraint]]] = [:]
    /// The message.
    public let tree: JSON

    /// Compiles a message.
    /// - Parameter roles: roles of the framework; constraints of another role are an error.
    /// - Throws: `MesosError` for empty groups, missing selectors, patterns that are none or too large.
    public init(_ tree: JSON, roles: [String]? = nil) throws(MesosError) {
        self.tree = tree
        for (role, entry) in tree["role_constraints"].members {
            if let roles, !roles.contains(role) {
                throw MesosError(.invalid, "Offer constraints are set for role '\(role)', which the framework has not")
            }
            let list = entry["groups"].elements
            guard !list.isEmpty else {
                throw MesosError(.invalid, "Offer constraints of role '\(role)' have no groups")
            }
            var compiled: [[Constraint]] = []
            for group in list {
                let constraints = group["attribute_constraints"].elements
                guard !constraints.isEmpty else {
                    throw MesosError(.invalid, "A group of the offer constraints of role '\(role)' is empty")
                }
                var all: [Constraint] = []
                for constraint in constraints { all.append(try Self.compile(constraint)) }
                compiled.append(all)
            }
            groups[role] = compiled
        }
    }

    /// True when there is nothing to look at.
    public var isEmpty: Bool { groups.isEmpty }

    /// True when the agent may be offered for the role; a role that has no constraints gets everything.
    public func allows(_ agent: Agent, role: String) -> Bool {
        guard let alternatives = groups[role] else { return true }
        return alternatives.contains { $0.allSatisfy { Self.holds($0, agent) } }
    }

    private static func compile(_ tree: JSON) throws(MesosError) -> Constraint {
        let selector = tree["selector"]
        let subject: Subject
        switch (selector["pseudoattribute_type"].string, selector["attribute_name"].string) {
        case ("HOSTNAME", nil): subject = .hostname
        case ("REGION", nil): subject = .region
        case ("ZONE", nil): subject = .zone
        case (nil, let name?): subject = .attribute(name)
        default: throw MesosError(.invalid, "An attribute constraint needs one known selector")
        }
        let predicate = tree["predicate"]
        guard predicate.members.count == 1, let (name, value) = predicate.members.elements.first
        else {
            throw MesosError(.invalid, "An attribute constraint needs one predicate")
        }
        switch name {
        case "exists": return Constraint(subject: subject, predicate: .exists)
        case "not_exists": return Constraint(subject: subject, predicate: .notExists)
        case "text_equals": return Constraint(subject: subject, predicate: .equals(value["value"].string ?? ""))
        case "text_not_equals": return Constraint(subject: subject, predicate: .notEquals(value["value"].string ?? ""))
        case "text_matches": return Constraint(subject: subject, predicate: .matches(try pattern(value)))
        case "text_not_matches": return Constraint(subject: subject, predicate: .notMatches(try pattern(value)))
        default: throw MesosError(.invalid, "The predicate '\(name)' of an attribute constraint is not known")
        }
    }

    private static func pattern(_ value: JSON) throws(MesosError) -> Pattern {
        let text = value["regex"].string ?? ""
        // As strict as the original's 4 KB of compiled program.
        guard text.utf8.count <= 1024 else {
            throw MesosError(.tooLarge, "A regex of an attribute constraint is too long")
        }
        do throws(PatternProblem) {
            return try Pattern("\\A(?:\(text))\\z")
        } catch {
            throw MesosError(.invalid, "The regex '\(text)' of an attribute constraint is not valid: \(error)")
        }
    }

    private static func holds(_ constraint: Constraint, _ agent: Agent) -> Bool {
        switch constraint.subject {
        case .hostname: return holds(constraint.predicate, exists: true, text: agent.hostname)
        case .region: return holds(constraint.predicate, exists: agent.region != nil, text: agent.region)
        case .zone: return holds(constraint.predicate, exists: agent.zone != nil, text: agent.zone)
        case .attribute(let name):
            let named = agent.attributes.filter { $0["name"].string == name }
            switch constraint.predicate {
            case .exists: return !named.isEmpty
            case .notExists: return named.isEmpty
            case .equals, .matches:
                // An attribute of another type than text stands in nobody's way.
                return named.contains {
                    $0["type"].string != "TEXT"
                        || holds(constraint.predicate, exists: true, text: $0["text"]["value"].string)
                }
            case .notEquals, .notMatches:
                return named.allSatisfy {
                    $0["type"].string != "TEXT"
                        || holds(constraint.predicate, exists: true, text: $0["text"]["value"].string)
                }
            }
        }
    }

    private static func holds(_ predicate: Predicate, exists: Bool, text: String?) -> Bool {
        switch predicate {
        case .exists: exists
        case .notExists: !exists
        case .equals(let value): text == value
        case .notEquals(let value): text != value
        case .matches(let pattern): text.map(pattern.matches) ?? false
        case .notMatches(let pattern): !(text.map(pattern.matches) ?? false)
        }
    }
}
