import ClusterClient
import HTTPWindow
import JSON
import MesosModel
import ObjectModel
public import Streaming

/// What is asked of the node beyond logs and sessions.
public struct ContainerEngine: Sendable {
    /// Ends a container at once.
    public var kill: @Sendable (ContainerReference) async throws -> Void
    /// Removes images that nothing uses, except those of these names.
    public var pruneImages: @Sendable (Set<String>) async -> Void

    /// Nanoseconds that the kernel worked for pods, by their uids.
    public var systemTimes: @Sendable ([String]) async -> [String: UInt64]

    public init(
        kill: @escaping @Sendable (ContainerReference) async throws -> Void,
        pruneImages: @escaping @Sendable (Set<String>) async -> Void,
        systemTimes: @escaping @Sendable ([String]) async -> [String: UInt64] = { _ in [:] }
    ) {
        self.kill = kill
        self.pruneImages = pruneImages
        self.systemTimes = systemTimes
    }
}

/// Calls about containers: standalone ones and those beside a task's own, sessions in them, and input and output of all.
struct ContainerCalls: Sendable {
    let caches: AgentCaches
    let client: ClusterClient
    let node: any NodeGateway
    let engine: ContainerEngine?
    let pods: ContainerPods
    let table = ContainerTable()

    init(caches: AgentCaches, facts: AgentFacts, client: ClusterClient, node: any NodeGateway, engine: ContainerEngine?)
    {
        self.caches = caches
        self.client = client
        self.node = node
        self.engine = engine
        pods = ContainerPods(caches: caches, facts: facts, client: client)
    }

    /// The answer to a call; nil when it is about something else.
    func answer(_ type: String, _ call: JSON, _ request: WindowRequest) async throws -> WindowResponse? {
        let body = call[type.lowercased()]
        switch type {
        case "LAUNCH_CONTAINER", "LAUNCH_NESTED_CONTAINER":
            let path = try path(body)
            if type == "LAUNCH_NESTED_CONTAINER", path.parent == nil {
                throw WindowError(400, "Expecting 'container_id.parent' to be present")
            }
            return WindowResponse(try await launch(path, body) ? 200 : 202)
        case "LAUNCH_NESTED_CONTAINER_SESSION": return try await session(try path(body), body, request)
        case "WAIT_CONTAINER", "WAIT_NESTED_CONTAINER": return try await wait(type, try path(body), request)
        case "KILL_CONTAINER", "KILL_NESTED_CONTAINER": return try await kill(try path(body), body)
        case "REMOVE_CONTAINER", "REMOVE_NESTED_CONTAINER": return try await remove(try path(body))
        case "ATTACH_CONTAINER_OUTPUT": return try await attachOutput(try path(body), request)
        case "ATTACH_CONTAINER_INPUT":
            throw WindowError(415, "Expecting 'Content-Type' of application/recordio for ATTACH_CONTAINER_INPUT")
        default: return nil
        }
    }

    private func path(_ body: JSON) throws -> ContainerPath {
        guard let path = ContainerPath(body["container_id"]) else {
            throw WindowError(400, "Expecting 'container_id' to be a container's id")
        }
        return path
    }

    /// The container of a pod that a path means; nil when it means none.
    func main(_ path: ContainerPath) -> (pod: NodePod, container: NodeContainer)? {
        if let pod = pods.pod(path) { return pod.containers.first.map { (pod, $0) } }
        guard let first = path.ids.first, let pod = caches.podsByUID[first].first else { return nil }
        switch path.ids.count {
        case 1: return pod.containers.first.map { (pod, $0) }
        case 2:
            // A member of a group: by the id that its status tells, or by its container's name.
            let container = pod.containers.first {
                $0.name == path.ids[1] || MesosNames.uuid(of: pod.uid, $0.name) == path.ids[1]
            }
            return container.map { (pod, $0) }
        default: return nil
        }
    }
    func reference(_ pod: NodePod, _ container: NodeContainer) -> ContainerReference {
        ContainerReference(
            pod: PodReference(namespace: pod.key.namespace, name: pod.key.name, uid: pod.uid),
            container: container.name)
    }

    // MARK: Launching

    /// - Returns: false when there is such a container already.
    private func launch(_ path: ContainerPath, _ body: JSON) async throws -> Bool {
        if await table.isKnown(path) || main(path) != nil { return false }
        let isNew = try await pods.launch(.init(path: path, call: body, parent: try await parent(of: path)?.pod))
        if isNew, let size = Self.size(body["container"]["tty_info"]) { await resize(path, size) }
        return isNew
    }

    /// Gives a container's terminal the size that was asked for, where the runtime did not at the start.
    private func resize(_ path: ContainerPath, _ size: (width: UInt16, height: UInt16)) async {
        guard let (pod, container) = main(path), !pod.usesProcessRuntime else { return }
        var options = ExecOptions()
        options.tty = true
        options.stdin = true
        options.stdout = true
        // It may have ended: then nobody looks at the terminal any more.
        guard let session = try? await node.attach(reference(pod, container), options) else { return }
        try? await session.resize(width: size.width, height: size.height)
        // Nothing answers that: a connection that ends at once may take the size along.
        TimerQueue.shared.schedule(after: .seconds(1)) { Task { await session.close() } }
    }

