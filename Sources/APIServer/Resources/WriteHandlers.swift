import APIMachinery
import ClusterClient
import JSON
import NIOHTTP1
import ObjectModel
import Schema

extension Dispatcher {
    func create(_ call: Call, _ definition: ResourceDefinition) async throws -> Answer {
        let namespace = definition.isNamespaced ? call.info.namespace : ""
        let body = try BodyReader.read(call.request, as: definition.kind, backend.catalog)
        let context = try Options.write(call, kind: "CreateOptions", duplicates: body.duplicates)
        let object = try checked(body.value, definition.kind, namespace: namespace, name: nil)
        if definition.resource.group.isEmpty, definition.resource.resource == "bindings" {
            return try await bind(object, namespace: namespace, call, context)
        }
        let result = try await backend.create(
            definition, namespace: namespace, name: "", subresource: nil, body: object, context: context)
        return try one(
            result.object, call, definition: definition, status: result.isCreated ? .created : .ok,
            warnings: context.warnings)
    }

    /// `bindings`: the old place of `pods/{name}/binding`; the pod's name is the binding's.
    private func bind(_ binding: JSON, namespace: String, _ call: Call, _ context: RequestContext) async throws
        -> Answer
    {
        guard let pods = backend.catalog.resource(.pods) else { throw StatusError.unknownResource() }
        let result = try await backend.create(
            pods, namespace: namespace, name: binding["metadata"]["name"].string ?? "", subresource: "binding",
            body: binding, context: context)
        return try one(result.object, call, definition: nil, status: .created, warnings: context.warnings)
    }

    func createSubresource(
        _ call: Call, _ definition: ResourceDefinition, _ subresource: ResourceDefinition.Subresource
    ) async throws -> Answer {
        let body = try BodyReader.read(call.request, as: subresource.kind, backend.catalog)
        let context = try Options.write(call, kind: "CreateOptions", duplicates: body.duplicates)
        let namespace = definition.isNamespaced ? call.info.namespace : ""
        var value = body.value
        if value.isNull { value = [:] }
        let object = try checked(value, subresource.kind, namespace: namespace, name: call.info.name)
        let result = try await backend.create(
            definition, namespace: namespace, name: call.info.name, subresource: subresource.name, body: object,
            context: context)
        return try one(
            result.object, call, definition: nil, status: result.isCreated ? .created : .ok, warnings: context.warnings)
    }

    func update(
        _ call: Call, _ definition: ResourceDefinition, _ key: ObjectKey, subresource: ResourceDefinition.Subresource?
    ) async throws -> Answer {
        let kind = subresource?.kind ?? definition.kind
        let body = try BodyReader.read(call.request, as: kind, backend.catalog)
        let context = try Options.write(call, kind: "UpdateOptions", duplicates: body.duplicates)
        let object = try checked(body.value, kind, namespace: key.namespace, name: key.name)
        let result = try await backend.update(
            definition, key, subresource: subresource?.name, body: object, context: context)
        return try one(
            result.object, call, definition: kind == definition.kind ? definition : nil,
            status: result.isCreated ? .created : .ok, warnings: context.warnings)
    }

    func patch(
        _ call: Call, _ definition: ResourceDefinition, _ key: ObjectKey, subresource: ResourceDefinition.Subresource?
    ) async throws -> Answer {
        let kind = subresource?.kind ?? definition.kind
        let (type, body) = try BodyReader.readPatch(call.request, as: kind)
        let context = try Options.write(call, kind: "PatchOptions", duplicates: body.duplicates, patch: type)
        if type == .json {
            guard body.value.array != nil else {
                throw StatusError.badRequest("a JSON patch must be an array of operations")
            }
        } else {
            guard body.value.object != nil else { throw StatusError.badRequest("the patch must be an object") }
        }
        let result = try await backend.patch(
            definition, key, subresource: subresource?.name, type: type, patch: body.value,
            force: type == .apply && call.request.query.flag("force"), context: context)
        return try one(
            result.object, call, definition: kind == definition.kind ? definition : nil,
            status: result.isCreated ? .created : .ok, warnings: context.warnings)
    }

