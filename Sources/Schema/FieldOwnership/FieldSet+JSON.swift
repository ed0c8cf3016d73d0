public import JSON

/// Why a document is no field set.
public struct FieldSetError: Error, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

extension FieldSet {
    /// Deepest tree that is read: no served kind has deeper fields than its documents have.
    private static let maximumDepth = 512

    /// Reads the `FieldsV1` form.
    /// - Throws: `FieldSetError` when a key is no step or a value no object.
    public init(fieldsV1 json: JSON) throws(FieldSetError) {
        var isMember = false
        nodes = try Self.read(json, depth: 0, isMember: &isMember)
    }

    private static func read(_ json: JSON, depth: Int, isMember: inout Bool) throws(FieldSetError) -> [Node] {
        guard case .object(let members) = json else { throw FieldSetError("a field set must be an object") }
        guard depth < maximumDepth else { throw FieldSetError("a field set is nested too deeply") }
        if members.isEmpty {
            isMember = true
            return []
        }
        var nodes: [Node] = []
        nodes.reserveCapacity(members.count)
        for (key, value) in members {
            if key == "." {
                isMember = true
                continue
            }
            var node = Node(step: try canonical(key), isMember: false)
            node.children = try read(value, depth: depth + 1, isMember: &node.isMember)
            if node.isMember || !node.children.isEmpty { nodes.append(node) }
        }
        sort(&nodes)
        // Two spellings of one step mean the same field.
        for index in nodes.indices.dropFirst() where nodes[index].step == nodes[index - 1].step {
            return nodes.reduce(into: []) { $0 = union($0, [$1]) }
        }
        return nodes
    }

    /// A step as this server writes it. What is written so already, as all that comes back from clients, is not parsed.
    private static func canonical(_ step: String) throws(FieldSetError) -> String {
        let bytes = step.utf8
        guard bytes.count >= 2, bytes[bytes.index(after: bytes.startIndex)] == UInt8(ascii: ":") else {
            throw FieldSetError("missing colon in field path element: \(step)")
        }
        switch bytes.first {
        case UInt8(ascii: "f"): return step
        case UInt8(ascii: "i"):
            guard let index = Int(step.dropFirst(2)), index >= 0 else {
                throw FieldSetError("the index of a field path element must be a number: \(step)")
            }
            return "i:\(index)"
        case UInt8(ascii: "v"):
            guard let value = try? JSON.parse(String(step.dropFirst(2))) else {
                throw FieldSetError("the value of a field path element must be JSON: \(step)")
            }
            return "v:\(value)"
        case UInt8(ascii: "k"):
            guard case .object(let keys)? = try? JSON.parse(String(step.dropFirst(2))) else {
                throw FieldSetError("the keys of a field path element must be a JSON object: \(step)")
            }
            return Steps.keys(keys.map { ($0.key, $0.value) })
        default: throw FieldSetError("unknown field path element: \(step)")
        }
    }

    /// The `FieldsV1` form.
    public var fieldsV1: JSON { Self.written(nodes, isMember: false) }

    static func written(_ nodes: [Node], isMember: Bool) -> JSON {
        if nodes.isEmpty { return .object([:]) }
        let hasSelf = isMember ? 1 : 0
        var keys = ContiguousArray<String>()
        var values = ContiguousArray<JSON>()
        keys.reserveCapacity(nodes.count + hasSelf)
        values.reserveCapacity(nodes.count + hasSelf)
        if isMember {
            keys.append(".")
            values.append(.object([:]))
        }
        for node in nodes {
            keys.append(node.step)
            values.append(written(node.children, isMember: node.isMember))
        }
        return .object(JSONObject(uncheckedUniqueKeys: keys, values: values))
    }
}

// MARK: - Questions to the stored form, without reading it whole

extension FieldSet {
    /// Whether a stored set and this one have a member in common.
    func intersects(fieldsV1 json: JSON) -> Bool { Self.intersects(nodes, json) }
    /// Whether a stored set has all members of this one.
    func isContained(inFieldsV1 json: JSON) -> Bool { Self.isContained(nodes, json) }

    private static func intersects(_ nodes: [Node], _ json: JSON) -> Bool {
        guard case .object(let members) = json, !members.isEmpty else { return false }
        return nodes.contains { node in
            guard let inner = members[node.step] else { return false }
            return node.isMember && isMember(inner) || intersects(node.children, inner)
        }
    }

    private static func isContained(_ nodes: [Node], _ json: JSON) -> Bool {
        if nodes.isEmpty { return true }
        guard case .object(let members) = json else { return false }
        return nodes.allSatisfy { node in
            guard let inner = members[node.step] else { return false }
            return (!node.isMember || isMember(inner)) && isContained(node.children, inner)
        }
    }

    private static func isMember(_ json: JSON) -> Bool {
        guard case .object(let members) = json else { return false }
        return members.isEmpty || members["."] != nil
    }
}

/// The text of steps.
enum Steps {
    static func field(_ name: String) -> String { "f:" + name }
    static func value(_ value: JSON) -> String { "v:" + text(value) }

    /// - Parameter keys: in any order.
    static func keys(_ keys: [(String, JSON)]) -> String {
        if keys.count == 1 { return "k:{\"\(keys[0].0)\":" + text(keys[0].1) + "}" }
        let sorted = keys.sorted { $0.0 < $1.0 }
        return "k:{" + sorted.map { text(.string($0.0)) + ":" + text($0.1) }.joined(separator: ",") + "}"
    }

    private static func text(_ value: JSON) -> String {
        switch value {
        case .string(let text):
            let isPlain = text.utf8.allSatisfy {
                $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
            return isPlain ? "\"" + text + "\"" : value.description
        case .integer(let number): return String(number)
        default: return value.description
        }
    }
}
