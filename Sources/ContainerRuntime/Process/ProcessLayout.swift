/// Where the process runtime keeps what: below `{data}/process/{pod uid}`, a folder for each container (its sandbox, with
/// `stdout`, `stderr` and what was fetched) and `.apus` with the runtime's own files.
public struct ProcessLayout: Sendable, Hashable {
    /// For example `/var/lib/apus/process`.
    public let root: String

    /// - Parameter dataDirectory: the cluster's data directory, absolute.
    public init(dataDirectory: String) {
        root = dataDirectory + "/process"
    }

    /// The folder of a pod.
    public func pod(_ uid: String) -> String { "\(root)/\(uid)" }
    /// The sandbox directory of a container; all its restarts share it.
    public func sandbox(pod uid: String, container: String) -> String { "\(root)/\(uid)/\(container)" }

    func state(_ uid: String) -> String { "\(root)/\(uid)/.apus" }
    func state(_ uid: String, container id: String) -> String { "\(state(uid))/\(id)" }
    func sandboxFile(_ uid: String, _ id: String) -> String { "\(state(uid))/\(id).json" }
    /// Written when the last sandbox of a pod was removed; the folder goes some time later.
    func removedFile(_ uid: String) -> String { "\(state(uid))/removed" }
}
