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
        public var fields: FieldSet {
            didSet { written = nil }
        }
        /// The stored form of `fields`, while they are what was read.
        private var written: JSON?

        public init(
            manager: String, operation: Operation, apiVersion: String, subresource: String = "", time: String = "",
            fields: FieldSet
        ) {
            self.manager = manager
            self.operation = operation
            self.apiVersion = apiVersion
            self.subresource = subresource
            self.time = time
            self.fields = fields
        }

        init(_ json: JSON) throws(FieldSetError) {
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
            let form = json["fieldsV1"]
            fields = form.isNull ? FieldSet() : try FieldSet(fieldsV1: form)
            written = form
        }

        var json: JSON {
            var json: JSON = ["manager": .string(manager), "operation": .string(operation.rawValue)]
            json["apiVersion"] = .string(apiVersion)
            if !time.isEmpty { json["time"] = .string(time) }
            json["fieldsType"] = "FieldsV1"
            json["fieldsV1"] = written ?? fields.fieldsV1
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
    /// - Throws: `FieldSetError` for an entry that is none.
    public init(_ json: JSON) throws(FieldSetError) {
        var entries: [Entry] = []
        for element in json.elements { entries.append(try Entry(element)) }
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
            let both = entries[place].fields.union(entry.fields)
            if both != entries[place].fields { entries[place].fields = both }
            entries[place].time = entry.time
        } else {
            entries.append(entry)
        }
    }

    /// Drops empty entries, merges the oldest updates when there are too many, and brings all into their order.
    mutating func tidy() {
        entries.removeAll { $0.fields.isEmpty }
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
