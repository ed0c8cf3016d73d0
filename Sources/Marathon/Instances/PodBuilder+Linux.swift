import JSON
import MesosModel

/// What a definition's `linuxInfo` and `user` mean for a pod.
extension PodBuilder {
    /// A seccomp profile of the node's, or none, for a pod or a container.
    static func confine(_ json: inout JSON, _ seccomp: JSON) {
        if seccomp["unconfined"].bool == true {
            json["securityContext"]["seccompProfile"] = ["type": "Unconfined"]
        } else if let name = seccomp["profileName"].string, !name.isEmpty {
            json["securityContext"]["seccompProfile"] = ["type": "Localhost", "localhostProfile": .string(name)]
        }
    }

    /// Who an image's program runs as: a number, or root. Other names are known to the image only.
    static func setUser(_ container: inout JSON, _ user: String?) {
        guard let user, let number = user == "root" ? 0 : Int(user) else { return }
        container["securityContext"]["runAsUser"] = JSON(number)
    }

    /// The IPC namespace of a pod, and the size of its shared memory.
    /// - Parameter container: the only one that it is for; nil: all of them.
    static func share(_ pod: inout JSON, _ ipc: JSON, container: Int? = nil) {
        // The parent of a pod is its node, that of a container is its pod.
        if ipc["mode"].string == "SHARE_PARENT", container == nil { pod["spec"]["hostIPC"] = true }
        guard let size = ipc["shmSize"].int, size > 0 else { return }
        let name = JSON.string(container.map { "shared-memory-\($0)" } ?? "shared-memory")
        pod["spec"]["volumes"] = .array(
            pod["spec"]["volumes"].elements + [
                ["name": name, "emptyDir": ["medium": "Memory", "sizeLimit": .string("\(size)Mi")]]
            ])
        let mount: JSON = ["name": name, "mountPath": "/dev/shm"]
        pod["spec"]["containers"] = .array(
            pod["spec"]["containers"].elements.enumerated().map { index, element in
                guard container == nil || container == index else { return element }
                var element = element
                element["volumeMounts"] = .array(element["volumeMounts"].elements + [mount])
                return element
            })
    }
}
