import JSON
import ObjectModel

/// Writes the paths and operations of resources.
struct OpenAPIPaths {
    let schemas: OpenAPISchemas
    let schema: Schema
    /// Names of the types of custom kinds and their lists.
    var customs: [GroupVersionKind: String] = [:]

    private struct Operation {
        var method: String
        var action: String
        var id: String
        var kind: GroupVersionKind
        var parameters: [String]
        var body: Body = .none
        /// Type name of the answer; nil for a plain string.
        var answer: String?
        /// Where the resource is served.
        var group = "", version = ""

        enum Body { case none, type(String), patch, deleteOptions }
    }

    private static let listParameters = [
        "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "pretty", "resourceVersion",
        "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
    ]
    private static let writeParameters = ["dryRun", "fieldManager", "fieldValidation", "pretty"]
    private static let deleteParameters = [
        "dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy", "pretty",
    ]
    private static let patchTypes = [
        "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ]
    private static let bodyTypes = ["*/*"]
    private static let answerTypes = ["application/json", "application/yaml"]
    private static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1"

    /// The paths of a resource and its subresources, and the types that they mention.
    func paths(of definition: ResourceDefinition) -> (paths: [(String, JSON)], types: [Int]) {
        var result: [(String, JSON)] = []
        var types = [definition.kind, listKind(definition)].compactMap { schema.place(of: $0) }
        let base = "/" + (definition.resource.group.isEmpty ? "api" : "apis") + "/\(definition.resource.apiVersion)"
        let scope = definition.isNamespaced ? "/namespaces/{namespace}" : ""
        let collection = "\(base)\(scope)/\(definition.resource.resource)"
        let context = definition.isNamespaced ? ["namespace"] : []
        result.append((collection, pathItem(collectionOperations(definition), context, of: definition.resource)))
        if definition.isNamespaced, definition.hasVerb("list") {
            let everywhere = "\(base)/\(definition.resource.resource)"
            let list = collectionOperations(definition).filter { $0.action == "list" }.map { operation in
                var operation = operation
                operation.id = operation.id.replacing("Namespaced", with: "") + "ForAllNamespaces"
                return operation
            }
            result.append((everywhere, pathItem(list, [], of: definition.resource)))
        }
        let item = itemOperations(definition, verbs: definition.verbs, kind: definition.kind, suffix: "")
        if !item.isEmpty {
            result.append(("\(collection)/{name}", pathItem(item, context + ["name"], of: definition.resource)))
        }
        for subresource in definition.subresources {
            if let place = schema.place(of: subresource.kind) { types.append(place) }
            let suffix = subresource.name.prefix(1).uppercased() + subresource.name.dropFirst()
            let operations = subresourceOperations(definition, subresource, suffix)
            result.append(
                (
                    "\(collection)/{name}/\(subresource.name)",
                    pathItem(operations, context + ["name"], of: definition.resource)
                ))
        }
        return (result.filter { !$0.1["get"].isNull || $0.1.members.count > 1 }, types)
    }

    // MARK: Operations

    private func name(_ verb: String, _ definition: ResourceDefinition, _ suffix: String = "") -> String {
        let group = definition.resource.group.split(separator: ".").first.map(String.init) ?? "core"
        let scope = definition.isNamespaced ? "Namespaced" : ""
        func capital(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }
        return "\(verb)\(capital(group))\(capital(definition.resource.version))\(scope)\(definition.kind.kind)\(suffix)"
    }

    private func typeName(_ kind: GroupVersionKind) -> String? {
        schema.place(of: kind).map { schema.types[$0].name } ?? customs[kind]
    }

    /// The kind of lists; the type of a custom kind's list has the kind's name with `List` whatever the list is called.
    private func listKind(_ definition: ResourceDefinition) -> GroupVersionKind { definition.kind.list }

    private func collectionOperations(_ definition: ResourceDefinition) -> [Operation] {
        var operations: [Operation] = []
        if definition.hasVerb("list") {
            operations.append(
                Operation(
                    method: "get", action: "list", id: name("list", definition), kind: definition.kind,
                    parameters: Self.listParameters, answer: typeName(listKind(definition))))
        }
        if definition.hasVerb("create"), let type = typeName(definition.kind) {
            operations.append(
                Operation(
                    method: "post", action: "post", id: name("create", definition), kind: definition.kind,
                    parameters: Self.writeParameters, body: .type(type), answer: type))
        }
        if definition.hasVerb("deletecollection") {
            operations.append(
                Operation(
                    method: "delete", action: "deletecollection", id: name("deleteCollection", definition),
                    kind: definition.kind, parameters: Self.listParameters + Self.deleteParameters.dropLast(),
                    body: .deleteOptions, answer: "\(Self.meta).Status"))
        }
        return operations
    }

    private func itemOperations(
        _ definition: ResourceDefinition, verbs: [String], kind: GroupVersionKind, suffix: String
    ) -> [Operation] {
        guard let type = typeName(kind) else { return [] }
        var operations: [Operation] = []
        if verbs.contains("get") {
            operations.append(
                Operation(
                    method: "get", action: "get", id: name("read", definition, suffix), kind: kind,
                    parameters: ["pretty"], answer: type))
        }
        if verbs.contains("update") {
            operations.append(
                Operation(
                    method: "put", action: "put", id: name("replace", definition, suffix), kind: kind,
                    parameters: Self.writeParameters, body: .type(type), answer: type))
        }
        if verbs.contains("patch") {
            operations.append(
                Operation(
                    method: "patch", action: "patch", id: name("patch", definition, suffix), kind: kind,
                    parameters: Self.writeParameters + ["force"], body: .patch, answer: type))
        }
        if verbs.contains("delete") {
            operations.append(
                Operation(
                    method: "delete", action: "delete", id: name("delete", definition, suffix), kind: kind,
                    parameters: Self.deleteParameters, body: .deleteOptions, answer: "\(Self.meta).Status"))
        }
        return operations
    }

    private func subresourceOperations(
        _ definition: ResourceDefinition, _ subresource: ResourceDefinition.Subresource, _ suffix: String
    ) -> [Operation] {
        guard typeName(subresource.kind) != nil, subresource.name != "log" else {
            // Streams: attach, exec, log, port-forward, proxy.
            let methods = [
                ("get", "get"), ("create", "post"), ("update", "put"), ("patch", "patch"), ("delete", "delete"),
            ]
            return methods.filter { subresource.verbs.contains($0.0) }.map { _, method in
                Operation(
                    method: method, action: subresource.name == "log" ? "get" : "connect",
                    id: name("connect" + method.prefix(1).uppercased() + method.dropFirst(), definition, suffix),
                    kind: subresource.kind, parameters: [])
            }
        }
        var operations = itemOperations(definition, verbs: subresource.verbs, kind: subresource.kind, suffix: suffix)
        if subresource.verbs.contains("create"), let type = typeName(subresource.kind) {
            operations.append(
                Operation(
                    method: "post", action: "post", id: name("create", definition, suffix), kind: subresource.kind,
                    parameters: Self.writeParameters, body: .type(type), answer: type))
        }
        return operations
    }

    // MARK: Writing

    private func pathItem(
        _ operations: [Operation], _ pathParameters: [String], of resource: GroupVersionResource
    ) -> JSON {
        var item: JSONObject = [:]
        for operation in operations {
            var operation = operation
            (operation.group, operation.version) = (resource.group, resource.version)
            item[operation.method] = operationJSON(operation)
        }
        if !pathParameters.isEmpty {
            item["parameters"] = .array(pathParameters.map { parameter($0, place: "path") })
        }
        return .object(item)
    }

    private func operationJSON(_ operation: Operation) -> JSON {
        let answer: JSON = operation.answer.map(schemas.reference) ?? ["type": "string"]
        var result: JSONObject = ["operationId": .string(operation.id)]
        var parameters = operation.parameters.map { parameter($0, place: "query") }
        let body = bodySchema(operation.body)
        let isV3 = schemas.version == .v3
        var types = Self.answerTypes
        if Protobuf.has(operation.kind) { types.append(Protobuf.mediaType) }
        if operation.action == "list" {
            types += types.filter { $0 != "application/yaml" }.map { $0 + ";stream=watch" }
        }
        func ok(_ text: JSON) -> JSON {
            guard isV3 else { return ["description": text, "schema": answer] }
            let content = types.map { ($0, ["schema": answer] as JSON) }
            return ["description": text, "content": .object(JSONObject(uniqueKeysWithValues: content))]
        }
        if let body {
            if isV3 {
                let content = body.types.map { ($0, ["schema": body.schema] as JSON) }
                result["requestBody"] = [
                    "content": .object(JSONObject(uniqueKeysWithValues: content)), "required": .bool(body.isRequired),
                ]
            } else {
                parameters.append(
                    ["name": "body", "in": "body", "required": .bool(body.isRequired), "schema": body.schema])
                result["consumes"] = JSON(body.types)
            }
        }
        if !isV3 { result["produces"] = JSON(types) }
        let group = operation.group.split(separator: ".").first.map(String.init) ?? "core"
        result["tags"] = [.string("\(group)_\(operation.version)")]
        if !parameters.isEmpty { result["parameters"] = .array(parameters) }
        var responses: JSONObject = ["200": ok("OK")]
        if ["post", "put", "patch"].contains(operation.action) { responses["201"] = ok("Created") }
        if ["post", "delete"].contains(operation.action) { responses["202"] = ok("Accepted") }
        responses["401"] = ["description": "Unauthorized"]
        result["responses"] = .object(responses)
        result["x-kubernetes-action"] = .string(operation.action)
        result["x-kubernetes-group-version-kind"] = OpenAPISchemas.kind(
            operation.kind.group, operation.kind.version, operation.kind.kind)
        return .object(result)
    }

    private func bodySchema(_ body: Operation.Body) -> (schema: JSON, types: [String], isRequired: Bool)? {
        switch body {
        case .none: nil
        case .type(let name): (schemas.reference(name), Self.bodyTypes, true)
        case .patch: (schemas.reference("\(Self.meta).Patch"), Self.patchTypes, true)
        case .deleteOptions: (schemas.reference("\(Self.meta).DeleteOptions"), Self.bodyTypes, false)
        }
    }

    private func parameter(_ name: String, place: String) -> JSON {
        let type: JSON
        switch name {
        case "limit", "timeoutSeconds", "gracePeriodSeconds": type = "integer"
        case "allowWatchBookmarks", "sendInitialEvents", "watch", "orphanDependents", "force": type = "boolean"
        default: type = "string"
        }
        var members: JSONObject = ["name": .string(name), "in": .string(place)]
        if place == "path" { members["required"] = true }
        if schemas.version == .v3 {
            members["schema"] = ["type": type, "uniqueItems": true]
        } else {
            members["type"] = type
            members["uniqueItems"] = true
        }
        return .object(members)
    }
}

extension GroupVersionKind {
    /// The kind of lists of this kind.
    var list: GroupVersionKind { GroupVersionKind(group: group, version: version, kind: kind + "List") }
}
