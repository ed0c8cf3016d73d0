import ClusterClient
import Glibc
import JSON
import ObjectModel
import OrderedCollections
import Synchronization

/// Pods of plain programs that do not exist any more while their sandboxes do: the node keeps these for some time, and
/// whoever asks why an executor died reads them.
///
/// Each is written into the pod's folder, so that it is known for as long as that, whoever restarts meanwhile.
final class PastPods: Sendable {
    /// Older ones are not shown any more.
    private static let limit = 1000
    private static let longest = 4 << 20

    private let root: String
    private let pods = Mutex<OrderedDictionary<String, NodePod>>([:])
    private let (jobs, queue) = AsyncStream.makeStream(of: NodePod.self, bufferingPolicy: .bufferingNewest(4096))

    init(dataDirectory: String) {
        root = dataDirectory + "/process"
    }

    private func folder(_ uid: String) -> String { "\(root)/\(uid)" }
    private func file(_ uid: String) -> String { "\(root)/\(uid)/.apus/pod.json" }
    private func isThere(_ uid: String) -> Bool { access(folder(uid), F_OK) == 0 }

    // MARK: Reading

    /// Oldest first.
    var all: [NodePod] { pods.withLock { Array($0.values) }.filter { isThere($0.uid) } }

    func pod(uid: String) -> NodePod? {
        pods.withLock { $0[uid] }.flatMap { isThere(uid) ? $0 : nil }
    }

    /// The newest of an executor's.
    func pod(of key: ExecutorKey) -> NodePod? {
        let found = pods.withLock { pods in
            pods.values.filter { $0.frameworkID == key.framework && $0.executorID == key.executor }
        }
        return found.last { isThere($0.uid) }
    }

    // MARK: Keeping

    /// Hears of pods that go; before the informer runs.
    func follow(_ informer: Informer<NodePod>) {
        informer.subscribe { [self] event in
            guard case .deleted(let pod) = event, pod.frameworkID != nil, pod.usesProcessRuntime else { return }
            add(pod)
            queue.yield(pod)
        }
    }

    private func add(_ pod: NodePod) {
        var pod = pod
        pod.isPast = true
        let kept = pod
        pods.withLock { pods in
            pods[kept.uid] = kept
            while pods.count > Self.limit { pods.removeFirst() }
        }
    }

    /// Reads what was kept before, then writes what is to be kept.
    func run() async {
        let found = (try? await SandboxFile.blocking { self.recover() }) ?? []
        for pod in found where pods.withLock({ $0[pod.uid] == nil }) { add(pod) }
        for await pod in jobs {
            _ = try? await SandboxFile.blocking { self.write(pod) }
        }
    }

    private func recover() -> [NodePod] {
        guard let folder = opendir(root) else { return [] }
        defer { closedir(folder) }
        var found: [(changed: Int, pod: NodePod)] = []
        while let next = readdir(folder) {
            let uid = withUnsafeBytes(of: next.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            let descriptor = open(file(uid), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_size <= Self.longest else { continue }
            var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
            let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            guard count == bytes.count, let object = try? Object(bytes: bytes), object.uid == uid else { continue }
            found.append((Int(status.st_mtim.tv_sec), NodePod(object)))
        }
        return found.sorted { $0.changed < $1.changed }.suffix(Self.limit).map(\.pod)
    }

    private func write(_ pod: NodePod) {
        guard isThere(pod.uid) else { return }
        var tree = pod.object.tree
        tree["metadata"].removeMember("managedFields")
        // What the programs were given may be secret, and says nothing about their files.
        for index in tree["spec"]["containers"].elements.indices {
            tree["spec"]["containers"][index].removeMember("env")
        }
        let bytes = tree.encoded()
        guard bytes.count <= Self.longest else { return }
        let new = file(pod.uid) + ".new"
        let descriptor = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return }
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        if count == bytes.count { rename(new, file(pod.uid)) } else { unlink(new) }
    }
}
