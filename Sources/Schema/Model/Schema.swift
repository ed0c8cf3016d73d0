import ObjectModel

/// All types and the resources made of them, read once from the tables. Immutable and shared.
final class Schema: Sendable {
    let types: [SchemaType]
    let resources: [ResourceDefinition]
    private let placesByAlias: [String: Int]
    private let placesByKind: [GroupVersionKind: Int]
    /// Places of types that belong to every group version, by kind (`DeleteOptions`).
    private let placesOfCommonKinds: [String: Int]

    init(types tables: [StaticString], resources resourceTables: [StaticString]) {
        var reader = SchemaReader()
        for table in tables { reader.read(table) }
        types = reader.types.enumerated().map { place, type in
            guard let type else {
                let name = reader.places.first { $0.value == place }?.key ?? "?"
                preconditionFailure("the schema tables refer to the type \(name), which they do not have")
            }
            return type
        }
        placesByAlias = reader.places
        var byKind: [GroupVersionKind: Int] = [:], common: [String: Int] = [:]
        for (place, type) in types.enumerated() {
            for text in type.kinds {
                if text.hasPrefix("*") {
                    common[String(text.dropFirst())] = place
                } else {
                    byKind[GroupVersionKind(table: text[...])] = place
                }
            }
        }
        placesByKind = byKind
        placesOfCommonKinds = common
        let named = types
        resources = resourceTables.flatMap { table in
            ResourceReader.read(table) { kind in byKind[kind].map { named[$0].name } ?? "" }
        }
    }

    /// The types of a custom kind behind the built-in ones.
    init(types: [SchemaType], placesByKind: [GroupVersionKind: Int]) {
        self.types = types
        self.placesByKind = placesByKind
        resources = []
        placesByAlias = [:]
        placesOfCommonKinds = [:]
    }

    /// The place of the root type of a kind in `types`.
    func place(of kind: GroupVersionKind) -> Int? { placesByKind[kind] ?? placesOfCommonKinds[kind.kind] }
    /// The place of a type by its short name (`core.v1.PodSpec`).
    func place(alias: String) -> Int? { placesByAlias[alias] }
}

extension GroupVersionKind {
    /// `group/version/Kind` as the tables write it; the core group is empty.
    init(table text: Substring) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        self.init(
            group: String(parts.first ?? ""), version: parts.count > 1 ? String(parts[1]) : "",
            kind: String(parts.last ?? ""))
    }
}

/// Reads the table of resources (`Tables/Generated+Resources.swift`).
///
/// A line per resource: resource, kind, group (`-`: core), version, scope, singular, short names, categories, verbs
/// (`all`: the usual eight). Below, a line per subresource that starts with a space: name, verbs, its kind if that is not
/// the resource's.
enum ResourceReader {
    private static let allVerbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

    static func read(_ table: StaticString, typeName: (GroupVersionKind) -> String) -> [ResourceDefinition] {
        let text = table.withUTF8Buffer { String(decoding: $0, as: UTF8.self) }
        var found: [ResourceDefinition] = []
        for line in SchemaReader.split(text.utf8[...], at: UInt8(ascii: "\n")) {
            let columns = SchemaReader.split(line.utf8, at: UInt8(ascii: " "))
            if columns.count >= 3, columns[0].isEmpty, let last = found.indices.last {
                found[last].subresources.append(
                    .init(
                        name: String(columns[1]),
                        kind: columns.count > 3 ? GroupVersionKind(table: columns[3]) : found[last].kind,
                        verbs: list(columns[2])))
            } else if columns.count == 9 {
                let group = columns[2] == "-" ? "" : String(columns[2])
                let kind = GroupVersionKind(group: group, version: String(columns[3]), kind: String(columns[1]))
                found.append(
                    ResourceDefinition(
                        resource: .init(group: group, version: kind.version, resource: String(columns[0])), kind: kind,
                        singular: columns[5] == "-" ? "" : String(columns[5]), isNamespaced: columns[4] == "namespaced",
                        shortNames: list(columns[6]), categories: list(columns[7]),
                        verbs: columns[8] == "all" ? allVerbs : list(columns[8]), subresources: [],
                        typeName: typeName(kind)))
            }
        }
        return found
    }

    private static func list(_ text: Substring) -> [String] {
        text == "-" ? [] : text.split(separator: ",").map(String.init)
    }
}
