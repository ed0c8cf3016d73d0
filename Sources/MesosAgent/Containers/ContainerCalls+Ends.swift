import ClusterClient
import Glibc
import HTTPWindow
import JSON
import MesosModel
import ObjectModel
import Streaming

extension ContainerCalls {
    // MARK: Waiting

    func wait(_ type: String, _ path: ContainerPath, _ request: WindowRequest) async throws -> WindowResponse {
        let format = try ContentTypes.accepted(request)
        var result: JSON = [:]
        if main(path) != nil {
            var last: (pod: NodePod, container: NodeContainer)?
            while let found = main(path), found.container.terminated == nil, !found.pod.isEnded {
                last = found
                try await Task.sleep(for: .milliseconds(50))
            }
            result = Self.result(main(path) ?? last)
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

    /// How a container ended.
    private static func result(_ found: (pod: NodePod, container: NodeContainer)?) -> JSON {
        guard let end = found?.container.terminated else {
            // Its pod went away, or was refused, before its program's end was known.
            let status = found?.pod.object.tree["status"] ?? .null
            let why = status["message"].string ?? status["reason"].string ?? "Container was destroyed"
            return ["state": "TASK_FAILED", "message": .string(why)]
        }
        var result: JSON = ["exit_status": status(end.exitCode)]
        switch end.reason {
        case "OOMKilled":
            result["state"] = "TASK_FAILED"
            result["reason"] = "REASON_CONTAINER_LIMITATION_MEMORY"
            result["message"] = "Memory limit exceeded"
        case "FetchFailed", "StartError", "ContainerCannotRun":
            result["state"] = "TASK_FAILED"
            result["reason"] = "REASON_CONTAINER_LAUNCH_FAILED"
            result["message"] = .string(end.message)
        default: break
        }
        return result
    }

    /// An exit code as `wait` tells it: of a program that a signal ended, the signal's number.
    private static func status(_ code: Int) -> JSON { JSON(code > 128 && code < 193 ? code - 128 : code << 8) }

    // MARK: Killing

    func kill(_ path: ContainerPath, _ body: JSON) async throws -> WindowResponse {
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
        guard container.terminated == nil, !pod.isEnded else { return WindowResponse(200) }
        if pod.containerPath == path, container.isRunning {
            do {
                try await signal(pod, container, path, number)
            } catch {
                // It may have ended meanwhile.
                guard let (now, container) = main(path), container.terminated == nil, !now.isEnded else {
                    return WindowResponse(200)
                }
                throw WindowError(500, "Failed to kill the container '\(path)': \(error)")
            }
            return WindowResponse(200)
        }
        let reason: JSON = [MesosNames.killAnnotation: "An operator killed the container"]
        try await client.patch(
            .pods, pod.key, .merge, ["metadata": ["uid": .string(pod.uid), "annotations": reason]])
        var options = DeleteOptions(uid: pod.uid)
        if number == 9 { options.gracePeriodSeconds = 1 }
        try await client.delete(.pods, pod.key, options: options)
        return WindowResponse(200)
    }

    func remove(_ path: ContainerPath) async throws -> WindowResponse {
        if let (pod, container) = main(path) {
            guard container.terminated != nil || pod.isEnded else {
                throw WindowError(500, "The container '\(path)' is running")
            }
            // A task's own container goes with its task.
            if pod.containerPath == path { try await pods.remove(pod, path) }
            return WindowResponse(200)
        }
        if path.parent == nil { throw WindowError(404, "Container '\(path)' cannot be found") }
        guard await table.remove(path) else { throw WindowError(500, "The container '\(path)' is running") }
        return WindowResponse(200)
    }

    // MARK: Signals

    /// Signals a container that is a pod. KILL goes through the runtime, which finds every process; any other to those
    /// that have the container's mark in their environment.
    private func signal(_ pod: NodePod, _ container: NodeContainer, _ path: ContainerPath, _ number: Int) async throws {
        if number == 9 {
            guard let engine else { throw WindowError(501, "there is no runtime here") }
            return try await engine.kill(reference(pod, container))
        }
        let marker = NestedContainer.marker(path)
        let end = ContinuousClock.now + .seconds(10)
        while try await SandboxFile.blocking({ MarkedProcesses.signal(marker, Int32(number)) }) == 0 {
            if ContinuousClock.now > end { throw WindowError(500, "its processes cannot be found") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Signals the processes of a nested container, once there are any: right after the launch its program may be about
    /// to begin.
    func signal(_ container: NestedContainer, _ number: Int) async throws {
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

/// Processes of this machine by a variable in their environment.
private enum MarkedProcesses {
    /// Signals those with a variable. Blocks.
    /// - Returns: how many there were.
    static func signal(_ variable: String, _ number: Int32) -> Int {
        guard let folder = opendir("/proc") else { return 0 }
        defer { closedir(folder) }
        let wanted = Array(variable.utf8)
        var count = 0
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let process = pid_t(name), has(wanted, process) else { continue }
            // Of a parent that went meanwhile the number is not given to another so soon.
            if Glibc.kill(process, number) == 0 { count += 1 }
        }
        return count
    }

    private static func has(_ variable: [UInt8], _ process: pid_t) -> Bool {
        let file = open("/proc/\(process)/environ", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        // More than the kernel gives a program for all of its arguments is not read.
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count < 6 << 20 {
            let count = read(file, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return bytes.split(separator: 0).contains { $0.elementsEqual(variable) }
    }
}