    /// The body with its identity made to agree with the URL.
    ///
    /// - Parameter name: what `metadata.name` must be when it is given; nil for a create in a collection.
    private func checked(_ body: JSON, _ kind: GroupVersionKind, namespace: String, name: String?) throws -> JSON {
        guard body.object != nil else {
            throw StatusError.badRequest(
                "the object provided is unrecognized (must be of type \(kind.kind)): it is no object")
        }
        var object = body
        if let version = object["apiVersion"].string, !version.isEmpty {
            guard version == kind.apiVersion else {
                throw StatusError.badRequest(
                    "the API version in the data (\(version)) does not match the expected API version (\(kind.apiVersion))"
                )
            }
        } else {
            object["apiVersion"] = .string(kind.apiVersion)
        }
        if let given = object["kind"].string, !given.isEmpty {
            guard given == kind.kind else {
                throw StatusError.badRequest(
                    "\(given) in version \"\(kind.version)\" cannot be handled as a \(kind.kind): the kinds differ")
            }
        } else {
            object["kind"] = .string(kind.kind)
        }
        let metadata = object["metadata"]
        guard metadata.object != nil || metadata.isNull else { return object }
        if let given = metadata["namespace"].string, !given.isEmpty, given != namespace {
            throw StatusError.badRequest(
                "the namespace of the provided object does not match the namespace sent on the request")
        }
        if let name, let given = metadata["name"].string, !given.isEmpty, given != name {
            throw StatusError.badRequest(
                "the name of the object (\(given)) does not match the name on the URL (\(name))")
        }
        return object
    }

    // MARK: Deleting

    func delete(_ call: Call, _ definition: ResourceDefinition, _ key: ObjectKey) async throws -> Answer {
        let request = try DeleteRequest(call, backend.catalog)
        let context = RequestContext(user: call.user, isDryRun: request.options.isDryRun)
        let result = try await backend.delete(definition, key, options: request.options, context: context)
        let warnings = context.warnings
        guard result.isGone, !Self.returnsDeleted(definition) else {
            let status: HTTPResponseStatus = !result.isGone && request.isDependentsFirst ? .accepted : .ok
            return try one(result.object, call, definition: definition, status: status, warnings: warnings)
        }
        var details: JSON = ["name": .string(key.name)]
        if !definition.resource.group.isEmpty { details["group"] = .string(definition.resource.group) }
        details["kind"] = .string(definition.resource.resource)
        if !result.object.uid.isEmpty { details["uid"] = .string(result.object.uid) }
        let status: JSON = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "details": details,
        ]
        var response = encoded(status, try Representation(call.request))
        addWarnings(warnings, to: &response)
        return .response(response)
    }

    /// Kinds whose last state is the answer of their delete; all others answer a `Status`.
    private static func returnsDeleted(_ definition: ResourceDefinition) -> Bool {
        if definition.resource.group == "resource.k8s.io" { return true }
        let kinds: Set = [
            "Pod", "Service", "ServiceAccount", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "PodTemplate",
            "ResourceQuota", "StorageClass", "CSIDriver", "CSINode", "VolumeAttachment", "VolumeAttributesClass",
        ]
        return kinds.contains(definition.kind.kind)
    }

    func deleteCollection(_ call: Call, _ definition: ResourceDefinition) async throws -> Answer {
        let request = try DeleteRequest(call, backend.catalog)
        let options = try Options.list(call, definition, backend.catalog)
        let context = RequestContext(user: call.user, isDryRun: request.options.isDryRun)
        let namespace = call.info.namespace.isEmpty || !definition.isNamespaced ? nil : call.info.namespace
        let list = try await backend.deleteCollection(
            definition, namespace: namespace, list: options, options: request.options, context: context)
        return try many(list, call, definition)
    }
}
