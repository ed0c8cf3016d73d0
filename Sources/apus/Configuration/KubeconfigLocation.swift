import Glibc
import HTTPAccess
import SystemPackage

/// Finds the kubeconfig that a command should use.
enum KubeconfigLocation {
    /// The access of the flag's file, of `KUBECONFIG`, or of `~/.kube/config`.
    static func access(_ flag: String?) throws -> ClusterAccess {
        let environment = getenv("KUBECONFIG").map { String(cString: $0) }
        let home = getenv("HOME").map { String(cString: $0) } ?? "/root"
        let path =
            flag ?? environment.flatMap { $0.split(separator: ":").first.map(String.init) } ?? "\(home)/.kube/config"
        guard let text = try? FileText.read(path) else {
            throw UserError(
                "the kubeconfig \(path) cannot be read: give --kubeconfig, or start a cluster with `apus up`")
        }
        let folder = FilePath(path).removingLastComponent()
        do {
            return try ClusterAccess(kubeconfig: text) { name in
                try FileText.bytes(folder.pushing(FilePath(name)).string)
            }
        } catch let error as ClusterAccess.Problem {
            throw UserError("\(path): \(error)")
        }
    }
}
