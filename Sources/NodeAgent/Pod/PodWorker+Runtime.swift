import ContainerRuntime
import ObjectModel

extension PodWorker {
    /// Reads what the runtime has of this pod. Keeps what is known when the runtime does not answer.
    func refresh() async {
        for _ in 0..<5 {
            needsRefresh = false
            let before = generation
            do {
                let read = try await readRuntime()
                guard before == generation else { continue }
                take(read)
                return
            } catch {
                needsRefresh = true
                logger.debug("the runtime cannot be read", metadata: ["error": "\(error)"])
                check(after: .seconds(1))
                return
            }
        }
        needsRefresh = true
        wake.yield()
    }

    private func readRuntime() async throws(RuntimeError) -> PodRuntime {
        let labels = [RuntimeLabel.podUID: uid]
        let summaries = try await context.runtime.containers(labels: labels)
        let sandboxes = try await context.runtime.sandboxes(labels: labels)
            .sorted { ($0.createdAt, $0.attempt) > ($1.createdAt, $1.attempt) }
        var result = PodRuntime()
        for summary in summaries {
            if let known = runtimeState[summary.id], known.state == summary.state, known.createdAt > 0 {
                result.containers.append(known)
                continue
            }
            do {
                let status = try await context.runtime.containerStatus(summary.id)
                if let record = ContainerRecord(summary, status) {
                    result.containers.append(withFetchFailure(record))
                }
            } catch {
                // Removed since it was listed.
                if error.code != .notFound { throw error }
            }
        }
        for (index, sandbox) in sandboxes.enumerated() {
            guard index == 0 else {
                result.oldSandboxes.append(sandbox.id)
                continue
            }
            var addresses: [String] = []
            if let known = runtimeState.sandbox, known.id == sandbox.id, !known.addresses.isEmpty {
                addresses = known.addresses
            } else if sandbox.isReady {
                addresses = try await context.runtime.sandboxStatus(sandbox.id).addresses
            }
            result.sandbox = SandboxRecord(
                id: sandbox.id, attempt: sandbox.attempt, isReady: sandbox.isReady, addresses: addresses,
                createdAt: sandbox.createdAt)
        }
        return result
    }

    private func take(_ read: PodRuntime) {
        let isFirst = !isLoaded
        let before = runtimeState
        runtimeState = read
        isLoaded = true
        if isFirst { adopt() }
        for record in read.containers where record.isExited && (isFirst || before[record.id]?.isExited != true) {
            containerEnded(record)
        }
        forgetGone()
    }

    /// Takes over what runs already, with what the API remembers of it: nothing is restarted and no pod turns unready
    /// because an agent started anew.
    private func adopt() {
        for member in ["initContainerStatuses", "containerStatuses"] {
            for status in pod.status[member].elements {
                guard let id = status["containerID"].string?.split(separator: "/").last.map(String.init),
                    let record = runtimeState[id], record.isRunning
                else { continue }
                if status["started"].bool == true { startupPassed.insert(id) }
                if status["ready"].bool == true { readyIDs.insert(id) }
            }
        }
        if runtimeState.sandbox?.isReady == true {
            logger.debug("adopted", metadata: ["containers": "\(runtimeState.containers.count)"])
        }
    }

    /// Notes the last words of a container.
    private func containerEnded(_ record: ContainerRecord) {
        if terminationMessages[record.id] == nil, let container = pod.container(named: record.name) {
            terminationMessages[record.id] = terminationMessage(container, record)
        }
    }

    private func terminationMessage(_ container: ContainerSpec, _ record: ContainerRecord) -> String {
        // 4 KiB each, 12 KiB for the pod. A tiny read of an own file.
        let limit = min(4096, 12_288 / max(pod.allContainers.count, 1))
        let bytes = (try? Files.read(terminationFile(container, attempt: record.attempt), limit: limit)) ?? []
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.isEmpty, container.terminationMessagePolicy == "FallbackToLogsOnError", record.exitCode != 0 else {
            return text
        }
        return LogFiles.tail(
            context.logs.path(pod, container: record.name, attempt: record.attempt), bytes: min(2048, limit))
    }

    func terminationFile(_ container: ContainerSpec, attempt: Int) -> String {
        "\(context.volumes.directory(of: uid))/containers/\(container.name)/\(attempt)"
    }

    private func forgetGone() {
        let ids = Set(runtimeState.containers.map(\.id))
        startupPassed.formIntersection(ids)
        readyIDs.formIntersection(ids)
        hookPending.formIntersection(ids)
        mustRestart.formIntersection(ids)
        failedProbes = failedProbes.filter { ids.contains($0.key) && runtimeState[$0.key]?.isRunning == true }
        terminationMessages = terminationMessages.filter { ids.contains($0.key) }
    }

    /// Changes a record in place, so that nobody waits for a list to show what was done just now.
    func record(_ record: ContainerRecord) {
        generation += 1
        runtimeState[record.id] = record
    }
}
