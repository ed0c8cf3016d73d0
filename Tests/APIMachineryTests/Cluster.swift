import APIMachinery
import ClusterClient
import JSON
import Logging
import ObjectModel
import Schema
import Security
import Store
import Testing

/// An API over a store in memory, started, with the pieces that controllers make in a whole cluster.
final class Cluster: Sendable {
    let store: any Store
    let machinery: Machinery

    init(
        store: any Store = MemoryStore(), _ configure: (inout Machinery.Configuration) -> Void = { _ in }
    ) async throws {
        self.store = store
        var configuration = Machinery.Configuration()
        configure(&configuration)
        var logger = Logger(label: "test")
        logger.logLevel = .error
        machinery = try Machinery(store: store, configuration: configuration, logger: logger)
        try await machinery.start()
        let accounts = try definition(.serviceAccounts)
        let key = ObjectKey(namespace: "default", name: "default")
        if (try? await machinery.get(accounts, key, resourceVersion: "")) == nil {
            try await create(.serviceAccounts, ["metadata": ["name": "default", "namespace": "default"]])
        }
    }

    func definition(_ resource: GroupVersionResource) throws -> ResourceDefinition {
        try #require(machinery.catalog.resource(resource))
    }

    @discardableResult
    func create(
        _ resource: GroupVersionResource, _ body: JSON, _ context: RequestContext = .test
    ) async throws -> Object {
        let metadata = body["metadata"]
        return try await machinery.create(
            try definition(resource), namespace: metadata["namespace"].string ?? "",
            name: metadata["name"].string ?? "",
            subresource: nil, body: body, context: context
        ).object
    }

    @discardableResult
    func update(
        _ resource: GroupVersionResource, _ body: JSON, subresource: String? = nil, _ context: RequestContext = .test
    ) async throws -> Object {
        let metadata = body["metadata"]
        let key = ObjectKey(namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "")
        return try await machinery.update(
            try definition(resource), key, subresource: subresource, body: body, context: context
        ).object
    }

    /// A merge patch.
    @discardableResult
    func patch(
        _ resource: GroupVersionResource, _ name: String, _ patch: JSON, subresource: String? = nil,
        _ context: RequestContext = .test
    ) async throws -> Object {
        try await self.patch(resource, name, .merge, patch, subresource: subresource, context)
    }

    @discardableResult
    func patch(
        _ resource: GroupVersionResource, _ name: String, _ type: PatchType, _ patch: JSON,
        subresource: String? = nil, _ context: RequestContext = .test
    ) async throws -> Object {
        let definition = try definition(resource)
        return try await machinery.patch(
            definition, ObjectKey(namespace: definition.isNamespaced ? "default" : "", name: name),
            subresource: subresource, type: type, patch: patch, force: false, context: context
        ).object
    }

    func get(_ resource: GroupVersionResource, _ name: String) async throws -> Object {
        let definition = try definition(resource)
        return try await machinery.get(
            definition, ObjectKey(namespace: definition.isNamespaced ? "default" : "", name: name), resourceVersion: "")
    }

    @discardableResult
    func delete(_ resource: GroupVersionResource, _ name: String, _ options: DeleteOptions = DeleteOptions())
        async throws
        -> DeleteResult
    {
        let definition = try definition(resource)
        return try await machinery.delete(
            definition, ObjectKey(namespace: definition.isNamespaced ? "default" : "", name: name), options: options,
            context: .test)
    }

    func list(_ resource: GroupVersionResource, _ options: ListOptions = ListOptions()) async throws -> ObjectList {
        try await machinery.list(try definition(resource), namespace: nil, options: options)
    }

    func watch(_ resource: GroupVersionResource, namespace: String? = nil, _ query: WatchQuery) async throws
        -> WatchSubscription
    {
        try await machinery.watch(try definition(resource), namespace: namespace, query: query)
    }

    func post(_ resource: GroupVersionResource, _ name: String, _ subresource: String, _ body: JSON) async throws
        -> Object
    {
        try await machinery.create(
            try definition(resource), namespace: "default", name: name, subresource: subresource, body: body,
            context: .test
        ).object
    }
}

extension RequestContext {
    static var test: RequestContext { RequestContext(user: .system) }
}

/// The message of the error that a call throws; a test failure when it does not throw one.
func message(_ body: () async throws -> some Sendable) async -> String {
    do {
        _ = try await body()
        return "no error"
    } catch let error as StatusError {
        return "\(error.code) \(error.message)"
    } catch {
        return "\(error)"
    }
}

enum Fixture {
    static func pod(_ name: String, labels: [String: String] = [:], spec: JSON = [:]) -> JSON {
        var pod: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name), "namespace": "default"],
            "spec": ["containers": [["name": "main", "image": "busybox"]]],
        ]
        if !labels.isEmpty { pod["metadata"]["labels"] = JSON(labels) }
        for (key, value) in spec.members { pod["spec"][key] = value }
        return pod
    }

    /// A PEM block of the right type with nothing in it.
    static let certificateRequest: JSON = .string(
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KYm05MGFHbHVadz09Ci0tLS0tRU5EIENFUlRJ"
            + "RklDQVRFIFJFUVVFU1QtLS0tLQo=")

    static func configMap(_ name: String, _ data: [String: String] = [:], labels: [String: String] = [:]) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": ["name": .string(name), "namespace": "default", "labels": JSON(labels)], "data": JSON(data),
        ]
    }

    static func deployment(_ name: String, _ spec: JSON = [:]) -> JSON {
        var deployment: JSON = [
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": .string(name), "namespace": "default"],
            "spec": [
                "selector": ["matchLabels": ["app": "web"]],
                "template": [
                    "metadata": ["labels": ["app": "web"]],
                    "spec": ["containers": [["name": "main", "image": "busybox"]]],
                ],
            ],
        ]
        for (key, value) in spec.members { deployment["spec"].setMember(key, value.isNull ? nil : value) }
        return deployment
    }

    static func service(_ name: String, _ spec: JSON = [:]) -> JSON {
        var service: JSON = [
            "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name), "namespace": "default"],
            "spec": ["selector": ["app": "web"], "ports": [["port": 80]]],
        ]
        for (key, value) in spec.members { service["spec"][key] = value }
        return service
    }
}
