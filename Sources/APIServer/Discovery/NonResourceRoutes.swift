import JSON
import NIOHTTP1
import ObjectModel

extension Dispatcher {
    /// Answers paths that are no resource.
    func nonResource(_ call: Call) async throws -> Answer {
        let method = call.request.method
        let segments = call.info.segments
        guard method == .GET || method == .HEAD else {
            return isKnown(segments) ? .response(Response(error: .methodNotSupported())) : .pageNotFound
        }
        switch segments.first {
        case nil: return .response(Response(json: ["paths": JSON(rootPaths())]))
        case "api", "apis": return try await discover(call)
        case "version" where segments.count == 1: return .response(encoded(version(), try Representation(call.request)))
        case "healthz", "livez", "readyz": return await health(call)
        case "metrics" where segments.count == 1: return .response(await metricsText())
        case "openapi": return try await openAPIDocument(call)
        case "openid" where segments == ["openid", "v1", "jwks"]:
            return try await document(configuration.keySet, type: "application/jwk-set+json")
        case ".well-known" where segments == [".well-known", "openid-configuration"]:
            return try await document(configuration.openIDConfiguration, type: "application/json")
        default: return .pageNotFound
        }
    }

    private func isKnown(_ segments: [String]) -> Bool {
        guard let first = segments.first else { return true }
        return ["api", "apis", "version", "healthz", "livez", "readyz", "metrics", "openapi", "openid"].contains(first)
    }

    private func document(_ make: (@Sendable () async throws -> [UInt8])?, type: String) async throws -> Answer {
        guard let make else { return .pageNotFound }
        var response = Response(json: try await make())
        response.headers.replaceOrAdd(name: "Content-Type", value: type)
        response.headers.replaceOrAdd(name: "Cache-Control", value: "public, max-age=3600")
        return .response(response)
    }

    private func rootPaths() -> [String] {
        var paths = ["/api", "/api/v1", "/apis", "/apis/"]
        for (group, versions) in servedGroups() where !group.isEmpty {
            paths.append("/apis/\(group)")
            paths += versions.map { "/apis/\(group)/\($0)" }
        }
        paths += [
            "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/readyz", "/version",
        ]
        if configuration.openIDConfiguration != nil { paths.append("/.well-known/openid-configuration") }
        if configuration.keySet != nil { paths.append("/openid/v1/jwks") }
        return paths.sorted()
    }

    /// What the server says it is: a Kubernetes API of a version, whatever makes it.
    private func version() -> JSON {
        let numbers = configuration.gitVersion.drop { $0 == "v" }.split(separator: ".")
        #if arch(arm64)
            let architecture = "arm64"
        #else
            let architecture = "amd64"
        #endif
        return [
            "major": .string(String(numbers.first ?? "1")),
            "minor": .string(numbers.count > 1 ? String(numbers[1]) : "0"),
            "gitVersion": .string(configuration.gitVersion), "gitCommit": .string(configuration.gitCommit),
            "gitTreeState": "clean", "buildDate": .string(configuration.buildDate), "goVersion": "go1.26",
            "compiler": "swiftc", "platform": .string("linux/\(architecture)"),
        ]
    }

    /// Groups and versions of the catalog and of what this server adds to it, in discovery order.
    func servedGroups() -> [(group: String, versions: [String])] {
        var groups = backend.catalog.groups
        if !groups.contains(where: { $0.group == NodeMetrics.group }) {
            groups.append((NodeMetrics.group, [NodeMetrics.version]))
        }
        return groups
    }
}
