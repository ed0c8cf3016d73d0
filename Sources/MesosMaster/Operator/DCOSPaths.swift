public import HTTPWindow
import JSON
import MesosModel

/// Paths of DC/OS on the master's window, for its command line and for scripts that go through its one front door.
public struct DCOSPaths: Sendable {
    /// What answers without credentials: a client has none before it has logged in, and a balancer that asks for health
    /// never has; Mesos asks nobody there.
    public static let open: Set<String> = [
        "/acs/api/v1/auth/login", "/acs/api/v1/auth/providers", "/dcos-metadata/dcos-version.json",
        "/health", "/master/health", "/version", "/redirect", "/master/redirect",
    ]
    /// The level of DC/OS whose clients find what they look for.
    static let version = "2.2"

    /// A part of the cluster whose health DC/OS's clients ask for.
    public struct Unit: Sendable {
        /// As systemd would call it: `dcos-marathon.service`.
        public let id: String
        public let name: String

        public init(_ id: String, _ name: String) {
            self.id = id
            self.name = name
        }
    }

    private let credentials: WindowCredentials?
    private let clusterID: String
    private let address: String
    private let health: DCOSHealth

    /// - Parameters:
    ///   - credentials: of the window; nil when it is open to everybody.
    ///   - address: of the master, for clients.
    ///   - units: what is served.
    public init(
        credentials: WindowCredentials?, clusterID: String, address: String, hostname: String, units: [Unit]
    ) {
        self.credentials = credentials
        self.clusterID = clusterID
        self.address = address
        health = DCOSHealth(units: units, hostname: hostname, address: address)
    }

    /// Registers the paths, those of the master itself below `/mesos` among them.
    public func register(at routes: Routes) {
        let credentials = credentials
        // Clients take nothing for a cluster's id but a random UUID.
        let id = MesosNames.randomUUID(of: clusterID)
        let metadata: JSON = ["CLUSTER_ID": .string(id), "PUBLIC_IPV4": .string(address)]
        Self.mount(routes, "/mesos") { try await routes.answer($0) }
        routes.add("/dcos-metadata/dcos-version.json") { _ in
            WindowResponse(json: [
                "version": .string(Self.version), "dcos-variant": "open", "dcos-image-commit": "apus",
                "bootstrap-id": "apus",
            ])
        }
        // What its command line may ask for. Logs are read from sandboxes, so there is no LOGGING.
        let capabilities: JSON = ["capabilities": [["name": "METRONOME"]]]
        routes.add("/capabilities") { _ in
            WindowResponse(
                200,
                headers: [
                    ("Content-Type", "application/vnd.dcos.capabilities+json;charset=utf-8;version=v1")
                ], bytes: capabilities.encoded())
        }
        routes.add("/metadata") { _ in WindowResponse(json: metadata) }
        routes.add("/acs/api/v1/auth/providers") { _ in
            guard credentials != nil else { return WindowResponse(json: [:]) }
            return WindowResponse(json: [
                "dcos-users": [
                    "authentication-type": "dcos-uid-password",
                    "client-method": "dcos-usercredential-post-receive-authtoken",
                    "config": ["start_flow_url": "/acs/api/v1/auth/login"], "description": "A principal and its secret",
                ]
            ])
        }
        // What `dcos cluster setup` tries in order to find out whether it has to log in.
        routes.add("/pkgpanda/active.buildinfo.full.json") { _ in WindowResponse(json: .object([:])) }
        registerExhibitor(at: routes)
        let health = health
        routes.add("/system/health/v1") { request in
            let parts = request.path.split(separator: "/").dropFirst(3).map(String.init)
            guard let answer = health.answer(parts) else {
                throw WindowError(404, "there is nothing at \(request.path)")
            }
            return WindowResponse(json: answer)
        }
        routes.add("/acs/api/v1/auth/login") { try await Self.login($0, credentials) }
    }

    /// ZooKeeper's keeper, which clients ask who leads: there is one master, and it does.
    private func registerExhibitor(at routes: Routes) {
        let address = JSON.string(address)
        routes.add("/exhibitor") { request in
            var parts = request.path.split(separator: "/").map(String.init)
            parts.removeAll { $0 == "exhibitor" }
            switch parts {
            case ["v1", "cluster", "status"]:
                return WindowResponse(json: [
                    ["code": 3, "description": "serving", "hostname": address, "isLeader": true]
                ])
            default: throw WindowError(404, "there is no ZooKeeper, so there is nothing at \(request.path)")
            }
        }
    }

    private static func login(_ request: WindowRequest, _ credentials: WindowCredentials?) async throws
        -> WindowResponse
    {
        guard request.method == "POST" else { throw WindowError(405, "log in with POST") }
        guard let credentials else {
            throw WindowError(404, "this cluster asks nobody for credentials: there is nothing to log in to")
        }
        guard let body = try? JSON.parse(try await request.body(limit: 64 << 10)) else {
            throw WindowError(400, "the body is not JSON with \"uid\" and \"password\"")
        }
        let name = body["uid"].string ?? ""
        guard credentials.isValid(secret: body["password"].string ?? "", of: name) else {
            return WindowResponse(401, json: ["title": "Unauthorized", "description": "Invalid uid or password"])
        }
        return WindowResponse(json: ["token": .string(credentials.token(for: name))])
    }

    /// Puts the agent's window below `/agent/ID` and `/slave/ID`.
    public static func mountAgent(_ routes: Routes, _ answer: @escaping Window.Handler) {
        for prefix in ["/agent", "/slave"] {
            mount(routes, prefix) { request in
                // The id: there is one agent.
                let rest = request.rawPath.dropFirst().drop { $0 != "/" }
                return try await answer(request.moved(to: rest.isEmpty ? "/" : String(rest)))
            }
        }
    }

    /// Puts another window below a path.
    public static func mount(_ routes: Routes, _ prefix: String, _ answer: @escaping Window.Handler) {
        routes.add(prefix) { request in
            guard request.rawPath.hasPrefix(prefix) else {
                throw WindowError(404, "there is nothing at \(request.path)")
            }
            let rest = String(request.rawPath.dropFirst(prefix.count))
            return try await answer(request.moved(to: rest.isEmpty ? "/" : rest))
        }
    }
}
