import JSON

extension StructuralSchema {
    /// Nobody reads more, and a warning goes out for each.
    private static let maximumReports = 100

    /// Drops every member that no schema names, except below `x-kubernetes-preserve-unknown-fields`.
    /// - Returns: paths such as `spec.sails`, at most a hundred.
    func prune(_ object: inout JSON, isResource: Bool = true) -> [String] {
        if isPruned(object, 0, isResource: isResource) { return [] }
        var unknown: [String] = []
        prune(&object, 0, isResource: isResource, path: "", &unknown)
        return unknown
    }

    /// Whether pruning and defaulting would change nothing.
    func isInOrder(_ object: JSON) -> Bool {
        isPruned(object, 0, isResource: true) && isComplete(object, 0, isRoot: true)
    }

    /// The server's own members, whatever a schema says of them.
    static func isImplied(_ name: String) -> Bool {
        name == "apiVersion" || name == "kind" || name == "metadata"
    }

    /// Whether there is nothing to drop. Allocates nothing.
    private func isPruned(_ value: JSON, _ place: Int, isResource: Bool) -> Bool {
        switch value {
        case .object(let members):
            let node = nodes[place]
            let isResource = isResource || node.isEmbedded
            for (name, member) in members {
                if isResource, Self.isImplied(name) { continue }
                if let property = node.properties[name] {
                    if !isPruned(member, property, isResource: false) { return false }
                    continue
                }
                switch node.additional {
                case .node(let part): if !isPruned(member, part, isResource: false) { return false }
                case .anything: if !Self.isFlat(member) && !node.preservesUnknown { return false }
                case .nothing: if !node.preservesUnknown { return false }
                }
            }
            return true
        case .array(let elements):
            let node = nodes[place]
            guard node.items >= 0 else {
                return node.preservesUnknown || elements.allSatisfy(Self.isFlat)
            }
            for element in elements where !isPruned(element, node.items, isResource: false) { return false }
            return true
        default: return true
        }
    }

    /// A value without members that would have to be dropped.
    private static func isFlat(_ value: JSON) -> Bool {
        switch value {
        case .object(let members): members.isEmpty
        case .array(let elements): elements.allSatisfy(isFlat)
        default: true
        }
    }

    private func prune(_ value: inout JSON, _ place: Int, isResource: Bool, path: String, _ unknown: inout [String]) {
        let node = nodes[place]
        switch value {
        case .object(let members):
            let isResource = isResource || node.isEmbedded
            var result = JSONObject(minimumCapacity: members.count)
            for (name, member) in members {
                if isResource, Self.isImplied(name) {
                    result[name] = member
                    continue
                }
                let path = path.isEmpty ? name : "\(path).\(name)"
                var member = member
                if let property = node.properties[name] {
                    prune(&member, property, isResource: false, path: path, &unknown)
                } else if case .node(let part) = node.additional {
                    prune(&member, part, isResource: false, path: path, &unknown)
                } else if !node.preservesUnknown {
                    guard case .anything = node.additional else {
                        if unknown.count < Self.maximumReports { unknown.append(path) }
                        continue
                    }
                    Self.empty(&member, path: path, &unknown)
                }
                result[name] = member
            }
            value = .object(result)
        case .array(var elements):
            value = .null
            for index in elements.indices {
                let path = "\(path)[\(index)]"
                if node.items >= 0 {
                    prune(&elements[index], node.items, isResource: false, path: path, &unknown)
                } else if !node.preservesUnknown {
                    Self.empty(&elements[index], path: path, &unknown)
                }
            }
            value = .array(elements)
        default: return
        }
    }

    /// Drops all members of a value that no schema describes.
    private static func empty(_ value: inout JSON, path: String, _ unknown: inout [String]) {
        switch value {
        case .object(let members):
            for name in members.keys where unknown.count < maximumReports { unknown.append("\(path).\(name)") }
            value = [:]
        case .array(var elements):
            for index in elements.indices { empty(&elements[index], path: "\(path)[\(index)]", &unknown) }
            value = .array(elements)
        default: return
        }
    }
}
