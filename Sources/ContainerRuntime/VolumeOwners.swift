import Glibc
import JSON

/// Gives persistent volumes of Mesos tasks to the user whose program is about to use them.
///
/// Only the folder itself: what is in it stays whose it is.
enum VolumeOwners {
    /// Annotation of a pod: folders of the node, each `own`, or `shared` by several tasks at once.
    static let annotation = "mesos.apus.dev/volume-owners"

    /// The folders that an annotation names.
    static func folders(_ annotations: [String: String]) -> [String: Bool] {
        guard let text = annotations[annotation], let tree = try? JSON.parse(text) else { return [:] }
        var result: [String: Bool] = [:]
        for (path, kind) in tree.members { result[path] = kind.string == "shared" }
        return result
    }

    /// Blocks.
    /// - Parameter isInUse: whether another program has a shared folder, whose owner then stays.
    /// - Throws: `RuntimeError` when the system refuses.
    static func give(
        _ config: ContainerConfig, _ annotations: [String: String], user: Int, group: Int,
        isInUse: (String) -> Bool
    ) throws(RuntimeError) {
        let folders = folders(annotations)
        if folders.isEmpty { return }
        for mount in config.mounts where !mount.isReadOnly {
            guard let isShared = folders[mount.hostPath], !isShared || !isInUse(mount.hostPath) else { continue }
            // The link itself where somebody put one in the folder's place.
            let result = lchown(
                mount.hostPath, uid_t(truncatingIfNeeded: user), gid_t(truncatingIfNeeded: group))
            guard result == 0 else {
                throw RuntimeError(
                    .other, operation: "CreateContainer",
                    "the volume \(mount.hostPath) cannot be given to user \(user): \(String(cString: strerror(errno)))")
            }
        }
    }
}
