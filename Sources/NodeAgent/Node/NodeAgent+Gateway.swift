public import JSON
import ObjectModel
public import Streaming

extension NodeAgent: NodeGateway {
    public func logs(_ container: ContainerReference, options: LogOptions) async throws
        -> AsyncThrowingStream<[UInt8], any Error>
    {
        let worker = try await worker(container.pod)
        let place = try await worker.logPlace(container.container, previous: options.previous)
        let reader = LogReader(path: place.path, options: options, now: .now) {
            await worker.isRunning(place.id)
        }
        return reader.stream()
    }

    public func exec(_ container: ContainerReference, _ options: ExecOptions) async throws -> any ProcessSession {
        let id = try await running(container)
        do {
            return try await context.runtime.exec(id, options)
        } catch {
            throw StatusError.internalError("\(error)")
        }
    }

    public func attach(_ container: ContainerReference, _ options: ExecOptions) async throws -> any ProcessSession {
        let id = try await running(container)
        do {
            return try await context.runtime.attach(id, options)
        } catch {
            throw StatusError.internalError("\(error)")
        }
    }

    public func connect(_ pod: PodReference, port: Int) async throws -> any ByteConnection {
        let worker = try await worker(pod)
        guard let sandbox = await worker.readySandbox else {
            throw StatusError.badRequest("pod \"\(pod.name)\" is not running, it has no sandbox")
        }
        do {
            return try await context.runtime.connect(sandbox: sandbox, port: port)
        } catch {
            throw StatusError.internalError("\(error)")
        }
    }

    public func nodeUsage() async throws -> JSON {
        guard let usage = await usage.node() else {
            throw StatusError.serviceUnavailable("no usage has been measured yet")
        }
        return usage
    }

    public func podUsage() async throws -> [JSON] {
        await usage.pods()
    }

    /// Ends a container at once, whatever its pod's grace period.
    /// - Throws: `StatusError` when the container does not run.
    public func kill(_ container: ContainerReference) async throws {
        let id = try await running(container)
        do {
            try await context.runtime.stopContainer(id, grace: .zero)
        } catch {
            throw StatusError.internalError("\(error)")
        }
    }

    /// Removes the images that no container uses, except those of these names.
    public func pruneImages(keeping names: Set<String>) async {
        await evictions.images.removeUnused(keeping: names)
    }

    /// The part of pods' CPU time that the kernel worked for them, in nanoseconds by uid; those that are not known are left
    /// out.
    public func systemTimes(ofPods uids: [String]) async -> [String: UInt64] {
        await context.cgroups.systemTimes(uids)
    }

    private func worker(_ pod: PodReference) async throws -> PodWorker {
        guard let worker = await podSet.worker(namespace: pod.namespace, name: pod.name, uid: pod.uid) else {
            throw StatusError.notFound(GroupResource(group: "", resource: "pods"), name: pod.name)
        }
        return worker
    }
    private func running(_ container: ContainerReference) async throws -> String {
        let worker = try await worker(container.pod)
        guard let id = await worker.runningContainer(container.container) else {
            throw StatusError.badRequest(
                "unable to upgrade connection: container not found (\"\(container.container)\")")
        }
        return id
    }
}

extension PodWorker {
    var readySandbox: String? { runtimeState.sandbox.flatMap { $0.isReady ? $0.id : nil } }

    func runningContainer(_ name: String) -> String? {
        runtimeState.latest(name).flatMap { $0.isRunning ? $0.id : nil }
    }
    func isRunning(_ id: String) -> Bool { runtimeState[id]?.isRunning ?? false }

    /// The log file of a container and the id of its container.
    /// - Throws: `StatusError` 400 saying why there is none.
    func logPlace(_ name: String, previous: Bool) throws -> (path: String, id: String) {
        guard pod.container(named: name) != nil else {
            throw StatusError.badRequest("container \(name) is not valid for pod \(pod.name)")
        }
        var record = runtimeState.latest(name)
        // Not begun yet: what counts is the one before.
        if let latest = record, latest.state == .created { record = runtimeState.previous(latest) ?? nil }
        if previous {
            guard let latest = record,
                let before = runtimeState.previous(latest) ?? (latest.isExited && waiting[name] != nil ? latest : nil)
            else {
                throw StatusError.badRequest(
                    "previous terminated container \"\(name)\" in pod \"\(pod.name)\" not found")
            }
            record = before
        }
        guard let record else {
            let initial = pod.spec.initContainers.isEmpty ? "ContainerCreating" : "PodInitializing"
            var why = waiting[name]?.reason ?? initial
            if why == "ErrImagePull" || why == "ImagePullBackOff" { why = "trying and failing to pull image" }
            throw StatusError.badRequest(
                "container \"\(name)\" in pod \"\(pod.name)\" is waiting to start: \(why)")
        }
        return (context.logs.path(pod, container: name, attempt: record.attempt), record.id)
    }

    /// Starts new log files where the old ones grew too big.
    func rotateLogs() async {
        let files = context.logs
        for record in runtimeState.containers where record.isRunning {
            let path = files.path(pod, container: record.name, attempt: record.attempt)
            do {
                guard try await blocking({ try files.rotate(path) }) else { continue }
                try await context.runtime.reopenLog(record.id)
            } catch {
                logger.warning("a log cannot be rotated", metadata: ["log": "\(path)", "error": "\(error)"])
            }
        }
    }
}
