import AsyncHTTPClient
import ClusterClient
import JSON
import Logging
import NIOCore
import NIOSSL
import ObjectModel
import Synchronization

/// Asks new instances during deployments whether they are ready, until they say so once.
final class ReadinessKeeper: Sendable {
    private struct Entry {
        var spec: PathID
        var isReady = false
        var lastResponse: JSON?
        var url: String
        var interval: Duration
        var timeout: Int64
        var codes: Set<Int>
        var preserves: Bool
        var name: String
        var taskID: String
    }
    private let entries = Mutex<[String: Entry]>([:])
    private let queue = WorkQueue<String>()
    private let logger: Logger
    private let changed: @Sendable (PathID) -> Void

    /// - Parameter changed: called when an instance of an app became ready.
    init(logger: Logger, changed: @escaping @Sendable (PathID) -> Void) {
        self.logger = logger
        self.changed = changed
    }

    /// Whether an instance said that it is ready; starts to ask it when it was never asked.
    func isReady(_ instance: Instance, _ spec: RunSpec) -> Bool {
        guard let check = spec.readinessChecks.first, instance.isRunning else { return false }
        let (isReady, isNew) = entries.withLock { entries -> (Bool, Bool) in
            if let known = entries[instance.uid] { return (known.isReady, false) }
            let name = check["portName"].string ?? "http-api"
            let index = spec.ports.firstIndex { $0["name"].string == name } ?? 0
            let port = instance.ports.indices.contains(index) ? instance.ports[index] : 0
            let scheme = check["protocol"].string == "HTTPS" ? "https" : "http"
            entries[instance.uid] = Entry(
                spec: spec.id, url: "\(scheme)://\(instance.host):\(port)\(check["path"].string ?? "/")",
                interval: .seconds(bounded: max(1, check["intervalSeconds"].double ?? 30)),
                timeout: Int64(min(max(1, check["timeoutSeconds"].int ?? 10), 1_000_000)),
                codes: Set(check["httpStatusCodesForReady"].elements.compactMap(\.int)),
                preserves: check["preserveLastResponse"].bool ?? false, name: check["name"].string ?? "readinessCheck",
                taskID: instance.tasks.first?.id ?? "")
            return (false, true)
        }
        if isNew { queue.add(instance.uid) }
        return isReady
    }

    func forget(_ id: PathID) {
        entries.withLock { entries in entries = entries.filter { $0.value.spec != id } }
    }

    /// `readinessCheckResults` of an app.
    func results(_ id: PathID) -> [JSON] {
        entries.withLock { entries in
            entries.values.filter { $0.spec == id }.sorted { $0.taskID < $1.taskID }.map { entry in
                var json: JSON = [
                    "name": .string(entry.name), "taskId": .string(entry.taskID), "ready": .bool(entry.isReady),
                ]
                json.setMember("lastResponse", entry.lastResponse)
                return json
            }
        }
    }

    /// Asks until it is cancelled.
    func run() async {
        var configuration = HTTPClient.Configuration()
        configuration.tlsConfiguration = .makeClientConfiguration()
        configuration.tlsConfiguration?.certificateVerification = .none
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        await queue.run(workers: 32) { [self] uid in
            guard let entry = entries.withLock({ $0[uid] }), !entry.isReady else { return }
            var answer: (code: Int, body: String)?
            do {
                var request = HTTPClientRequest(url: entry.url)
                request.headers.add(name: "Accept", value: "*/*")
                let response = try await client.execute(request, timeout: .seconds(entry.timeout))
                let body = try await response.body.collect(upTo: 64 << 10)
                answer = (Int(response.status.code), String(buffer: body))
            } catch {
                answer = nil
            }
            let isReady = answer.map { entry.codes.contains($0.code) } ?? false
            entries.withLock { entries in
                guard entries[uid] != nil else { return }
                entries[uid]?.isReady = isReady
                if entry.preserves, let answer {
                    entries[uid]?.lastResponse = ["status": JSON(answer.code), "body": .string(answer.body)]
                }
            }
            if isReady { changed(entry.spec) } else { queue.add(uid, after: entry.interval) }
        }
        try? await client.shutdown()
    }
}
