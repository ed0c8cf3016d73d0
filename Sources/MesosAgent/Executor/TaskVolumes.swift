import Glibc
import HTTPWindow
import JSON
import MesosModel

/// Persistent volumes of tasks on executors of the framework's own. The executor runs before its tasks are known, so their
/// volumes are links in its sandbox, as on agents that isolate no file systems.
struct TaskVolumes: Sendable {
    let paths: SandboxPaths
    /// The node's folder of persistent volumes.
    let volumes: String

    /// Makes the volumes of a task reachable for its executor.
    /// - Throws: `MesosError` with the reason when one cannot be.
    func prepare(_ task: JSON, in pod: NodePod) async throws {
        let resources = try Resources(trees: task["resources"].elements).persistentVolumes.resources
        guard !resources.isEmpty else { return }
        guard pod.usesProcessRuntime, let container = pod.containers.first?.name,
            let sandbox = paths.folder(pod, container)
        else {
            throw MesosError(.invalid, "Persistent volumes of tasks are not seen by an executor with an image")
        }
        let own = Set(
            try Resources(trees: pod.executorInfo?["resources"].elements ?? []).persistentVolumes.resources.map {
                PodBuilder.folder(ofVolume: $0, under: volumes)
            })
        for resource in resources {
            let folder = PodBuilder.folder(ofVolume: resource, under: volumes)
            let path = resource.disk?["volume"]["container_path"].string ?? ""
            if own.contains(folder) { continue }
            let parts = path.split(separator: "/").map(String.init)
            guard !path.hasPrefix("/"), !parts.isEmpty, !parts.contains("..") else {
                throw MesosError(
                    .invalid, "The path '\(path)' of a persistent volume must be a relative one for this executor")
            }
            let isShared = resource.isShared
            let isUsed = isShared && paths.caches.isInUse(volume: resource, besides: pod)
            try await SandboxFile.blocking {
                try Self.link(folder, to: parts, in: sandbox, keepsOwner: isUsed)
            }
        }
    }

    private static func link(_ folder: String, to parts: [String], in sandbox: String, keepsOwner: Bool) throws {
        func failure(_ what: String) -> MesosError {
            MesosError(.invalid, "Failed to \(what): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard stat(sandbox, &status) == 0 else { throw failure("look at the sandbox of the executor") }
        var path = ""
        for part in folder.split(separator: "/") {
            path += "/" + part
            if mkdir(path, 0o755) != 0, errno != EEXIST { throw failure("make the volume '\(path)'") }
        }
        if !keepsOwner, lchown(folder, status.st_uid, status.st_gid) != 0 {
            throw failure("change the owner of the volume '\(folder)'")
        }
        // Step by step from the sandbox, never by a path: its programs may put links where folders were, at any moment.
        let only = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var place = open(sandbox, only)
        guard place >= 0 else { throw failure("open the sandbox of the executor") }
        defer { close(place) }
        for part in parts.dropLast() {
            let isNew = mkdirat(place, part, 0o755) == 0
            guard isNew || errno == EEXIST else { throw failure("make the folder '\(part)' in the sandbox") }
            let next = openat(place, part, only)
            guard next >= 0 else { throw failure("open the folder '\(part)' in the sandbox") }
            close(place)
            place = next
            if isNew { fchown(place, status.st_uid, status.st_gid) }
        }
        let name = parts.last ?? ""
        var found = stat()
        if fstatat(place, name, &found, AT_SYMLINK_NOFOLLOW) == 0 {
            // That of an earlier task.
            guard found.st_mode & S_IFMT == S_IFLNK else {
                throw MesosError(
                    .invalid,
                    "The path '\(parts.joined(separator: "/"))' of a persistent volume is taken in the sandbox")
            }
            unlinkat(place, name, 0)
        }
        if symlinkat(folder, place, name) != 0 { throw failure("link the volume into the sandbox") }
    }
}

extension AgentCaches {
    /// True when a task of another executor's pod has the volume.
    func isInUse(volume: MesosResource, besides pod: NodePod) -> Bool {
        tasks.all.contains { record in
            guard isLocal(record), record.pod != pod.key, !record.isTerminal else { return false }
            let known = (try? Resources(trees: record.info["resources"].elements))?.persistentVolumes.resources ?? []
            return known.contains {
                $0.persistenceID == volume.persistenceID && $0.reservationRole == volume.reservationRole
            }
        }
    }
}
