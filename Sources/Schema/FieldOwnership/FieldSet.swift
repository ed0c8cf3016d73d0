import JSON

/// A set of fields of an object: what one manager owns.
///
/// A tree whose steps are kept in the text form of `FieldsV1` (KEP-555), so that reading and writing the stored form
/// parses nothing: `f:spec` a member, `k:{"name":"x"}` an item of a keyed list, `v:"x"` an element of a set, `i:0` an
/// index. Siblings are sorted by their text; every node is a member itself or has members below it.
public struct FieldSet: Sendable, Hashable {
    struct Node: Sendable, Hashable {
        var step: String
        /// Whether the field itself belongs to the set, not only what is below it.
        var isMember: Bool
        var children: [Node] = []
    }

    var nodes: [Node]

    /// The empty set.
    public init() { nodes = [] }

    /// - Parameter nodes: sorted, without repetition.
    init(nodes: [Node]) { self.nodes = nodes }

    /// Whether it has no member.
    public var isEmpty: Bool { nodes.isEmpty }

    /// Members of this set or the other.
    public func union(_ other: FieldSet) -> FieldSet { FieldSet(nodes: Self.union(nodes, other.nodes)) }
    /// Members of both.
    public func intersection(_ other: FieldSet) -> FieldSet { FieldSet(nodes: Self.intersection(nodes, other.nodes)) }
    /// Members of this set that the other does not have.
    public func subtracting(_ other: FieldSet) -> FieldSet { FieldSet(nodes: Self.difference(nodes, other.nodes)) }
    /// Members that are neither in the other set nor below one of its members.
    public func subtractingTrees(_ other: FieldSet) -> FieldSet { FieldSet(nodes: Self.without(nodes, other.nodes)) }

    /// The members as paths for people: `.spec.template.spec.containers[name="main"].image`.
    public var paths: [String] {
        var found: [String] = []
        func walk(_ nodes: [Node], _ prefix: String) {
            for node in nodes {
                let path = prefix + Self.pathText(of: node.step)
                if node.isMember { found.append(path) }
                walk(node.children, path)
            }
        }
        walk(nodes, "")
        return found
    }

    /// A step as it stands in a path for people.
    static func pathText(of step: String) -> String {
        let text = step.dropFirst(2)
        switch step.utf8.first {
        case UInt8(ascii: "k"):
            let keys = ((try? JSON.parse(String(text))) ?? .null).members.map { "\($0.key)=\($0.value)" }
            return "[" + keys.joined(separator: ",") + "]"
        case UInt8(ascii: "v"): return "[=\(text)]"
        case UInt8(ascii: "i"): return "[\(text)]"
        default: return ".\(text)"
        }
    }
}

// MARK: - Laws of sets, on sorted siblings

extension FieldSet {
    static func union(_ left: [Node], _ right: [Node]) -> [Node] {
        if left.isEmpty { return right }
        if right.isEmpty { return left }
        var result: [Node] = []
        result.reserveCapacity(max(left.count, right.count))
        var at = 0
        for node in right {
            while at < left.count, left[at].step < node.step {
                result.append(left[at])
                at += 1
            }
            if at < left.count, left[at].step == node.step {
                let both = Node(
                    step: node.step, isMember: node.isMember || left[at].isMember,
                    children: union(left[at].children, node.children))
                result.append(both)
                at += 1
            } else {
                result.append(node)
            }
        }
        result += left[at...]
        return result
    }

    static func intersection(_ left: [Node], _ right: [Node]) -> [Node] {
        var result: [Node] = []
        var at = 0
        for node in right {
            while at < left.count, left[at].step < node.step { at += 1 }
            guard at < left.count else { break }
            guard left[at].step == node.step else { continue }
            let children = intersection(left[at].children, node.children)
            let isMember = left[at].isMember && node.isMember
            if isMember || !children.isEmpty {
                result.append(Node(step: node.step, isMember: isMember, children: children))
            }
        }
        return result
    }

    static func difference(_ left: [Node], _ right: [Node]) -> [Node] {
        subtract(left, right) { node, other in
            Node(
                step: node.step, isMember: node.isMember && !other.isMember,
                children: difference(node.children, other.children))
        }
    }

    private static func without(_ left: [Node], _ right: [Node]) -> [Node] {
        subtract(left, right) { node, other in
            other.isMember
                ? Node(step: node.step, isMember: false)
                : Node(step: node.step, isMember: node.isMember, children: without(node.children, other.children))
        }
    }

    private static func subtract(_ left: [Node], _ right: [Node], _ rest: (Node, Node) -> Node) -> [Node] {
        if right.isEmpty { return left }
        var result: [Node] = []
        result.reserveCapacity(left.count)
        var at = 0
        for node in left {
            while at < right.count, right[at].step < node.step { at += 1 }
            guard at < right.count, right[at].step == node.step else {
                result.append(node)
                continue
            }
            let remaining = rest(node, right[at])
            if remaining.isMember || !remaining.children.isEmpty { result.append(remaining) }
        }
        return result
    }

    /// The node of a step among sorted siblings.
    static func find(_ step: String, in nodes: [Node]) -> Node? {
        var low = 0
        var high = nodes.count
        while low < high {
            let middle = (low + high) / 2
            if nodes[middle].step < step { low = middle + 1 } else { high = middle }
        }
        return low < nodes.count && nodes[low].step == step ? nodes[low] : nil
    }

    /// Brings siblings into their order. They have no repetition.
    static func sort(_ nodes: inout [Node]) {
        guard nodes.count > 1 else { return }
        for index in 1..<nodes.count where nodes[index].step < nodes[index - 1].step {
            nodes.sort { $0.step < $1.step }
            return
        }
    }
}
