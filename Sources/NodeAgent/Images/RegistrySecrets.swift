import ContainerRuntime
import JSON
import ObjectModel

/// Credentials of `imagePullSecrets`: `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg`.
struct RegistrySecrets: Sendable {
    private struct Entry: Sendable {
        var host: String
        var path: String
        var credentials: RegistryCredentials
    }
    private var entries: [Entry] = []

    init() {}

    /// Adds what a secret's tree holds; a secret of another type or with bad contents adds nothing.
    mutating func add(secret: JSON) {
        let data = secret["data"]
        var auths: JSON = .null
        if let text = data[".dockerconfigjson"].string, let bytes = Base64.decode(text.utf8) {
            auths = ((try? JSON.parse(bytes)) ?? .null)["auths"]
        } else if let text = data[".dockercfg"].string, let bytes = Base64.decode(text.utf8) {
            auths = (try? JSON.parse(bytes)) ?? .null
        }
        for (server, entry) in auths.members {
            var user = entry["username"].string ?? ""
            var password = entry["password"].string ?? ""
            if let auth = entry["auth"].string, let bytes = Base64.decode(auth.utf8) {
                let parts = String(decoding: bytes, as: UTF8.self)
                    .split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2 {
                    user = String(parts[0])
                    password = String(parts[1])
                    while password.last == "\0" { password.removeLast() }
                }
            }
            var name = Substring(server)
            for scheme in ["https://", "http://"] where name.hasPrefix(scheme) { name = name.dropFirst(scheme.count) }
            let parts = name.split(separator: "/", maxSplits: 1)
            var host = parts.first.map(String.init) ?? ""
            var path = parts.count > 1 ? String(parts[1]) : ""
            while path.hasSuffix("/") { path.removeLast() }
            if path == "v1" || path == "v2" { path = "" }
            if host == "index.docker.io" || host == "registry-1.docker.io" { host = "docker.io" }
            entries.append(
                Entry(
                    host: host, path: path,
                    credentials: RegistryCredentials(
                        username: user, password: password, identityToken: entry["identitytoken"].string ?? "")))
        }
    }

    /// What fits the image, the most special first.
    func matching(_ image: ImageName) -> [RegistryCredentials] {
        entries.filter { entry in
            Self.matches(entry.host, image.registry)
                && (entry.path.isEmpty || image.path == entry.path || image.path.hasPrefix(entry.path + "/"))
        }
        .sorted { ($0.path.count, $0.host.count) > ($1.path.count, $1.host.count) }
        .map(\.credentials)
    }

    /// Host patterns may have `*` for one label.
    private static func matches(_ pattern: String, _ host: String) -> Bool {
        if pattern == host { return true }
        let (left, right) = (pattern.split(separator: "."), host.split(separator: "."))
        guard pattern.contains("*"), left.count == right.count else { return false }
        return zip(left, right).allSatisfy { part, label in
            guard let star = part.firstIndex(of: "*") else { return part == label }
            let (head, tail) = (part[..<star], part[part.index(after: star)...])
            return label.count >= head.count + tail.count && label.hasPrefix(head) && label.hasSuffix(tail)
        }
    }
}
