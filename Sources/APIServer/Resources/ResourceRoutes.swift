import APIMachinery
import ClusterClient
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema

extension Dispatcher {
    /// Answers a request for a resource of the catalog.
    func resource(_ call: Call) async throws -> Answer {
        let info = call.info
        let catalog = backend.catalog
        guard let definition = catalog.resource(info.gvr) else {
            let isVersionServed = catalog.groups.contains {
                $0.group == info.group && $0.versions.contains(info.version)
            }
            guard isVersionServed else { return .pageNotFound }
            throw StatusError.unknownResource()
        }
        let isNamespacesItself = info.group.isEmpty && info.resource == "namespaces"
        if definition.isNamespaced {
            if info.namespace.isEmpty {
                guard info.name.isEmpty || info.verb == "watch" else { throw StatusError.unknownResource() }
                guard info.verb == "list" || info.verb == "watch" else { throw StatusError.methodNotSupported() }
            }
        } else if !info.namespace.isEmpty, !isNamespacesItself {
            throw StatusError.unknownResource()
        }
        if !info.subresource.isEmpty { return try await subresource(call, definition) }
        guard definition.hasVerb(info.verb) else { throw notSupported(info) }
        // Refuse what cannot be answered before the work is done.
        _ = try Representation(call.request, protobuf: Protobuf.has(definition.kind))
        if let answer = try await review(call, definition) { return answer }
        let key = ObjectKey(namespace: definition.isNamespaced ? info.namespace : "", name: info.name)
        switch info.verb {
        case "get": return try await get(call, definition, key)
        case "list": return try await inCommonPool { try await self.list(call, definition) }
        case "watch": return try await watch(call, definition)
        case "create": return try await create(call, definition)
        case "update": return try await update(call, definition, key, subresource: nil)
        case "patch": return try await patch(call, definition, key, subresource: nil)
        case "delete": return try await delete(call, definition, key)
        case "deletecollection": return try await deleteCollection(call, definition)
        default: throw StatusError.methodNotSupported()
        }
    }

    private func notSupported(_ info: RequestInfo) -> StatusError {
        guard ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"].contains(info.verb)
        else { return .methodNotSupported() }
        var error = StatusError.methodNotAllowed(
            "\(info.verb) is not supported on resources of kind \"\(info.groupResource)\"")
        error.group = info.group
        error.kind = info.resource
        return error
    }

    private func subresource(_ call: Call, _ definition: ResourceDefinition) async throws -> Answer {
        let info = call.info
        guard !info.name.isEmpty, let subresource = definition.subresource(info.subresource) else {
            throw StatusError.unknownResource()
        }
        if info.subresource == "proxy" {
            // Before the method is looked at: every method is proxied.
            return try await proxy(call, definition)
        }
        guard info.tail.isEmpty else { throw StatusError.unknownResource() }
        let key = ObjectKey(namespace: definition.isNamespaced ? info.namespace : "", name: info.name)
        if definition.resource == .pods {
            switch info.subresource {
            case "log": return try await podLog(call)
            case "exec", "attach": return try await podCommand(call)
            case "portforward": return try await podPortForward(call)
            default: break
            }
        }
        guard subresource.verbs.contains(info.verb) else { throw StatusError.methodNotSupported() }
        switch info.verb {
        case "get":
            if subresource.kind == definition.kind { return try await get(call, definition, key) }
            let json = try await backend.getSubresource(definition, key, subresource: info.subresource)
            return try one(Object(json), call, definition: nil)
        case "create": return try await createSubresource(call, definition, subresource)
        case "update": return try await update(call, definition, key, subresource: subresource)
        case "patch": return try await patch(call, definition, key, subresource: subresource)
        default: throw StatusError.methodNotSupported()
        }
    }

    // MARK: Reading one

    private func get(_ call: Call, _ definition: ResourceDefinition, _ key: ObjectKey) async throws -> Answer {
        let object = try await backend.get(
            definition, key, resourceVersion: call.request.query["resourceVersion"] ?? "")
        return try one(object, call, definition: definition)
    }

    /// One object in the form the client asked for.
    ///
    /// - Parameter definition: nil for answers that have no table, such as `Scale`.
    func one(
        _ object: Object, _ call: Call, definition: ResourceDefinition?, status: HTTPResponseStatus = .ok,
        warnings: [String] = []
    ) throws -> Answer {
        let form = try Representation(call.request, protobuf: Protobuf.has(object.kind))
        var response: Response
        switch (form.shape, definition) {
        case (.table, let definition?) where object.kind == definition.kind:
            let metadata: JSON =
                object.metadata.resourceVersion == 0
                ? [:] : ["resourceVersion": .string(String(object.metadata.resourceVersion))]
            let table = backend.catalog.table(
                of: [object], resource: definition.resource, includeObject: try includeObject(call),
                includeColumns: true, metadata: metadata, now: .now)
            response = encoded(table, form, status)
        case (.metadata, _):
            response = encoded(partialMetadata(object), form, status)
        default:
            if form.encoding == .json, !form.isPretty {
                response = Response(status: status, json: object.bytes)
            } else if form.encoding == .protobuf, let document = object.protobufDocument {
                response = Response(status: status, protobuf: document)
            } else {
                response = encoded(object.tree, form, status)
            }
        }
        addWarnings(warnings, to: &response)
        return .response(response)
    }

    func encoded(_ json: JSON, _ form: Representation, _ status: HTTPResponseStatus = .ok) -> Response {
        if form.encoding == .yaml {
            return Response(
                status: status, headers: ["Content-Type": "application/yaml"],
                body: ByteBuffer(bytes: YAML.encode(json)))
        }
        if form.encoding == .protobuf, let document = Protobuf.document(json) {
            return Response(status: status, protobuf: document)
        }
        return Response(status: status, json: form.isPretty ? json.prettyEncoded() + [0x0A] : json.encoded())
    }

    /// What goes into `rows[].object` of a table.
    func includeObject(_ call: Call) throws -> String {
        let value = call.request.query["includeObject"] ?? ""
        switch value {
        case "": return "Metadata"
        case "None", "Metadata", "Object": return value
        default:
            throw StatusError.invalidOptions(
                "TableOptions", [.notSupported("includeObject", .string(value), ["", "Metadata", "None", "Object"])])
        }
    }

    /// `PartialObjectMetadata` of an object.
    func partialMetadata(_ object: Object) -> JSON {
        [
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.tree["metadata"],
        ]
    }

    /// `Warning` headers (RFC 7234 section 5.5), at most 4 KiB of text in all.
    func addWarnings(_ warnings: [String], to response: inout Response) {
        var room = 4096
        var seen: Set<String> = []
        for text in warnings where seen.insert(text).inserted {
            var safe = ""
            for scalar in text.unicodeScalars {
                if scalar == "\"" || scalar == "\\" { safe.unicodeScalars.append("\\") }
                safe.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar)
            }
            room -= safe.utf8.count
            guard room >= 0 else { return }
            response.headers.add(name: "Warning", value: "299 - \"\(safe)\"")
        }
    }
}
