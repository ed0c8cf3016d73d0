import APIMachinery
import ClusterClient
import JSON
import Logging
import ObjectModel
import Schema
import Security
import Store
import Testing
import Webhooks

/// An API over a store in memory that calls webhooks.
final class HookedCluster: Sendable {
    let machinery: Machinery
    static let mutating = GroupVersionResource(
        group: "admissionregistration.k8s.io", version: "v1", resource: "mutatingwebhookconfigurations")
    static let validating = GroupVersionResource(
        group: "admissionregistration.k8s.io", version: "v1", resource: "validatingwebhookconfigurations")

    init() async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        var configuration = Machinery.Configuration()
        configuration.webhooks = WebhookClient(logger: logger)
        machinery = try Machinery(store: MemoryStore(), configuration: configuration, logger: logger)
        try await machinery.start()
        try await create(.serviceAccounts, ["metadata": ["name": "default", "namespace": "default"]])
    }

    func definition(_ resource: GroupVersionResource) throws -> ResourceDefinition {
        try #require(machinery.catalog.resource(resource))
    }

    @discardableResult
    func create(
        _ resource: GroupVersionResource, _ body: JSON, subresource: String? = nil, _ context: RequestContext = .test
    ) async throws -> JSON {
        try await machinery.create(
            try definition(resource), namespace: body["metadata"]["namespace"].string ?? "",
            name: body["metadata"]["name"].string ?? "", subresource: subresource, body: body, context: context
        ).object.tree
    }

    @discardableResult
    func patch(_ resource: GroupVersionResource, _ name: String, _ patch: JSON, subresource: String? = nil)
        async throws -> JSON
    {
        let definition = try definition(resource)
        return try await machinery.patch(
            definition, ObjectKey(namespace: definition.isNamespaced ? "default" : "", name: name),
            subresource: subresource, type: .merge, patch: patch, force: false, context: .test
        ).object.tree
    }

    func delete(_ resource: GroupVersionResource, _ name: String) async throws {
        let definition = try definition(resource)
        _ = try await machinery.delete(
            definition, ObjectKey(namespace: definition.isNamespaced ? "default" : "", name: name),
            options: DeleteOptions(), context: .test)
    }

    /// A service `default/hook` whose endpoint is the server.
    func serve(_ server: WebhookServer) async throws {
        try await create(
            .services,
            [
                "metadata": ["name": "hook", "namespace": "default"],
                "spec": ["ports": [["port": 443, "targetPort": 8443]]],
            ])
        try await create(
            .endpointSlices,
            [
                "metadata": [
                    "name": "hook-1", "namespace": "default", "labels": ["kubernetes.io/service-name": "hook"],
                ],
                "addressType": "IPv4", "ports": [["name": "", "port": JSON(server.port), "protocol": "TCP"]],
                "endpoints": [["addresses": ["127.0.0.1"], "conditions": ["ready": true]]],
            ])
    }

    /// Configures one webhook on config maps at the service, or at a server's URL.
    func hook(
        _ resource: GroupVersionResource, _ name: String, at server: WebhookServer, path: String = "/",
        byURL: Bool = false,
        _ more: JSON = [:]
    ) async throws {
        var client: JSON = ["caBundle": .string(server.bundle)]
        if byURL {
            client["url"] = .string("https://127.0.0.1:\(server.port)\(path)")
        } else {
            client["service"] = ["namespace": "default", "name": "hook", "path": .string(path)]
        }
        var webhook: JSON = [
            "name": .string("\(name).example.com"), "clientConfig": client, "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "rules": [
                [
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"],
                ]
            ],
        ]
        for (key, value) in more.members { webhook[key] = value }
        try await create(resource, ["metadata": ["name": .string(name)], "webhooks": [webhook]])
    }
}

extension JSON {
    static func configMap(_ name: String, _ data: [String: String] = [:], labels: [String: String] = [:]) -> JSON {
        [
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": ["name": .string(name), "namespace": "default", "labels": JSON(labels)], "data": JSON(data),
        ]
    }
}

extension RequestContext {
    static var test: RequestContext {
        RequestContext(user: UserInfo(name: "jane", uid: "7", groups: ["dev"]), fieldManager: "test")
    }
}

/// The message of the error that a call throws.
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
