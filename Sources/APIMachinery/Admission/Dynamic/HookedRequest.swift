import ClusterClient
import JSON
import ObjectModel
import Schema
import Security

/// A request as webhooks and policies see it: the same facts for every kind of write, and for connections.
struct HookedRequest: Sendable {
    enum Operation: String, Sendable {
        case create = "CREATE"
        case update = "UPDATE"
        case delete = "DELETE"
        case connect = "CONNECT"
    }
    var operation: Operation
    /// The resource as the client named it, with its version.
    var definition: ResourceDefinition
    /// What is sent; differs from the resource's kind for some subresources.
    var kind: GroupVersionKind
    /// Empty: the resource itself.
    var subresource: String
    var key: ObjectKey
    /// The new state, in any version of the kind; null for a delete.
    var object: JSON
    /// The state before; null for a create or a connection.
    var oldObject: JSON
    /// `CreateOptions`, `UpdateOptions`, `PatchOptions` or `DeleteOptions`; null for connections.
    var options: JSON
    var context: RequestContext
    var isDryRun: Bool
    /// The same objects under their other names and versions, as rules may name them.
    let equivalents: [MatchedVersion]

    init(
        _ operation: Operation, _ definition: ResourceDefinition, kind: GroupVersionKind, subresource: String,
        key: ObjectKey, object: JSON, oldObject: JSON = .null, options: JSON = .null, context: RequestContext,
        isDryRun: Bool, catalog: Catalog
    ) {
        self.operation = operation
        self.definition = definition
        self.kind = kind
        self.subresource = subresource
        self.key = key
        self.object = object
        self.oldObject = oldObject
        self.options = options
        self.context = context
        self.isDryRun = isDryRun
        let place = StorageLayout.place(of: definition.resource.groupResource)
        equivalents = catalog.resources.compactMap { other in
            guard StorageLayout.place(of: other.resource.groupResource) == place,
                other.resource != definition.resource
            else { return nil }
            if kind == definition.kind { return MatchedVersion(resource: other.resource, kind: other.kind) }
            guard other.subresource(subresource)?.kind == kind else { return nil }
            return MatchedVersion(resource: other.resource, kind: kind)
        }
    }

    /// For example `pods` or `deployments.apps`.
    var place: GroupResource { definition.resource.groupResource }

    /// The same object of the same kind in another version. Subresources with a kind of their own have one version.
    func tree(_ tree: JSON, as version: GroupVersionKind) -> JSON {
        tree.isNull || kind != definition.kind ? tree : VersionConversion.tree(tree, as: version)
    }
}

extension HookedRequest {
    /// What a write to an object, or to a part of it, asks for.
    /// - Parameter isSettled: the server has given the new object its name, uid and time; before that, nobody sees them.
    init(_ request: AdmissionRequest, in machinery: Machinery, isSettled: Bool) {
        let written = machinery.catalog.resource(for: request.writtenKind)
        let definition =
            written.flatMap { $0.resource.groupResource == request.place ? $0 : nil } ?? request.resource
        var key = request.key
        var object = request.operation == .delete ? .null : request.object
        var oldObject = request.old?.tree ?? .null
        var subresource = request.subresource ?? ""
        var kind = definition.kind
        let operation: Operation
        switch request.operation {
        case .create:
            operation = .create
            if !isSettled {
                for field in ["uid", "creationTimestamp"] { object["metadata"].removeMember(field) }
                if request.isNameGenerated {
                    object["metadata"].removeMember("name")
                    key.name = ""
                }
            }
        case .update: operation = .update
        case .delete: operation = .delete
        }
        if let scale = request.scaleKind {
            subresource = "scale"
            kind = scale
            let paths = machinery.custom(definition)?.scale
            object = Machinery.scale(of: Object(request.object), kind: scale, custom: paths)
            if let old = request.old { oldObject = Machinery.scale(of: old, kind: scale, custom: paths) }
        }
        self.init(
            operation, definition, kind: kind, subresource: subresource, key: key, object: object,
            oldObject: oldObject, options: Self.options(request), context: request.context,
            isDryRun: request.context.isDryRun || request.deleteOptions?.isDryRun == true,
            catalog: machinery.catalog)
    }

    static func createOptions(_ context: RequestContext) -> JSON {
        options("CreateOptions", context, delete: nil)
    }

    private static func options(_ request: AdmissionRequest) -> JSON {
        let kind =
            switch request.operation {
            case .create: "CreateOptions"
            case .update: "UpdateOptions"
            case .delete: "DeleteOptions"
            }
        return options(
            request.isPatch ? "PatchOptions" : kind, request.context, delete: request.deleteOptions)
    }

    private static func options(_ kind: String, _ context: RequestContext, delete: DeleteOptions?) -> JSON {
        var options: JSON = ["kind": .string(kind), "apiVersion": "meta.k8s.io/v1"]
        if let delete {
            if let seconds = delete.gracePeriodSeconds { options["gracePeriodSeconds"] = JSON(seconds) }
            if let policy = delete.propagation { options["propagationPolicy"] = .string(policy.rawValue) }
            if let uid = delete.uid { options["preconditions"]["uid"] = .string(uid) }
            if let version = delete.resourceVersion {
                options["preconditions"]["resourceVersion"] = .string(String(version))
            }
        } else {
            if !context.fieldManager.isEmpty { options["fieldManager"] = .string(context.fieldManager) }
            options["fieldValidation"] = .string(context.fieldValidation.rawValue)
        }
        if context.isDryRun || delete?.isDryRun == true { options["dryRun"] = ["All"] }
        return options
    }

    /// `userInfo` of a review (`authentication.k8s.io/v1 UserInfo`).
    var userInfo: JSON {
        let user = context.user
        var info: JSON = ["username": .string(user.name)]
        if !user.uid.isEmpty { info["uid"] = .string(user.uid) }
        if !user.groups.isEmpty { info["groups"] = JSON(user.groups) }
        for key in user.extra.keys.sorted() { info["extra"][key] = JSON(user.extra[key] ?? []) }
        return info
    }

    /// The `request` of an `AdmissionReview`, and of expressions, without the objects.
    /// - Parameter matched: how the webhook or policy asked for it.
    func attributes(_ matched: MatchedVersion, uid: String) -> JSON {
        var request: JSON = [
            "uid": .string(uid), "kind": Self.json(matched.kind), "resource": Self.json(matched.resource),
        ]
        if !subresource.isEmpty { request["subResource"] = .string(subresource) }
        request["requestKind"] = Self.json(kind)
        request["requestResource"] = Self.json(definition.resource)
        if !subresource.isEmpty { request["requestSubResource"] = .string(subresource) }
        if !key.name.isEmpty { request["name"] = .string(key.name) }
        if !key.namespace.isEmpty { request["namespace"] = .string(key.namespace) }
        request["operation"] = .string(operation.rawValue)
        request["userInfo"] = userInfo
        request["dryRun"] = .bool(isDryRun)
        request["options"] = options
        return request
    }

    private static func json(_ kind: GroupVersionKind) -> JSON {
        ["group": .string(kind.group), "version": .string(kind.version), "kind": .string(kind.kind)]
    }
    private static func json(_ resource: GroupVersionResource) -> JSON {
        [
            "group": .string(resource.group), "version": .string(resource.version),
            "resource": .string(resource.resource),
        ]
    }
}
