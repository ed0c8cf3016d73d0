public import JSON
public import ObjectModel

extension Catalog {
    /// A `meta.k8s.io/v1 Table` of objects.
    /// - Parameters:
    ///   - includeObject: `Metadata`, `None` or `Object`, what goes into `rows[].object`; anything else means `Metadata`.
    ///   - includeColumns: False for the later events of a watch, which repeat no columns.
    ///   - metadata: the list's metadata (resourceVersion, continue, remainingItemCount).
    ///   - now: what ages are counted from.
    public func table(
        of objects: [Object], resource: GroupVersionResource, includeObject: String, includeColumns: Bool,
        metadata: JSON, now: Timestamp
    ) -> JSON {
        let definition = self.resource(resource)
        let custom = definition.flatMap { self.custom($0.kind) }
        let printer = custom.map(Printer.init) ?? Printers.byResource[resource.groupResource] ?? Printers.generic
        var rows: [JSON] = []
        rows.reserveCapacity(objects.count)
        for object in objects {
            let tree = object.tree
            var row: JSONObject = ["cells": .array(printer.cells(PrintedObject(tree: tree, now: now)))]
            if let condition = Self.completion(tree, resource) { row["conditions"] = [condition] }
            switch includeObject {
            case "None": break
            case "Object": row["object"] = tree
            default:
                row["object"] = [
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": tree["metadata"],
                ]
            }
            rows.append(.object(row))
        }
        return [
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata.isNull ? [:] : metadata,
            "columnDefinitions": includeColumns ? .array(printer.columnDefinitions) : [], "rows": .array(rows),
        ]
    }

    /// Finished pods are marked, so that clients can leave them out.
    private static func completion(_ tree: JSON, _ resource: GroupVersionResource) -> JSON? {
        guard resource.resource == "pods", resource.group.isEmpty else { return nil }
        switch tree["status"]["phase"].string {
        case "Succeeded":
            return [
                "type": "Completed", "status": "True", "reason": "Succeeded",
                "message": "The pod has completed successfully.",
            ]
        case "Failed":
            return ["type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."]
        default: return nil
        }
    }
}

/// A column of a printed table.
struct PrintedColumn: Sendable {
    let name: String
    /// `string`, `integer`, `boolean`, `date`.
    let type: String
    /// 0: always shown; 1: only with `-o wide`.
    let priority: Int

    var json: JSON {
        [
            "name": .string(name), "type": .string(type), "format": name == "Name" ? "name" : "",
            "description": "", "priority": JSON(priority),
        ]
    }
}

/// How a kind is printed: its columns and a cell for each.
struct Printer: Sendable {
    private let columns: [PrintedColumn]
    private let customColumns: [CustomColumn]
    let cells: @Sendable (PrintedObject) -> [JSON]

    /// - Parameter columns: Names separated by `|`; `*` in front: wide only; `:integer`, `:boolean` behind: its type.
    init(_ columns: String, cells: @escaping @Sendable (PrintedObject) -> [JSON]) {
        self.columns = columns.split(separator: "|").map { text in
            let isWide = text.hasPrefix("*")
            let parts = text.drop { $0 == "*" }.split(separator: ":")
            return PrintedColumn(
                name: String(parts.first ?? ""), type: parts.count > 1 ? String(parts[1]) : "string",
                priority: isWide ? 1 : 0)
        }
        self.cells = cells
        customColumns = []
    }

    /// The columns of a custom kind behind the name; its age when it has none.
    init(_ custom: any CustomKind) {
        columns = [PrintedColumn(name: "Name", type: "string", priority: 0)]
        let own = custom.columns
        guard !own.isEmpty else {
            customColumns = [CustomColumn(name: "Age", type: "date", description: "Time since creation.")]
            cells = { [$0.name, $0.age] }
            return
        }
        customColumns = own
        cells = { object in
            var cells = [object.name]
            for (column, value) in zip(own, custom.columnValues(object.tree)) {
                guard column.type == "date", let text = value.string else {
                    cells.append(value)
                    continue
                }
                cells.append(Timestamp(text) == nil ? "<invalid>" : object.since(value))
            }
            return cells
        }
    }

    var columnDefinitions: [JSON] { columns.map(\.json) + customColumns.map(\.json) }
}

