import APIMachinery
import APIServer
import ClusterClient
import JSON
import NodeAgent
import ObjectModel

/// The way to the cluster with the resource metrics of pods, which are not stored but asked from the nodes: what a
/// component that speaks HTTPS gets from the API server's `metrics.k8s.io`.
struct MetricsTransport: ClusterTransport {
    let base: LocalTransport
    let nodes: any NodeDirectory

    func list(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws -> ObjectList {
        guard resource.group == "metrics.k8s.io", resource.resource == "pods" else {
            return try await base.list(resource, namespace: namespace, options: options)
        }
        var items: [Object] = []
        for (_, gateway) in await nodes.nodes() {
            for usage in (try? await gateway.podUsage()) ?? [] {
                guard namespace == nil || usage["metadata"]["namespace"].string == namespace,
                    !usage["containers"].elements.isEmpty
                else { continue }
                items.append(Object(usage))
            }
        }
        return ObjectList(items: items, resourceVersion: 0)
    }

    func get(_ resource: GroupVersionResource, _ key: ObjectKey) async throws -> Object {
        try await base.get(resource, key)
    }
    func watch(_ resource: GroupVersionResource, namespace: String?, options: ListOptions) async throws
        -> AsyncThrowingStream<WatchEvent, any Error>
    {
        try await base.watch(resource, namespace: namespace, options: options)
    }
    func create(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object {
        try await base.create(resource, object, options: options)
    }
    func update(_ resource: GroupVersionResource, _ object: JSON, options: WriteOptions) async throws -> Object {
        try await base.update(resource, object, options: options)
    }
    func patch(
        _ resource: GroupVersionResource, _ key: ObjectKey, _ type: PatchType, _ patch: JSON, options: WriteOptions
    ) async throws -> Object {
        try await base.patch(resource, key, type, patch, options: options)
    }
    func delete(_ resource: GroupVersionResource, _ key: ObjectKey, options: DeleteOptions) async throws -> Object {
        try await base.delete(resource, key, options: options)
    }
    func post(_ resource: GroupVersionResource, _ key: ObjectKey, subresource: String, _ body: JSON) async throws
        -> JSON
    {
        try await base.post(resource, key, subresource: subresource, body)
    }
    func resources() async throws -> [ServedResource] {
        try await base.resources()
    }
}
