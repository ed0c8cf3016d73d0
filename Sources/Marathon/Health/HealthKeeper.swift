import AsyncHTTPClient
import ClusterClient
import JSON
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ObjectModel
import Synchronization

/// Runs the health checks that an app has beside the one on the node: HTTP, HTTPS and TCP, asked from here.
///
/// Each is a readiness gate of the instance's pod, and what it says a condition there: the pod is ready when all of them and the
/// probe of the node succeed, and a restart of the server finds what was said before.
final class HealthKeeper: Sendable {
    private enum Target {
        case http(String)
        case tcp(host: String, port: Int)
    }
    private struct Key: Hashable, Sendable {
        var uid: String
        var index: Int
    }
    private struct Entry {
        var pod: ObjectKey
        var target: Target
        var interval: Duration
        var timeout: Int64
        var isAlive: Bool?
    }
    private let entries = Mutex<[Key: Entry]>([:])
    private let queue = WorkQueue<Key>()
    private let client: ClusterClient

    init(client: ClusterClient) { self.client = client }

    /// Starts the checks of an instance that runs, once.
    /// - Parameter checks: of the definition that it was made by.
    func watch(_ instance: Instance, _ checks: [JSON]) {
        for index in instance.gates where checks.indices.contains(index) {
            let key = Key(uid: instance.uid, index: index)
            guard let target = Self.target(checks[index], instance) else { continue }
            let check = checks[index]
            let isNew = entries.withLock { entries in
                guard entries[key] == nil else { return false }
                entries[key] = Entry(
                    pod: instance.key, target: target,
                    interval: .seconds(bounded: max(1, check["intervalSeconds"].double ?? 60)),
                    timeout: Int64(min(max(1, check["timeoutSeconds"].int ?? 20), 1_000_000)),
                    isAlive: instance.verdicts[index]?.isAlive)
                return true
            }
            if isNew { queue.add(key, after: .seconds(bounded: check["delaySeconds"].double ?? 0)) }
        }
    }

    func forget(_ instance: Instance) {
        guard !instance.gates.isEmpty else { return }
        entries.withLock { entries in
            for index in instance.gates { entries.removeValue(forKey: Key(uid: instance.uid, index: index)) }
        }
    }

    private static func target(_ check: JSON, _ instance: Instance) -> Target? {
        let index = check["portIndex"].int ?? 0
        let assigned = instance.ports.indices.contains(index) ? instance.ports[index] : nil
        guard let port = check["port"].int ?? assigned, !instance.host.isEmpty else { return nil }
        let word = check["protocol"].string ?? "HTTP"
        if word.hasSuffix("TCP") { return .tcp(host: instance.host, port: port) }
        let path = check["path"].string ?? "/"
        return .http(
            "\(word.hasSuffix("HTTPS") ? "https" : "http")://\(instance.host):\(port)"
                + (path.hasPrefix("/") ? path : "/" + path))
    }

    /// Asks until it is cancelled.
    func run() async {
        var configuration = HTTPClient.Configuration()
        configuration.tlsConfiguration = .makeClientConfiguration()
        configuration.tlsConfiguration?.certificateVerification = .none
        configuration.redirectConfiguration = .disallow
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        await queue.run(workers: 64) { [self] key in
            guard let entry = entries.withLock({ $0[key] }) else { return }
            let isAlive = await Self.ask(entry, http)
            defer { queue.add(key, after: entry.interval) }
            guard entry.isAlive != isAlive else { return }
            try await tell(key, entry.pod, isAlive)
            entries.withLock { $0[key]?.isAlive = isAlive }
        }
        try? await http.shutdown()
    }

    private static func ask(_ entry: Entry, _ http: HTTPClient) async -> Bool {
        switch entry.target {
        case .http(let url):
            var request = HTTPClientRequest(url: url)
            request.headers.add(name: "Accept", value: "*/*")
            guard let answer = try? await http.execute(request, timeout: .seconds(entry.timeout)) else { return false }
            return (200..<400).contains(Int(answer.status.code))
        case .tcp(let host, let port):
            let channel = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(entry.timeout)).connect(host: host, port: port).get()
            try? await channel?.close()
            return channel != nil
        }
    }

    private func tell(_ key: Key, _ pod: ObjectKey, _ isAlive: Bool) async throws {
        let type = MarathonNames.gate(key.index)
        try await client.modify(.pods, pod, subresource: "status") { tree in
            guard tree["metadata"]["uid"].string == key.uid else { return false }
            let status = JSON.string(isAlive ? "True" : "False")
            let conditions = tree["status"]["conditions"].elements
            if conditions.contains(where: { $0["type"].string == type && $0["status"] == status }) { return false }
            tree["status"]["conditions"] = .array(
                conditions.filter { $0["type"].string != type } + [
                    [
                        "type": .string(type), "status": status,
                        "reason": isAlive ? "CheckSucceeded" : "CheckFailed",
                        "lastTransitionTime": .string(Timestamp.now.rfc3339),
                    ]
                ])
            return true
        }
    }
}
