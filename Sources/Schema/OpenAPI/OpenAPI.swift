public import JSON
import ObjectModel

extension Catalog {
    /// All paths that `openAPIv3` knows, in discovery order.
    public var openAPIv3Paths: [String] {
        groups.flatMap { group, versions in versions.map { group.isEmpty ? "api/\($0)" : "apis/\(group)/\($0)" } }
    }

    /// The OpenAPI 3.0 document of a group version (`api/v1`, `apis/apps/v1`); nil for a path that is not served.
    ///
    /// Made on each call and not kept: a caller that serves it keeps the encoded bytes.
    public func openAPIv3(_ path: String) -> JSON? {
        let parts = path.split(separator: "/").map(String.init)
        let group: String, version: String
        switch (parts.count, parts.first) {
        case (2, "api"): (group, version) = ("", parts[1])
        case (3, "apis"): (group, version) = (parts[1], parts[2])
        default: return nil
        }
        let served = resources.filter { $0.resource.group == group && $0.resource.version == version }
        guard !served.isEmpty else { return nil }
        let (paths, schemas) = openAPIParts(of: served, .v3)
        return [
            "openapi": "3.0.0", "info": Self.openAPIInfo, "paths": .object(paths),
            "components": [
                "schemas": .object(schemas),
                "securitySchemes": ["BearerToken": Self.bearerToken],
            ],
        ]
    }

    /// The whole API as one OpenAPI 2.0 document. Made on each call and not kept.
    public func openAPIv2() -> JSON {
        let (paths, definitions) = openAPIParts(of: resources, .v2)
        return [
            "swagger": "2.0", "info": Self.openAPIInfo, "paths": .object(paths), "definitions": .object(definitions),
            "securityDefinitions": ["BearerToken": Self.bearerToken], "security": [["BearerToken": []]],
        ]
    }

    /// Which custom kinds a document shows: the same stamp means the same document.
    /// - Parameter path: of a group version (`apis/apps/v1`); nil for all of the API.
    public func openAPIStamp(_ path: String? = nil) -> [UInt64] {
        resources.compactMap { definition in
            let custom = custom(definition.kind)
            guard let custom, path.map({ $0 == "apis/\(definition.resource.apiVersion)" }) ?? true else { return nil }
            return custom.serial
        }
    }

    private static let openAPIInfo: JSON = ["title": "Kubernetes", "version": "v1.36.0"]
    private static let bearerToken: JSON = [
        "type": "apiKey", "name": "authorization", "in": "header", "description": "A bearer token.",
    ]

    private func openAPIParts(of served: [ResourceDefinition], _ version: OpenAPISchemas.Version) -> (
        paths: JSONObject, schemas: JSONObject
    ) {
        let groupVersions = builtinGroups.flatMap { group, versions in versions.map { (group: group, version: $0) } }
        let customs = served.compactMap { custom($0.kind) }
        let schemas = OpenAPISchemas(
            schema: schema, version: version, descriptions: FieldDescriptions(), groupVersions: groupVersions)
        let writer = OpenAPIPaths(schemas: schemas, schema: schema, customs: CustomOpenAPI.names(of: customs))
        var paths: [(String, JSON)] = []
        var types: Set<Int> = []
        for definition in served {
            let part = writer.paths(of: definition)
            paths += part.paths
            types.formUnion(part.types)
        }
        for alias in ["meta.v1.Status", "meta.v1.DeleteOptions", "meta.v1.WatchEvent"] {
            if let place = schema.place(alias: alias) { types.insert(place) }
        }
        if !customs.isEmpty {
            for alias in ["meta.v1.ObjectMeta", "meta.v1.ListMeta"] {
                if let place = schema.place(alias: alias) { types.insert(place) }
            }
        }
        var definitions = schemas.closure(of: types.sorted())
        for custom in customs { CustomOpenAPI.add(custom, to: &definitions, schemas) }
        definitions["io.k8s.apimachinery.pkg.apis.meta.v1.Patch"] = [
            "description": "A patch in the form that its content type names.", "type": "object",
        ]
        let sorted = paths.sorted { $0.0 < $1.0 }
        return (JSONObject(sorted, uniquingKeysWith: { first, _ in first }), definitions)
    }
}
