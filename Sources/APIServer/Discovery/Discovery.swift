import Crypto
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema
import Synchronization

/// Discovery documents that are the same until the catalog changes.
final class DiscoveryCache: Sendable {
    struct Document: Sendable {
        var bytes: [UInt8]
        /// Quoted, as it stands in the header.
        var tag: String
    }
    private struct State {
        var catalog: UInt64 = 0
        var documents: [String: Document] = [:]
    }
    private let state = Mutex(State())

    func document(_ key: String, catalog: Catalog, make: () -> JSON) -> Document {
        let identity = catalog.serial
        if let known = state.withLock({ $0.catalog == identity ? $0.documents[key] : nil }) { return known }
        let bytes = make().encoded()
        let document = Document(bytes: bytes, tag: "\"\(hex(SHA512.hash(data: bytes)).uppercased())\"")
        state.withLock { state in
            if state.catalog != identity { state = State(catalog: identity) }
            state.documents[key] = document
        }
        return document
    }
}

extension Dispatcher {
    /// `/api…` and `/apis…` down to the group-version.
    func discover(_ call: Call) async throws -> Answer {
        let segments = call.info.segments
        let isCore = segments[0] == "api"
        switch segments.count {
        case 1 where wantsAggregated(call.request): return aggregated(call, isCore: isCore)
        case 1: return try found(call, isCore ? coreVersions() : groupList())
        case 2 where isCore: return try resourceList(call, group: "", version: segments[1])
        case 2:
            guard let served = servedGroups().first(where: { $0.group == segments[1] && !$0.group.isEmpty }) else {
                return .pageNotFound
            }
            var group = groupJSON(served.group, served.versions)
            group["kind"] = "APIGroup"
            group["apiVersion"] = "v1"
            return try found(call, group)
        case 3 where !isCore: return try resourceList(call, group: segments[1], version: segments[2])
        default: return .pageNotFound
        }
    }

    private func found(_ call: Call, _ json: JSON) throws -> Answer {
        .response(encoded(json, try Representation(call.request)))
    }

    private func coreVersions() -> JSON {
        [
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [
                ["clientCIDR": "0.0.0.0/0", "serverAddress": .string(configuration.advertiseAddress)]
            ],
        ]
    }

    private func groupList() -> JSON {
        let groups = servedGroups().filter { !$0.group.isEmpty }.map { groupJSON($0.group, $0.versions) }
        return ["kind": "APIGroupList", "apiVersion": "v1", "groups": .array(groups)]
    }

    private func groupJSON(_ group: String, _ versions: [String]) -> JSON {
        let entries = versions.map { version -> JSON in
            ["groupVersion": .string("\(group)/\(version)"), "version": .string(version)]
        }
        return ["name": .string(group), "versions": .array(entries), "preferredVersion": entries.first ?? [:]]
    }

    // MARK: APIResourceList

    private func resourceList(_ call: Call, group: String, version: String) throws -> Answer {
        guard servedGroups().contains(where: { $0.group == group && $0.versions.contains(version) }) else {
            return .pageNotFound
        }
        let groupVersion = group.isEmpty ? version : "\(group)/\(version)"
        var rows: [JSON] = []
        for resource in served(group, version) {
            rows.append(row(resource))
            for subresource in resource.subresources { rows.append(row(resource, subresource)) }
        }
        return try found(
            call,
            [
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": .string(groupVersion),
                "resources": .array(rows),
            ])
    }

    private func row(_ resource: ResourceDefinition) -> JSON {
        var row: JSON = [
            "name": .string(resource.resource.resource), "singularName": .string(resource.singular),
            "namespaced": .bool(resource.isNamespaced), "kind": .string(resource.kind.kind),
            "verbs": JSON(resource.verbs),
        ]
        if !resource.shortNames.isEmpty { row["shortNames"] = JSON(resource.shortNames) }
        if !resource.categories.isEmpty { row["categories"] = JSON(resource.categories) }
        if resource.hasVerb("list"), resource.resource.group != NodeMetrics.group {
            row["storageVersionHash"] = .string(storageHash(resource))
        }
        return row
    }

