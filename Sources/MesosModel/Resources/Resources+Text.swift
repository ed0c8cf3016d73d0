import JSON

extension Resources {
    /// Reads `cpus:4;mem(ads):2048;ports:[31000-32000];set:{a,b}`, or a JSON array of `Resource`.
    /// - Parameter defaultRole: the role that entries without one are statically reserved for; `*` for none.
    public init(text: String, defaultRole: String = "*") throws(MesosError) {
        let trimmed = Self.trimmed(text[...])
        if trimmed.first == "[" {
            let tree: JSON
            do throws(JSONError) {
                tree = try JSON.parse(String(trimmed))
            } catch {
                throw MesosError(.malformed, "Failed to parse resources: \(error)")
            }
            try self.init(trees: tree.elements)
            return
        }
        var all: [MesosResource] = []
        for item in trimmed.split(separator: ";") {
            let parts = item.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else {
                throw MesosError(.malformed, "Failed to parse resource '\(item)': expected name:value")
            }
            var name = Self.trimmed(parts[0])
            var role = defaultRole
            if let open = name.firstIndex(of: "(") {
                guard name.last == ")" else {
                    throw MesosError(.malformed, "Failed to parse resource '\(item)': a role ends with )")
                }
                role = String(name[name.index(after: open)...].dropLast())
                name = Self.trimmed(name[..<open])
            }
            if let problem = MesosRoles.problem(role) { throw MesosError(.invalid, problem) }
            guard !name.isEmpty else { throw MesosError(.malformed, "Failed to parse resource '\(item)': no name") }
            var resource = MesosResource(String(name), try Self.amount(Self.trimmed(parts[1]), item))
            if role != "*" { resource.reservations = [MesosResource.Reservation(isDynamic: false, role: role)] }
            all.append(resource)
        }
        self.init(all)
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0.isWhitespace }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }

    private static func amount(_ text: Substring, _ item: Substring) throws(MesosError) -> MesosResource.Amount {
        let wrong = MesosError(.malformed, "Failed to parse resource '\(item)'")
        switch text.first {
        case "[":
            guard text.last == "]" else { throw wrong }
            var spans: [ValueRanges.Span] = []
            for range in text.dropFirst().dropLast().split(separator: ",") {
                let ends = range.split(separator: "-").map { UInt64(trimmed($0)) }
                guard ends.count == 2, let begin = ends[0], let end = ends[1], begin <= end else { throw wrong }
                spans.append(ValueRanges.Span(begin, end))
            }
            return .ranges(ValueRanges(spans))
        case "{":
            guard text.last == "}" else { throw wrong }
            let items = text.dropFirst().dropLast().split(separator: ",").map { String(trimmed($0)) }
            return .set(Set(items).sorted())
        default:
            guard let value = Double(text), value.isFinite, value >= 0 else { throw wrong }
            return .scalar(MesosResource.thousandths(value))
        }
    }

    /// The text syntax, as logs show it: `cpus:4; mem(ads):2048; ports:[31000-32000]`.
    public var text: String {
        resources.map { resource in
            var out = resource.name
            if let role = resource.reservationRole { out += "(\(role))" }
            if resource.isRevocable { out += "{REV}" }
            if let id = resource.persistenceID { out += "[\(id)]" }
            switch resource.amount {
            case .scalar(let value):
                let number = Double(value) / 1000
                out += ":" + (value % 1000 == 0 ? String(value / 1000) : number.description)
            case .ranges(let ranges): out += ":" + ranges.text
            case .set(let items): out += ":{" + items.joined(separator: ", ") + "}"
            }
            return out
        }.joined(separator: "; ")
    }
}

extension Resources: CustomStringConvertible {
    /// The text syntax.
    public var description: String { text }
}
