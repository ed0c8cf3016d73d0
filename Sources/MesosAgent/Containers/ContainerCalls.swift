import ClusterClient
import HTTPWindow
import JSON
import MesosModel
import ObjectModel
import Streaming

/// Calls about containers: programs beside a task's own, and input and output of both.
struct ContainerCalls: Sendable {
    let caches: AgentCaches
    let client: ClusterClient
    let node: any NodeGateway
    let table = ContainerTable()

    /// The answer to a call; nil when it is about something else.
    func answer(_ type: String, _ call: JSON, _ request: WindowRequest) async throws -> WindowResponse? {
        let body = call[type.lowercased()]
        switch type {
        case "LAUNCH_CONTAINER", "LAUNCH_NESTED_CONTAINER":
            return WindowResponse(try await launch(try path(body), body, isSession: false) == nil ? 202 : 200)
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

    /// Starts a program in the container that the parent means.
    /// - Returns: nil when there is such a container already.
    private func launch(_ path: ContainerPath, _ body: JSON, isSession: Bool) async throws -> NestedContainer? {
        guard let parent = path.parent else {
            throw WindowError(501, "Standalone containers are not supported: make a pod, or a Marathon app")
        }
        let place: ContainerReference
        if let (pod, container) = main(parent) {
            guard container.isRunning else { throw WindowError(400, "The container '\(parent)' is not running") }
            place = reference(pod, container)
        } else if let nested = await table.container(parent) {
            place = nested.place
        } else {
            throw WindowError(400, "Unable to find the parent container '\(parent)'")
        }
        let image = body["container"]
        if !image["docker"].isNull || !image["mesos"]["image"].isNull {
            throw WindowError(501, "A nested container runs in its parent's files: it cannot have an image")
        }
        let terminal = body["container"]["tty_info"]
        var options = ExecOptions()
        options.command = try command(body["command"], path)
        options.stdin = isSession
        options.stdout = true
        options.stderr = terminal.isNull
        options.tty = !terminal.isNull
        guard try await table.begin(path) else { return nil }
        do {
            let session = try await node.exec(place, options)
            if let (width, height) = Self.size(terminal) { try? await session.resize(width: width, height: height) }
            let container = NestedContainer(
                path: path, place: place, session: session, output: OutputLog(isPaced: isSession))
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

    /// The command line, with the marker in its environment.
    private func command(_ info: JSON, _ path: ContainerPath) throws -> [String] {
        if let user = info["user"].string, !user.isEmpty, user != "root" {
            throw WindowError(501, "A nested container runs as its parent's user: it cannot be '\(user)'")
        }
        if !info["uris"].elements.isEmpty { throw WindowError(501, "Nothing can be fetched for a nested container") }
        let arguments = info["arguments"].elements.compactMap(\.string)
        var program = arguments
        if let value = info["value"].string {
            program = info["shell"].bool ?? true ? ["/bin/sh", "-c", value] : [value] + arguments.dropFirst()
        }
        guard !program.isEmpty else { throw WindowError(400, "Expecting 'command' to be present") }
        var variables = [NestedContainer.marker(path)]
        for variable in info["environment"]["variables"].elements {
            guard let name = variable["name"].string, !name.isEmpty, !name.contains("=") else { continue }
            variables.append("\(name)=\(variable["value"].string ?? "")")
        }
        return ["env"] + variables + program
    }

    private func session(_ path: ContainerPath, _ body: JSON, _ request: WindowRequest) async throws -> WindowResponse {
        let answer = try StreamAnswer(request)
        guard let container = try await launch(path, body, isSession: true) else {
            throw WindowError(400, "The container '\(path)' exists already")
        }
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

    // MARK: Waiting and killing

    private func wait(_ type: String, _ path: ContainerPath, _ request: WindowRequest) async throws -> WindowResponse {
        let format = try ContentTypes.accepted(request)
        var result: JSON = [:]
        if main(path) != nil {
            while let container = main(path)?.container, container.terminated == nil {
                try await Task.sleep(for: .milliseconds(100))
            }
            if let code = main(path)?.container.terminated?.exitCode { result["exit_status"] = Self.status(code) }
        } else {
            guard let exit = await table.exit(of: path) else {
                throw WindowError(404, "Container '\(path)' cannot be found")
            }
            switch exit {
            case .code(let code): result["exit_status"] = Self.status(code)
            case .failed(let why):
                result["state"] = "TASK_FAILED"
                result["message"] = .string(why)
            }
        }
        return try Messages.response(
            ["type": .string(type), type.lowercased(): result], as: "mesos.v1.agent.Response", format: format)
    }

    /// An exit code as `wait` tells it: of a program that a signal ended, the signal's number.
    private static func status(_ code: Int) -> JSON { JSON(code > 128 && code < 193 ? code - 128 : code << 8) }

    private func kill(_ path: ContainerPath, _ body: JSON) async throws -> WindowResponse {
        let number = body["signal"].int ?? 9
        guard (1...64).contains(number) else { throw WindowError(400, "There is no signal \(number)") }
        // One that is being launched is waited for.
        for _ in 0..<3000 where await table.isStarting(path) { try await Task.sleep(for: .milliseconds(10)) }
        if let container = await table.container(path) {
            do {
                try await signal(container, number)
            } catch {
                throw WindowError(500, "Failed to kill the container '\(path)': \(error)")
            }
            return WindowResponse(200)
        }
        if await table.isKnown(path) { return WindowResponse(200) }
        guard let (pod, container) = main(path) else {
            throw WindowError(404, "Container '\(path)' cannot be found")
        }
        guard container.terminated == nil else { return WindowResponse(200) }
        let reason: JSON = [MesosNames.killAnnotation: "An operator killed the container"]
        try await client.patch(
            .pods, pod.key, .merge, ["metadata": ["uid": .string(pod.uid), "annotations": reason]])
        var options = DeleteOptions(uid: pod.uid)
        if number == 9 { options.gracePeriodSeconds = 1 }
        try await client.delete(.pods, pod.key, options: options)
        return WindowResponse(200)
    }

    private func remove(_ path: ContainerPath) async throws -> WindowResponse {
        let isRunning = main(path).map { $0.container.terminated == nil } ?? false
        guard !isRunning, await table.remove(path) else {
            throw WindowError(500, "The container '\(path)' is running")
        }
        return WindowResponse(200)
    }

    /// Signals the processes of a nested container, once there are any: right after the launch its program may be about
    /// to begin.
    private func signal(_ container: NestedContainer, _ number: Int) async throws {
        let end = ContinuousClock.now + .seconds(10)
        while try await !findAndSignal(container, number) {
            guard await table.container(container.path) != nil else { return }
            if ContinuousClock.now > end { throw WindowError(500, "its processes cannot be found") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// A session has no call for that: its processes are found by their environment. What a program starts while it is
    /// looked for is found by looking again.
    /// - Returns: false when there are none.
    private func findAndSignal(_ container: NestedContainer, _ number: Int) async throws -> Bool {
        let script = """
            none=3
            while :; do
              more=
              for p in /proc/[0-9]*; do
                if tr '\\000' '\\n' <$p/environ 2>/dev/null | grep -qxF "$0"; then
                  kill -"$1" "${p#/proc/}" 2>/dev/null && none=0 more=1
                fi
              done
              if [ "$1" != 9 ] || [ -z "$more" ]; then exit $none; fi
            done
            """
        var options = ExecOptions()
        options.command = ["/bin/sh", "-c", script, container.marker, String(number)]
        options.stdout = true
        options.stderr = true
        let session = try await node.exec(container.place, options)
        for try await _ in session.output {}
        let exit = try await session.exit()
        await session.close()
        if exit == .code(3) { return false }
        if exit != .code(0) { throw WindowError(500, "its processes cannot be found: \(exit)") }
        return true
    }
}