    private func row(_ resource: ResourceDefinition, _ subresource: ResourceDefinition.Subresource) -> JSON {
        var row: JSON = [
            "name": .string("\(resource.resource.resource)/\(subresource.name)"), "singularName": "",
            "namespaced": .bool(resource.isNamespaced),
        ]
        if subresource.kind.group != resource.kind.group || subresource.kind.version != resource.kind.version {
            row["group"] = .string(subresource.kind.group)
            row["version"] = .string(subresource.kind.version)
        }
        row["kind"] = .string(subresource.kind.kind)
        row["verbs"] = JSON(subresource.verbs)
        return row
    }

    /// Changes when the stored form of a kind changes: eight bytes of a hash over what names it.
    private func storageHash(_ resource: ResourceDefinition) -> String {
        let name = "\(resource.kind.group)/\(resource.kind.version)/\(resource.kind.kind)"
        return Base64.encode(Array(SHA256.hash(data: Array(name.utf8)).prefix(8)))
    }

    private func served(_ group: String, _ version: String) -> [ResourceDefinition] {
        if group == NodeMetrics.group { return NodeMetrics.resources }
        return backend.catalog.resources.filter { $0.resource.group == group && $0.resource.version == version }
    }

    // MARK: Aggregated

    private static let aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

    /// Whether the newest form of discovery is the first thing the client names that is served here.
    private func wantsAggregated(_ request: Request) -> Bool {
        guard let accept = request.headers.first(name: "accept") else { return false }
        for range in MediaRange.parse(accept) where range.type == "application/json" && range.quality > 0 {
            guard let kind = range.parameters["as"] else { return false }
            if kind == "APIGroupDiscoveryList", range.parameters["g"] == "apidiscovery.k8s.io",
                range.parameters["v"] == "v2"
            {
                return true
            }
        }
        return false
    }

    private func aggregated(_ call: Call, isCore: Bool) -> Answer {
        let document = discovery.document(isCore ? "api" : "apis", catalog: backend.catalog) {
            let groups = servedGroups().filter { $0.group.isEmpty == isCore }.map(groupDiscovery)
            return [
                "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": [:],
                "items": .array(groups),
            ]
        }
        return tagged(call, document, type: Self.aggregatedType, vary: "Accept")
    }

    /// A document with its tag; 304 when the client has it.
    func tagged(_ call: Call, _ document: DiscoveryCache.Document, type: String, vary: String) -> Answer {
        let headers: HTTPHeaders = ["Content-Type": type, "Vary": vary, "ETag": document.tag]
        if call.request.headers.first(name: "if-none-match") == document.tag {
            return .response(Response(status: .notModified, headers: headers))
        }
        return .response(Response(status: .ok, headers: headers, body: ByteBuffer(bytes: document.bytes)))
    }

    private func groupDiscovery(_ group: String, _ versions: [String]) -> JSON {
        let entries = versions.map { version -> JSON in
            [
                "version": .string(version), "resources": .array(served(group, version).map(resourceDiscovery)),
                "freshness": "Current",
            ]
        }
        let metadata: JSON =
            group.isEmpty ? ["creationTimestamp": nil] : ["name": .string(group), "creationTimestamp": nil]
        return ["metadata": metadata, "versions": .array(entries)]
    }

    private func resourceDiscovery(_ resource: ResourceDefinition) -> JSON {
        var entry: JSON = [
            "resource": .string(resource.resource.resource), "responseKind": kindJSON(resource.kind),
            "scope": resource.isNamespaced ? "Namespaced" : "Cluster", "singularResource": .string(resource.singular),
            "verbs": JSON(resource.verbs),
        ]
        if !resource.shortNames.isEmpty { entry["shortNames"] = JSON(resource.shortNames) }
        if !resource.categories.isEmpty { entry["categories"] = JSON(resource.categories) }
        if !resource.subresources.isEmpty {
            entry["subresources"] = .array(
                resource.subresources.map { subresource in
                    [
                        "subresource": .string(subresource.name), "responseKind": kindJSON(subresource.kind),
                        "verbs": JSON(subresource.verbs),
                    ]
                })
        }
        return entry
    }

    private func kindJSON(_ kind: GroupVersionKind) -> JSON {
        ["group": .string(kind.group), "version": .string(kind.version), "kind": .string(kind.kind)]
    }
}
