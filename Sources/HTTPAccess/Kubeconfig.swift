import JSON
import ObjectModel
import Yams

/// How to reach an API server and as whom: the current context of a kubeconfig file.
public struct ClusterAccess: Sendable {
    public var host: String
    public var port: Int
    /// PEM; empty when the server is not verified.
    public var authorityPEM: [UInt8]
    /// PEM; empty without a client certificate.
    public var certificatePEM: [UInt8]
    public var keyPEM: [UInt8]
    /// Bearer token; nil without one.
    public var token: String?
    /// Without TLS, as the windows for Mesos and Marathon are reached.
    public var isPlain = false

    /// Why a kubeconfig cannot be used.
    public struct Problem: Error, CustomStringConvertible {
        public var description: String
    }

    /// A server that is spoken to without TLS, as nobody.
    public init(plainHost host: String, port: Int) {
        self.host = host
        self.port = port
        authorityPEM = []
        certificatePEM = []
        keyPEM = []
        isPlain = true
    }

    /// Reads the text of a kubeconfig file.
    /// - Parameter readFile: reads files that it names (`certificate-authority`, `client-key`, …).
    public init(kubeconfig text: String, readFile: (String) throws -> [UInt8]) throws {
        guard let root = try Yams.load(yaml: text) as? [String: Any] else {
            throw Problem(description: "the kubeconfig is not a YAML map")
        }
        let current = root["current-context"] as? String ?? ""
        func named(_ list: String, _ name: String, _ member: String) throws -> [String: Any] {
            let entries = root[list] as? [[String: Any]] ?? []
            guard let entry = entries.first(where: { $0["name"] as? String == name })?[member] as? [String: Any] else {
                throw Problem(description: "the kubeconfig has no \(member) named \"\(name)\"")
            }
            return entry
        }
        func material(_ entry: [String: Any], _ name: String) throws -> [UInt8] {
            if let text = entry["\(name)-data"] as? String {
                guard let bytes = Base64.decode(text.utf8) else {
                    throw Problem(description: "\(name)-data in the kubeconfig is not base64")
                }
                return bytes
            }
            if let path = entry[name] as? String { return try readFile(path) }
            return []
        }
        let context = try named("contexts", current, "context")
        let cluster = try named("clusters", context["cluster"] as? String ?? "", "cluster")
        let user = try named("users", context["user"] as? String ?? "", "user")
        let server = cluster["server"] as? String ?? ""
        guard server.hasPrefix("https://") else {
            throw Problem(description: "the server in the kubeconfig is \"\(server)\"; an https:// address is needed")
        }
        let authority = server.dropFirst("https://".count).prefix { $0 != "/" }
        if let colon = authority.lastIndex(of: ":"), let port = Int(authority[authority.index(after: colon)...]) {
            host = String(authority[..<colon].filter { $0 != "[" && $0 != "]" })
            self.port = port
        } else {
            host = String(authority.filter { $0 != "[" && $0 != "]" })
            port = 443
        }
        authorityPEM = try material(cluster, "certificate-authority")
        certificatePEM = try material(user, "client-certificate")
        keyPEM = try material(user, "client-key")
        token = user["token"] as? String
    }
}