    /// The container above one; nil for one that has none.
    private func parent(of path: ContainerPath) async throws -> (pod: NodePod, container: NodeContainer)? {
        guard let above = path.parent else { return nil }
        guard let found = main(above) else {
            if await table.isKnown(above) {
                throw WindowError(400, "The container '\(above)' is a session: nothing can be launched below it")
            }
            throw WindowError(404, "Unable to find the parent container '\(above)'")
        }
        guard found.container.isRunning else { throw WindowError(400, "The container '\(above)' is not running") }
        return found
    }

    /// Starts a session's program in the container that the parent means.
    private func begin(_ path: ContainerPath, _ body: JSON) async throws -> NestedContainer {
        guard let (pod, above) = try await parent(of: path) else {
            throw WindowError(400, "Expecting 'container_id.parent' to be present")
        }
        let image = body["container"]
        if !image["docker"].isNull || !image["mesos"]["image"].isNull {
            throw WindowError(400, "A session runs in its parent's files: it cannot have an image")
        }
        let terminal = body["container"]["tty_info"]
        var options = ExecOptions()
        options.command = try command(body["command"], path)
        options.stdin = true
        options.stdout = true
        options.stderr = terminal.isNull
        options.tty = !terminal.isNull
        guard main(path) == nil, try await table.begin(path) else {
            throw WindowError(409, "The container '\(path)' exists already")
        }
        do {
            let place = reference(pod, above)
            let session = try await node.exec(place, options)
            if let (width, height) = Self.size(terminal) { try? await session.resize(width: width, height: height) }
            let container = NestedContainer(
                path: path, place: place, session: session, output: OutputLog(isPaced: true))
            await table.add(container)
            return container
        } catch {
            await table.abandon(path)
            throw WindowError(400, "The container '\(path)' cannot be launched: \(error)")
        }
    }

    /// The size in a `TTYInfo`.
    static func size(_ terminal: JSON) -> (width: UInt16, height: UInt16)? {
        guard let rows = terminal["window_size"]["rows"].int, let columns = terminal["window_size"]["columns"].int
        else { return nil }
        return (UInt16(clamping: columns), UInt16(clamping: rows))
    }

    /// Runs a program as another user, with what there is for it in the container: `$0` is the user.
    private static let asUser = """
        if command -v setpriv >/dev/null 2>&1 && command -v id >/dev/null 2>&1; then
          if u=$(id -u "$0" 2>/dev/null); then
            exec setpriv --reuid "$u" --regid "$(id -g "$0")" --init-groups -- "$@"
          fi
          case $0 in *[!0-9]*) echo "there is no user $0" >&2; exit 126;; esac
          exec setpriv --reuid "$0" --clear-groups -- "$@"
        fi
        if command -v su-exec >/dev/null 2>&1; then exec su-exec "$0" "$@"; fi
        if command -v su >/dev/null 2>&1; then exec su -s /bin/sh -c 'exec "$0" "$@"' "$0" -- "$@"; fi
        echo "there is no setpriv, su-exec or su to become $0" >&2
        exit 126
        """

    /// The command line, with the marker in its environment.
    private func command(_ info: JSON, _ path: ContainerPath) throws -> [String] {
        if !info["uris"].elements.isEmpty {
            throw WindowError(400, "A session has no sandbox of its own: nothing can be fetched for it")
        }
        let arguments = info["arguments"].elements.compactMap(\.string)
        var program = arguments
        if let value = info["value"].string {
            program = info["shell"].bool ?? true ? ["/bin/sh", "-c", value] : [value] + arguments.dropFirst()
        }
        guard !program.isEmpty else { throw WindowError(400, "Expecting 'command' to be present") }
        if let user = info["user"].string, !user.isEmpty, user != "root" {
            guard user.utf8.allSatisfy({ Self.isOfName($0) }), user.first != "-" else {
                throw WindowError(400, "'\(user)' is no user's name")
            }
            program = ["/bin/sh", "-c", Self.asUser, user] + program
        }
        var variables = [NestedContainer.marker(path)]
        for variable in info["environment"]["variables"].elements {
            guard let name = variable["name"].string, !name.isEmpty, !name.contains("=") else { continue }
            variables.append("\(name)=\(variable["value"].string ?? "")")
        }
        return ["env"] + variables + program
    }
    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private func session(_ path: ContainerPath, _ body: JSON, _ request: WindowRequest) async throws -> WindowResponse {
        let answer = try StreamAnswer(request)
        let container = try await begin(path, body)
        return answer.response { [self] writer in
            // A session ends with its connection.
            defer {
                container.output.unpace()
                Task { await end(container) }
            }
            try await answer.write(container.output, isPacing: true, to: writer)
        }
    }

    private func end(_ container: NestedContainer) async {
        guard await table.container(container.path) != nil else { return }
        try? await signal(container, 9)
        await container.session.close()
    }
}
