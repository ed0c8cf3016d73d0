import ClusterClient
import JSON
import NIOHTTP1
import ObjectModel
import Schema
import Streaming

/// The `metrics.k8s.io` group: usage of nodes and pods, straight from the nodes, never stored.
enum NodeMetrics {
    static let group = "metrics.k8s.io"
    static let version = "v1beta1"

    static let resources = [definition("nodes", "NodeMetrics", false), definition("pods", "PodMetrics", true)]

    private static func definition(_ resource: String, _ kind: String, _ isNamespaced: Bool) -> ResourceDefinition {
        ResourceDefinition(
            resource: GroupVersionResource(group: group, version: version, resource: resource),
            kind: GroupVersionKind(group: group, version: version, kind: kind), singular: "",
            isNamespaced: isNamespaced,
            shortNames: [], categories: [], verbs: ["get", "list"], subresources: [], typeName: "")
    }
}

extension Dispatcher {
    /// What has been measured so far: right after a start that is nothing, which a list says by being empty.
    func nodeMetrics(_ call: Call) async throws -> Answer {
        let info = call.info
        guard info.version == NodeMetrics.version,
            let definition = NodeMetrics.resources.first(where: { $0.resource.resource == info.resource }),
            info.subresource.isEmpty, definition.isNamespaced || info.namespace.isEmpty,
            info.name.isEmpty || !definition.isNamespaced || !info.namespace.isEmpty
        else { throw StatusError.unknownResource() }
        guard definition.hasVerb(info.verb) else { throw StatusError.methodNotSupported() }
        let labels = try Options.labels(call)
        let items = definition.isNamespaced ? try await podMetrics(call, labels) : try await nodeUsage(call, labels)
        if info.verb == "get" {
            guard let item = items.first else {
                throw StatusError.notFound(info.groupResource, name: info.name)
            }
            return .response(encoded(item, try Representation(call.request)))
        }
        let list: JSON = [
            "kind": .string(definition.kind.kind + "List"), "apiVersion": .string(definition.kind.apiVersion),
            "metadata": [:], "items": .array(items),
        ]
        return .response(encoded(list, try Representation(call.request)))
    }

    private func nodeUsage(_ call: Call, _ labels: LabelSelector) async throws -> [JSON] {
        let objects = try await objects(.nodes, namespace: nil, labels, named: call.info.name)
        var items: [JSON] = []
        for (name, gateway) in await nodes.nodes() {
            guard let node = objects[ObjectKey(name: name)], let usage = try? await gateway.nodeUsage(),
                !usage["usage"].isNull
            else { continue }
            items.append(sample(usage, of: node, kind: "NodeMetrics"))
        }
        return items.sorted { ($0["metadata"]["name"].string ?? "") < ($1["metadata"]["name"].string ?? "") }
    }

    private func podMetrics(_ call: Call, _ labels: LabelSelector) async throws -> [JSON] {
        let namespace = call.info.namespace.isEmpty ? nil : call.info.namespace
        let objects = try await objects(.pods, namespace: namespace, labels, named: call.info.name)
        var items: [(key: ObjectKey, json: JSON)] = []
        for (_, gateway) in await nodes.nodes() {
            guard let usages = try? await gateway.podUsage() else { continue }
            for usage in usages {
                let metadata = usage["metadata"]
                let key = ObjectKey(namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "")
                guard let pod = objects[key], !usage["containers"].elements.isEmpty else { continue }
                items.append((key, sample(usage, of: pod, kind: "PodMetrics")))
            }
        }
        return items.sorted { $0.key < $1.key }.map(\.json)
    }

    /// The objects that the request is about; metrics carry their labels.
    private func objects(
        _ resource: GroupVersionResource, namespace: String?, _ labels: LabelSelector, named name: String
    ) async throws -> [ObjectKey: Object] {
        guard let definition = backend.catalog.resource(resource) else { return [:] }
        var options = ListOptions(labelSelector: labels)
        options.resourceVersion = "0"
        if !name.isEmpty {
            options.fieldSelector.requirements = [.init(field: "metadata.name", value: name, isEqual: true)]
        }
        let list = try await backend.list(definition, namespace: namespace, options: options)
        return Dictionary(list.items.map { ($0.key, $0) }, uniquingKeysWith: { _, last in last })
    }

    private func sample(_ usage: JSON, of object: Object, kind: String) -> JSON {
        var metadata: JSON = ["name": .string(object.name)]
        if !object.namespace.isEmpty { metadata["namespace"] = .string(object.namespace) }
        metadata["creationTimestamp"] = .string(Timestamp.now.rfc3339)
        if !object.metadata.labels.isEmpty { metadata["labels"] = JSON(object.metadata.labels) }
        var item: JSON = [
            "kind": .string(kind), "apiVersion": .string("\(NodeMetrics.group)/\(NodeMetrics.version)"),
            "metadata": metadata,
        ]
        for member in ["timestamp", "window", "usage", "containers"] where !usage[member].isNull {
            item[member] = usage[member]
        }
        return item
    }
}
