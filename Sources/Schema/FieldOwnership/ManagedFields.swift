public import JSON

/// `metadata.managedFields`: who owns which fields of one object. KEP-555.
public struct ManagedFields: Sendable {
    /// What one manager owns through one way of writing.
    public struct Entry: Sendable {
        /// How the fields were written.
        public enum Operation: String, Sendable {
            case apply = "Apply"
            case update = "Update"
        }
        public var manager: String
        public var operation: Operation
        /// Version in which the fields are named: `apps/v1`.
        public var apiVersion: String
        /// `status`, `scale`…; empty for the object itself.
        public var subresource = ""
        /// RFC 3339; empty when unknown.
        public var time = ""
        /// The fields: as a set, or in the stored form that is read when somebody asks.
        private var form: Form
        private enum Form: Sendable {
            case set(FieldSet)
            case stored(JSON)
        }

        public var fields: FieldSet {
            get {
                switch form {
                case .set(let set): set
                case .stored(let json): (try? FieldSet(fieldsV1: json)) ?? FieldSet()
                }
            }
            set { form = .set(newValue) }
        }

        public init(
            manager: String, operation: Operation, apiVersion: String, subresource: String = "", time: String = "",
            fields: FieldSet
        ) {
            self.manager = manager
            self.operation = operation
            self.apiVersion = apiVersion
            self.subresource = subresource
            self.time = time
            form = .set(fields)
        }

        /// - Parameter isTrusted: this server wrote it, so the fields need not be read now.
        init(_ json: JSON, isTrusted: Bool) throws(FieldSetError) {
            guard let operation = Operation(rawValue: json["operation"].string ?? "") else {
                throw FieldSetError("the operation must be Apply or Update: \(json["operation"])")
            }
            guard json["fieldsType"].string == "FieldsV1" else {
                throw FieldSetError("the type of the fields must be FieldsV1: \(json["fieldsType"])")
            }
            manager = json["manager"].string ?? ""
            guard manager.utf8.count <= 128 else { throw FieldSetError("the manager's name is too long") }
            self.operation = operation
            apiVersion = json["apiVersion"].string ?? ""
            subresource = json["subresource"].string ?? ""
            time = json["time"].string ?? ""
            let stored = json["fieldsV1"]
            if stored.isNull {
                form = .set(FieldSet())
            } else {
                form = isTrusted ? .stored(stored) : .set(try FieldSet(fieldsV1: stored))
            }
        }

        /// The `FieldsV1` form.
        private var fieldsV1: JSON {
            switch form {
            case .set(let set): set.fieldsV1
            case .stored(let json): json
            }
        }

        /// Whether nothing is owned.
        var isEmpty: Bool {
            switch form {
            case .set(let set): set.isEmpty
            case .stored(let json): json.members.isEmpty
            }
        }

        /// Whether a set has members that this entry owns.
        func intersects(_ set: FieldSet) -> Bool {
            switch form {
            case .set(let own): !own.intersection(set).isEmpty
            case .stored(let json): set.intersects(fieldsV1: json)
            }
        }

        /// Whether this entry owns all members of a set.
        func contains(_ set: FieldSet) -> Bool {
            switch form {
            case .set(let own): set.subtracting(own).isEmpty
            case .stored(let json): set.isContained(inFieldsV1: json)
            }
        }

        var json: JSON {
            var json: JSON = ["manager": .string(manager), "operation": .string(operation.rawValue)]
            json["apiVersion"] = .string(apiVersion)
            if !time.isEmpty { json["time"] = .string(time) }
            json["fieldsType"] = "FieldsV1"
            json["fieldsV1"] = fieldsV1
            if !subresource.isEmpty { json["subresource"] = .string(subresource) }
            return json
        }

        /// Whether both are the same way of writing of the same manager. Who applies has one entry whatever the version.
        func isSameManager(as other: Entry) -> Bool {
            manager == other.manager && operation == other.operation && subresource == other.subresource
                && (operation == .apply || apiVersion == other.apiVersion)
        }

        /// As conflict messages name the manager.
        var description: String {
            var text = JSON.string(manager).description
            if !subresource.isEmpty { text += " with subresource \(JSON.string(subresource))" }
            if operation == .update {
                text += " using \(apiVersion)"
                if !time.isEmpty { text += " at \(time)" }
            }
            return text
        }
    }

    public var entries: [Entry]

    public init(entries: [Entry] = []) { self.entries = entries }

    /// Reads `metadata.managedFields`; null is an empty list.
    /// - Parameter isTrusted: this server wrote it, so the fields of an entry are read only when they are needed.
    /// - Throws: `FieldSetError` for an entry that is none.
    public init(_ json: JSON, isTrusted: Bool = false) throws(FieldSetError) {
        var entries: [Entry] = []
        for element in json.elements { entries.append(try Entry(element, isTrusted: isTrusted)) }
        self.entries = entries
    }

    /// The stored form; null when nobody owns anything.
    public var json: JSON { entries.isEmpty ? .null : .array(entries.map(\.json)) }

    /// Most entries of updates that are kept apart.
    static let maximumUpdates = 10
    /// The manager of entries that were too many.
    static let bucket = "ancient-changes"

    /// Adds fields to the entry of a manager, which is made if there is none.
    mutating func add(_ entry: Entry) {
        if let place = entries.firstIndex(where: { $0.isSameManager(as: entry) }) {
            if !entries[place].contains(entry.fields) {
                entries[place].fields = entries[place].fields.union(entry.fields)
            }
            entries[place].time = entry.time
        } else {
            entries.append(entry)
        }
    }

    /// Drops empty entries, merges the oldest updates when there are too many, and brings all into their order.
    mutating func tidy() {
        entries.removeAll { $0.isEmpty }
        entries.sort(by: Self.precedes)
        var excess = entries.count { $0.operation == .update } - Self.maximumUpdates
        guard excess > 0 else { return }
        var rest: [Entry] = []
        var merged: [Entry] = []
        // A bucket counts as an entry too, so one more must go into it, per version that has none yet.
        for entry in entries {
            guard entry.operation == .update, excess > 0 || entry.manager == Self.bucket else {
                rest.append(entry)
                continue
            }
            if let place = merged.firstIndex(where: { $0.apiVersion == entry.apiVersion }) {
                merged[place].fields = merged[place].fields.union(entry.fields)
                merged[place].time = max(merged[place].time, entry.time)
                excess -= 1
            } else {
                merged.append(entry)
                merged[merged.count - 1].manager = Self.bucket
                merged[merged.count - 1].subresource = ""
            }
        }
        entries = rest + merged
        entries.sort(by: Self.precedes)
    }

    private static func precedes(_ left: Entry, _ right: Entry) -> Bool {
        if left.operation != right.operation { return left.operation == .apply }
        if left.time != right.time { return left.time < right.time }
        if left.manager != right.manager { return left.manager < right.manager }
        if left.apiVersion != right.apiVersion { return left.apiVersion < right.apiVersion }
        return left.subresource < right.subresource
    }
}
