import ContainerRuntime
import Glibc
import JSON
import ObjectModel

extension PodWorker {
    /// The volume that is the sandbox of containers with images.
    static let sandboxVolume = "mesos-sandbox"
    static let fetchFailed = "FetchFailed"

    /// Why an image does not fit the pod's runtime; nil when it does.
    func imageProblem(_ container: ContainerSpec, sandbox: String) -> String? {
        let isProcess = sandbox.hasPrefix(ProcessRuntime.idPrefix)
        let isHost = ProcessRuntime.isHost(container.image)
        if isProcess, !isHost {
            return "the process runtime runs programs of the machine: the image must be "
                + "\"\(ProcessRuntime.image)\", not \"\(container.image)\""
        }
        if !isProcess, isHost {
            return "image \"\(ProcessRuntime.image)\" is for pods with runtimeClassName: \(ProcessRuntime.handler)"
        }
        return nil
    }

    /// Brings what a created container asks for.
    /// - Returns: the record of its end when that failed; nil when the container can be started.
    func fetch(_ container: ContainerSpec, _ record: ContainerRecord) async -> ContainerRecord? {
        do {
            let requests = try FetchRequest.all(pod.annotations, container: container.name)
            guard !requests.isEmpty else { return nil }
            let directory = try sandboxDirectory(container, record)
            if !record.id.hasPrefix(ProcessRuntime.idPrefix) {
                // Who may not mount the node's files may not have them copied either.
                for request in requests {
                    guard case .web = try request.source() else {
                        throw FetchError(
                            "cannot fetch \(request.address): files of the node are only for plain programs; "
                                + "use a hostPath volume")
                    }
                }
            }
            let user = container.security["runAsUser"].int ?? pod.spec.security.runAsUser.map(Int.init)
            let group = container.security["runAsGroup"].int ?? pod.spec.security.runAsGroup.map(Int.init)
            let place = try await blocking {
                guard let info = Files.status(directory) else { throw FileError("open", directory) }
                return FetchPlace(
                    directory: directory, user: user.map { uid_t(truncatingIfNeeded: $0) } ?? info.st_uid,
                    group: group.map { gid_t(truncatingIfNeeded: $0) } ?? info.st_gid)
            }
            context.event(
                pod, .normal, "Fetching", "Fetching \(requests.count) files for container \(container.name)",
                container: container)
            try await context.fetcher.fetch(
                requests, into: place, owner: "\(pod.namespace)/\(place.user)",
                scratch: context.volumes.directory(of: uid) + "/fetch/\(container.name)")
            return nil
        } catch {
            if Task.isCancelled || error is CancellationError { return record }
            let message = "\(error)"
            context.event(pod, .warning, Self.fetchFailed, message, container: container)
            var failed = record
            failed.finishedAt = Timestamp.now.microseconds * 1000
            failed.message = message
            let note: JSON = ["message": .string(message), "finishedAt": .integer(failed.finishedAt)]
            let path = fetchFile(record)
            try? await blocking { try Files.write(path, note.encoded(), mode: 0o600) }
            return fetchFailure(failed, note)
        }
    }

    private func sandboxDirectory(_ container: ContainerSpec, _ record: ContainerRecord) throws -> String {
        if record.id.hasPrefix(ProcessRuntime.idPrefix) {
            return ProcessLayout(dataDirectory: context.configuration.dataDirectory).sandbox(
                pod: uid, container: container.name)
        }
        guard let volume = volumes?[Self.sandboxVolume] else {
            throw FetchError("the pod has no volume \(Self.sandboxVolume) to fetch into")
        }
        return volume.hostPath
    }

    // MARK: Failures

    /// A container that got nothing to run on was created, but never started: for the runtime it is still new. That it is
    /// over stands in a file beside its termination message.
    func withFetchFailure(_ record: ContainerRecord) -> ContainerRecord {
        guard record.state == .created, !pod.annotations.isEmpty, pod.annotations[FetchRequest.annotation] != nil,
            // A tiny read of an own file, only for pods that fetch.
            let bytes = try? Files.read(fetchFile(record), limit: 65_536), let note = try? JSON.parse(bytes)
        else { return record }
        return fetchFailure(record, note)
    }
    private func fetchFailure(_ record: ContainerRecord, _ note: JSON) -> ContainerRecord {
        var failed = record
        failed.state = .exited
        failed.exitCode = 1
        failed.reason = Self.fetchFailed
        failed.message = note["message"].string ?? ""
        failed.finishedAt = Int64(note["finishedAt"].int ?? 0)
        failed.startedAt = failed.finishedAt
        return failed
    }
    private func fetchFile(_ record: ContainerRecord) -> String {
        "\(context.volumes.directory(of: uid))/containers/\(record.name)/\(record.attempt).fetch"
    }
}