/// An object on its way into a row, with the texts that many kinds share.
struct PrintedObject {
    let tree: JSON
    let now: Timestamp

    var spec: JSON { tree["spec"] }
    var status: JSON { tree["status"] }
    var metadata: JSON { tree["metadata"] }
    var name: JSON { metadata["name"] }
    var isTerminating: Bool { !metadata["deletionTimestamp"].isNull }
    /// Time since creation.
    var age: JSON { since(metadata["creationTimestamp"]) }
    /// The generic "Created At" cell.
    var createdAt: JSON { metadata["creationTimestamp"].isNull ? "<unknown>" : metadata["creationTimestamp"] }

    /// Time since a point in time.
    func since(_ time: JSON) -> JSON {
        guard let text = time.string, let then = Timestamp(text) else { return "<unknown>" }
        return .string(humanDuration(microseconds: now.microseconds - then.microseconds))
    }

    /// A text, `<none>` when absent or empty.
    func orNone(_ value: JSON) -> JSON { or(value, "<none>") }
    /// A text, or another when it is absent or empty.
    func or(_ value: JSON, _ other: String) -> JSON {
        guard let text = value.string else { return value.isNull ? .string(other) : .string(value.description) }
        return text.isEmpty ? .string(other) : value
    }
    /// A number, 0 when absent.
    func count(_ value: JSON) -> JSON { JSON(value.int ?? 0) }
    /// Names of a pod template's containers.
    func containers(_ podSpec: JSON) -> JSON { joined(podSpec["containers"].elements.map { $0["name"] }) }
    /// Images of a pod template's containers.
    func images(_ podSpec: JSON) -> JSON { joined(podSpec["containers"].elements.map { $0["image"] }) }
    func joined(_ values: [JSON], _ separator: String = ",") -> JSON {
        .string(values.compactMap(\.string).joined(separator: separator))
    }

    /// `a=1,b=2`, sorted; `<none>` without labels.
    func labels(_ value: JSON) -> JSON {
        let labels = value.stringMap
        if labels.isEmpty { return "<none>" }
        return .string(labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ","))
    }

    /// A label selector in query form; `<none>` when it is empty.
    func selector(_ value: JSON) -> JSON {
        if value.isNull { return "<none>" }
        guard let selector = try? LabelSelector(labelSelector: value) else { return "<error>" }
        return selector.isEmpty ? "<none>" : .string(selector.description)
    }

    /// The first texts, then how many more there are.
    func first(_ maximum: Int, of texts: [String], separator: String = ",") -> String {
        let shown = texts.prefix(maximum).joined(separator: separator)
        return texts.count > maximum ? "\(shown) + \(texts.count - maximum) more..." : shown
    }

    /// The condition of a type.
    func condition(_ type: String) -> JSON {
        status["conditions"].elements.first { $0["type"].string == type } ?? .null
    }
    func isTrue(_ type: String) -> Bool { condition(type)["status"].string == "True" }
}

/// A duration as people read it: fewer details the longer it is (`45s`, `3m20s`, `5h12m`, `3d4h`, `2y34d`).
func humanDuration(microseconds: Int64) -> String {
    if microseconds < -1_999_999 { return "<invalid>" }
    if microseconds < 0 { return "0s" }
    let seconds = microseconds / 1_000_000
    func two(_ big: Int64, _ bigUnit: String, _ small: Int64, _ smallUnit: String) -> String {
        small == 0 ? "\(big)\(bigUnit)" : "\(big)\(bigUnit)\(small)\(smallUnit)"
    }
    if seconds < 120 { return "\(seconds)s" }
    let minutes = seconds / 60
    if minutes < 10 { return two(minutes, "m", seconds % 60, "s") }
    if minutes < 180 { return "\(minutes)m" }
    let hours = seconds / 3600
    if hours < 8 { return two(hours, "h", minutes % 60, "m") }
    if hours < 48 { return "\(hours)h" }
    let days = hours / 24
    if hours < 192 { return two(days, "d", hours % 24, "h") }
    if days < 365 * 2 { return "\(days)d" }
    let years = days / 365
    if days < 365 * 8 { return two(years, "y", days % 365, "d") }
    return "\(years)y"
}
