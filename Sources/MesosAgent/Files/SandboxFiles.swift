import ContainerRuntime
import Glibc
import HTTPWindow
import MesosModel
import ObjectModel
import Streaming

/// Files of sandboxes by the paths that clients use: folders on this machine, and the output of containers that have no
/// file for it.
struct SandboxFiles: Sendable {
    /// The most that one read gives.
    static let maximumRead = 64 << 10

    let paths: SandboxPaths
    let node: any NodeGateway

    private static func missing(_ path: String) -> WindowError {
        WindowError(404, "Requested path not found: \(path)")
    }

    private func place(_ path: String) throws -> SandboxPaths.Place {
        guard !path.utf8.contains(0), let place = paths.place(path) else { throw Self.missing(path) }
        return place
    }

    // MARK: Folders

    /// What a folder holds; for a file, the file itself. Names are whole paths, as the client began them.
    func browse(_ path: String) async throws -> [SandboxFile.Entry] {
        let place = try place(path)
        let base = path.hasSuffix("/") ? String(path.dropLast()) : path
        func named(_ entries: [SandboxFile.Entry]) -> [SandboxFile.Entry] {
            entries.map { entry in
                var entry = entry
                entry.name = "\(base)/\(entry.name)"
                return entry
            }
        }
        guard let container = place.container else {
            let pod = place.pod
            guard case .group(_, let tasks) = pod.role, !place.path.isEmpty else {
                return named(["containers", "tasks"].map { folder($0, pod) })
            }
            let ids = tasks.map { $0["task_id"]["value"].string ?? "" }
            return named((place.path == "tasks" ? ids : pod.containers.map(\.name)).map { folder($0, pod) })
        }
        if let stream = log(place) {
            var entry = try await logEntry(place.pod, container, stream)
            entry.name = base
            return [entry]
        }
        var entries: [SandboxFile.Entry] = []
        if let root = paths.folder(place.pod, container) {
            entries = try await SandboxFile.blocking { [path = place.path] in
                let file = try SandboxFile(root: root, path: path)
                return file.entry.isFolder ? try file.entries() : []
            }
        } else if !place.path.isEmpty {
            throw Self.missing(path)
        }
        if place.path.isEmpty, !place.pod.usesProcessRuntime {
            for (name, stream) in Self.logs {
                entries.removeAll { $0.name == name }
                if let entry = try? await logEntry(place.pod, container, stream) { entries.append(entry) }
            }
        }
        return named(entries)
    }

    private func folder(_ name: String, _ pod: NodePod) -> SandboxFile.Entry {
        SandboxFile.Entry(
            name: name, size: 4096, links: 2, mode: S_IFDIR | 0o755,
            modified: (pod.object.metadata.creationTimestamp?.microseconds ?? 0) * 1000, user: "root", group: "0")
    }

    // MARK: Reading

    /// Bytes of a file and its size.
    /// - Parameter offset: nil asks for the size alone.
    func read(_ path: String, offset: Int?, length: Int) async throws -> (data: [UInt8], size: Int) {
        let place = try place(path)
        guard let container = place.container else { throw WindowError(400, "Cannot read from a directory") }
        if let stream = log(place) {
            return try await logBytes(place.pod, container, stream, offset: offset, length: length)
        }
        guard let root = paths.folder(place.pod, container) else { throw Self.missing(path) }
        return try await SandboxFile.blocking { [path = place.path] in
            let file = try SandboxFile(root: root, path: path)
            if file.entry.isFolder { throw WindowError(400, "Cannot read from a directory") }
            guard let offset else { return ([], file.entry.size) }
            return (try file.read(offset: offset, length: length), file.entry.size)
        }
    }

    // MARK: Output without a file

    private static let logs = [("stdout", "Stdout"), ("stderr", "Stderr")]

    /// The log stream that a path means: containers with an image have no files for their output.
    private func log(_ place: SandboxPaths.Place) -> String? {
        if place.pod.usesProcessRuntime { return nil }
        return Self.logs.first { $0.0 == place.path }?.1
    }

    private func logStream(_ pod: NodePod, _ container: String, _ stream: String) async throws
        -> AsyncThrowingStream<[UInt8], any Error>
    {
        var options = LogOptions()
        options.stream = stream
        let reference = ContainerReference(
            pod: PodReference(namespace: pod.key.namespace, name: pod.key.name, uid: pod.uid), container: container)
        do {
            return try await node.logs(reference, options: options)
        } catch {
            // Nothing was written yet, or the container's log is gone.
            throw WindowError(404, "\(error)")
        }
    }

    private func logBytes(_ pod: NodePod, _ container: String, _ stream: String, offset: Int?, length: Int)
        async throws -> (data: [UInt8], size: Int)
    {
        var data: [UInt8] = []
        var size = 0
        for try await piece in try await logStream(pod, container, stream) {
            if let offset, data.count < length, size + piece.count > offset {
                data += piece.dropFirst(max(0, offset - size)).prefix(length - data.count)
            }
            size += piece.count
        }
        return (data, size)
    }

    private func logEntry(_ pod: NodePod, _ container: String, _ stream: String) async throws -> SandboxFile.Entry {
        let size = try await logBytes(pod, container, stream, offset: nil, length: 0).size
        return SandboxFile.Entry(
            name: stream.lowercased(), size: size, links: 1, mode: S_IFREG | 0o644,
            modified: Timestamp.now.microseconds * 1000, user: "root", group: "0")
    }
}
