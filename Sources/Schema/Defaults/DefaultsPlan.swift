public import JSON
public import ObjectModel

extension Catalog {
    /// Fills in the kind's defaults, exactly those of the API server (replicas, strategies, probes, protocols, policies…).
    ///
    /// Only absent members are set, so that it is safe to repeat. What needs allocation, admission or the stored object
    /// (cluster IPs, pod phase and QoS class, service accounts) is not done here.
    public func applyDefaults(to object: inout JSON, kind: GroupVersionKind) {
        guard let place = schema.place(of: kind) else {
            custom(kind)?.applyDefaults(to: &object)
            return
        }
        defaults.apply(to: &object, place: place, schema: schema)
    }
}

/// A change of one object that depends on its other members.
typealias ComputedDefault = @Sendable (inout JSONObject) -> Void

/// The defaults of every type, resolved once.
struct DefaultsPlan: Sendable {
    private struct Entry: Sendable {
        var constants: [(name: String, value: JSON)] = []
        /// Runs before the members are walked.
        var before: ComputedDefault?
        /// Runs when the members have their defaults.
        var after: ComputedDefault?
        /// Members whose type has defaults somewhere below.
        var children: [String: SchemaValue] = [:]
    }
    private var entries: [Entry]

    /// Resolves the tables for a schema.
    init(schema: Schema) {
        entries = Array(repeating: Entry(), count: schema.types.count)
        let statusTypes = Self.statusTypes(schema)
        for (place, type) in schema.types.enumerated() {
            for field in type.fields {
                guard let text = field.details?.defaultText else { continue }
                if text == "{}" {
                    entries[place].constants.append((field.name, [:]))
                } else if statusTypes.contains(place), field.isRequired, let value = try? JSON.parse(text) {
                    // What Go always writes; clients that check required members want it of what they only read.
                    entries[place].constants.append((field.name, value))
                }
            }
            entries[place].before = ComputedDefaults.before[type.alias]
            entries[place].after = ComputedDefaults.after[type.alias]
        }
        readTable(schema)
        findChildren(schema)
    }

    private mutating func readTable(_ schema: Schema) {
        let text = DefaultsTable.rows.withUTF8Buffer { String(decoding: $0, as: UTF8.self) }
        for line in SchemaReader.split(text.utf8[...], at: UInt8(ascii: "\n")) {
            let columns = line.split(separator: " ", maxSplits: 2)
            guard columns.count == 3, let place = schema.place(alias: String(columns[0])),
                schema.types[place].field(String(columns[1])) != nil, let value = try? JSON.parse(String(columns[2]))
            else { preconditionFailure("not a default: \(line)") }
            entries[place].constants.append((String(columns[1]), value))
        }
    }

    /// Marks the members that are worth walking: those below which something has a default.
    private mutating func findChildren(_ schema: Schema) {
        var holders = Array(repeating: [(place: Int, field: Int)](), count: schema.types.count)
        for (place, type) in schema.types.enumerated() {
            for (index, field) in type.fields.enumerated() {
                if let target = field.value.typeIndex { holders[target].append((place, index)) }
            }
        }
        var queue = entries.indices.filter {
            !entries[$0].constants.isEmpty || entries[$0].before != nil || entries[$0].after != nil
        }
        var seen = Set(queue)
        while let target = queue.popLast() {
            for (place, index) in holders[target] {
                let field = schema.types[place].fields[index]
                entries[place].children[field.name] = field.value
                if seen.insert(place).inserted { queue.append(place) }
            }
        }
    }

    /// Types that occur only below a `status`.
    private static func statusTypes(_ schema: Schema) -> Set<Int> {
        func reach(_ roots: [Int], followsStatus: Bool) -> Set<Int> {
            var seen = Set(roots)
            var queue = roots
            while let place = queue.popLast() {
                for field in schema.types[place].fields where followsStatus || field.name != "status" {
                    if let target = field.value.typeIndex, seen.insert(target).inserted { queue.append(target) }
                }
            }
            return seen
        }
        let roots = schema.resources.compactMap { schema.place(of: $0.kind) }
        let written = reach(roots, followsStatus: false)
        let statuses = roots.compactMap { schema.types[$0].field("status")?.value.typeIndex }
        return reach(statuses, followsStatus: true).subtracting(written)
    }

    // MARK: Applying

    /// Fills in an object of a type, in place.
    func apply(to json: inout JSON, place: Int, schema: Schema) {
        guard case .object(var members) = json else { return }
        json = .null  // Gives up our reference, so that members are changed in place.
        let entry = entries[place]
        entry.before?(&members)
        for (name, value) in entry.constants where members[name] == nil {
            members[name] = value
        }
        if !entry.children.isEmpty {
            for index in members.keys.indices {
                guard let value = entry.children[members.keys[index]] else { continue }
                walk(&members.values[index], value, schema)
            }
        }
        entry.after?(&members)
        json = .object(members)
    }

    private func walk(_ json: inout JSON, _ value: SchemaValue, _ schema: Schema) {
        switch value {
        case .object(let place): apply(to: &json, place: place, schema: schema)
        case .list(let element):
            guard case .array(var elements) = json else { return }
            json = .null
            for index in elements.indices { walk(&elements[index], element, schema) }
            json = .array(elements)
        case .map(let element):
            guard case .object(var members) = json else { return }
            json = .null
            for index in members.keys.indices { walk(&members.values[index], element, schema) }
            json = .object(members)
        default: return
        }
    }
}
