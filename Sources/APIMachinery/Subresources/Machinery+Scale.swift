import ClusterClient
import CustomResources
public import JSON
public import ObjectModel
public import Schema

extension Machinery {
    public func getSubresource(_ resource: ResourceDefinition, _ key: ObjectKey, subresource: String) async throws
        -> JSON
    {
        guard let definition = resource.subresource(subresource) else { throw noSubresource(resource, subresource) }
        let object = try await get(resource, key, resourceVersion: "")
        return subresource == "scale"
            ? Self.scale(of: object, kind: definition.kind, custom: custom(resource)?.scale) : object.tree
    }

    /// The `Scale` of a workload.
    static func scale(of object: Object, kind: GroupVersionKind, custom: ScalePaths? = nil) -> JSON {
        let tree = object.tree
        var metadata: JSON = ["name": .string(object.name), "namespace": .string(object.namespace)]
        for field in ["uid", "resourceVersion", "creationTimestamp"] where !tree["metadata"][field].isNull {
            metadata[field] = tree["metadata"][field]
        }
        if let custom {
            var status: JSON = ["replicas": JSON(tree.value(at: custom.statusReplicas).int ?? 0)]
            if let path = custom.selector, let text = tree.value(at: path).string { status["selector"] = .string(text) }
            return [
                "kind": .string(kind.kind), "apiVersion": .string(kind.apiVersion), "metadata": metadata,
                "spec": ["replicas": JSON(tree.value(at: custom.specReplicas).int ?? 0)], "status": status,
            ]
        }
        var status: JSON = ["replicas": JSON(tree["status"]["replicas"].int ?? 0)]
        let selector = tree["spec"]["selector"]
        let parsed: LabelSelector? =
            object.kind.kind == "ReplicationController"
            ? LabelSelector(matching: selector.stringMap) : (try? LabelSelector(labelSelector: selector)) ?? nil
        if let parsed, !parsed.isEmpty { status["selector"] = .string(parsed.description) }
        return [
            "kind": .string(kind.kind), "apiVersion": .string(kind.apiVersion), "metadata": metadata,
            "spec": ["replicas": JSON(tree["spec"]["replicas"].int ?? 0)], "status": status,
        ]
    }

    /// Changes `spec.replicas` through the `Scale`.
    /// - Parameter change: the wanted scale from the current one.
    func updateScale(
        _ resource: ResourceDefinition, _ cache: WatchCache, _ key: ObjectKey, context: RequestContext,
        _ change: (JSON) throws -> JSON
    ) async throws -> WriteResult {
        guard let kind = resource.subresource("scale")?.kind else { throw noSubresource(resource, "scale") }
        let writing = Writing(kind: resource.kind, subresource: "scale")
        let custom = custom(resource)?.scale
        let object = try await rewrite(cache, key, .object, writing, context: context) { current in
            let wanted = try change(Self.scale(of: current, kind: kind, custom: custom))
            let name = wanted["metadata"]["name"].string ?? ""
            if !name.isEmpty, name != key.name {
                throw StatusError.badRequest(
                    "the name of the object (\(name)) does not match the name on the URL (\(key.name))")
            }
            let replicas = wanted["spec"]["replicas"].int ?? 0
            if replicas < 0 {
                throw StatusError.invalid(
                    kind, name: key.name,
                    [.invalid("spec.replicas", JSON(replicas), "must be greater than or equal to 0")])
            }
            var tree = current.tree
            if let custom {
                tree.set(JSON(replicas), at: custom.specReplicas[...])
            } else {
                tree["spec"]["replicas"] = JSON(replicas)
            }
            if let version = wanted["metadata"]["resourceVersion"].string, !version.isEmpty {
                tree["metadata"]["resourceVersion"] = .string(version)
            }
            return tree
        }
        return WriteResult(object: Object(Self.scale(of: object, kind: kind, custom: custom)), isCreated: false)
    }
}

extension JSON {
    /// The value below some members; null when there is none.
    func value(at path: [String]) -> JSON { path.reduce(self) { $0[$1] } }

    /// Sets the value below some members.
    mutating func set(_ value: JSON, at path: ArraySlice<String>) {
        guard let first = path.first else {
            self = value
            return
        }
        self[first].set(value, at: path.dropFirst())
    }
}
