import ClusterClient
import Glibc
import JSON
import Logging
import MesosModel
import ObjectModel
import Synchronization

/// Removes the files of persistent volumes that were destroyed: whoever makes one of that name next finds it empty.
///
/// A file in the folder of volumes says which ones the agent had when it was last looked at, so that a destruction while
/// nobody was there is made up for. Only what is in that file and no longer among the agent's volumes goes.
final class VolumeFolders: Sendable {
    private let root: String
    private let logger: Logger
    private let (jobs, queue) = AsyncStream.makeStream(of: Object.self, bufferingPolicy: .bufferingNewest(1))

    init(root: String, logger: Logger) {
        self.root = root
        self.logger = logger
    }

    /// Hears of the agent; before the informer runs.
    func follow(_ agents: Informer<Object>) {
        agents.subscribe { [self] event in
            switch event {
            case .added(let agent), .modified(_, let agent): queue.yield(agent)
            case .deleted: break
            }
        }
    }

    func run() async {
        for await agent in jobs {
            do {
                try await SandboxFile.blocking { try self.tidy(agent) }
            } catch {
                logger.warning("files of destroyed volumes are left", metadata: ["error": "\(error)"])
            }
        }
    }

    private var file: String { root + "/known.json" }

    private func tidy(_ agent: Object) throws {
        let spec = agent.tree["spec"]
        let id = spec["id"].string ?? ""
        var current: JSON = [:]
        for volume in try Resources(trees: spec["volumes"].elements).resources {
            // What is in another place than ours is somebody's disk as a whole.
            let isWhole = volume.diskSource == "MOUNT"
            current[PodBuilder.folder(ofVolume: volume, under: root)] = .string(isWhole ? "mount" : "folder")
        }
        let known = Self.read(file)
        // An agent that was marked gone comes back as another one: its volumes are forgotten, not destroyed.
        if known["agent"].string == id {
            for (folder, kind) in known["volumes"].members where current[folder].isNull {
                try Self.empty(folder, keepsItself: kind == "mount")
                logger.info("removed the files of a destroyed volume", metadata: ["volume": "\(folder)"])
            }
        }
        let next: JSON = ["agent": .string(id), "volumes": current]
        if next != known, !(known.isNull && current.members.isEmpty) { try write(next) }
    }

    private static func read(_ path: String) -> JSON {
        guard let stream = fopen(path, "re") else { return .null }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&piece, 1, piece.count, stream)
            if count == 0 { break }
            bytes += piece.prefix(count)
        }
        return (try? JSON.parse(bytes)) ?? .null
    }

    private func write(_ tree: JSON) throws {
        var path = ""
        for part in root.split(separator: "/") {
            path += "/" + part
            mkdir(path, 0o755)
        }
        let new = file + ".new"
        guard let stream = fopen(new, "we") else { throw Self.failure("write '\(new)'") }
        let bytes = tree.encoded()
        let count = fwrite(bytes, 1, bytes.count, stream)
        let isClosed = fclose(stream) == 0
        guard count == bytes.count, isClosed, rename(new, file) == 0 else { throw Self.failure("write '\(file)'") }
    }

    /// Removes a folder and what is in it; links are removed, not followed, whoever puts some there meanwhile.
    private static func empty(_ folder: String, keepsItself: Bool) throws {
        let descriptor = open(folder, folderOnly)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw failure("read '\(folder)'")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("look at '\(folder)'") }
        try empty(descriptor, device: status.st_dev, depth: 0)
        if !keepsItself, rmdir(folder) != 0, errno != ENOENT { throw failure("remove '\(folder)'") }
    }

    private static let folderOnly = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    /// Folders in folders that are gone into; each holds a descriptor meanwhile.
    private static let deepest = 500

    private static func empty(_ descriptor: Int32, device: dev_t, depth: Int) throws {
        guard depth < deepest else { throw MesosError(.invalid, "Failed to remove folders more than \(deepest) deep") }
        // The stream closes the descriptor that it reads.
        guard let stream = fdopendir(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) else { throw failure("read a folder") }
        defer { closedir(stream) }
        var names: [String] = []
        while let next = readdir(stream) {
            let name = withUnsafeBytes(of: next.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        for name in names {
            if unlinkat(descriptor, name, 0) == 0 || errno == ENOENT { continue }
            let inner = openat(descriptor, name, folderOnly)
            guard inner >= 0 else { throw failure("remove '\(name)'") }
            defer { close(inner) }
            var status = stat()
            guard fstat(inner, &status) == 0, status.st_dev == device else {
                throw MesosError(.invalid, "Failed to remove '\(name)': something is mounted there")
            }
            try empty(inner, device: device, depth: depth + 1)
            if unlinkat(descriptor, name, AT_REMOVEDIR) != 0, errno != ENOENT { throw failure("remove '\(name)'") }
        }
    }

    private static func failure(_ what: String) -> MesosError {
        MesosError(.invalid, "Failed to \(what): \(String(cString: strerror(errno)))")
    }
}
