import JSON

extension PodBuilder {
    /// Volumes of a ContainerInfo and of persistent volumes among the resources.
    mutating func setVolumes(
        _ info: JSON, resources: Resources, hasImage: Bool, of container: inout JSON
    ) throws(MesosError) {
        var mounts: [JSON] = []
        if hasImage {
            addVolume(["name": .string(MesosNames.sandboxVolume), "emptyDir": .object([:])])
            let isSingle = containers.isEmpty && annotations[MesosNames.taskGroupAnnotation] == nil
            var mount: JSON = [
                "name": .string(MesosNames.sandboxVolume), "mountPath": .string(MesosNames.sandboxPath),
            ]
            // Members of a group have a sandbox each.
            if !isSingle { mount.setMember("subPath", container["name"]) }
            mounts.append(mount)
            container["workingDir"] = .string(MesosNames.sandboxPath)
        }
        for volume in info["volumes"].elements {
            mounts.append(try mount(volume))
        }
        for resource in resources.persistentVolumes.resources {
            mounts.append(mount(persistent: resource))
        }
        if !mounts.isEmpty { container["volumeMounts"] = .array(mounts) }
    }

    private mutating func addVolume(_ volume: JSON) {
        if !volumes.contains(where: { $0["name"] == volume["name"] }) { volumes.append(volume) }
    }

    /// Relative paths are inside the sandbox; without an image the process runtime puts its folder in the place of the
    /// path that sandboxes have beside images.
    private func inside(_ path: String) -> JSON {
        .string(path.hasPrefix("/") ? path : MesosNames.sandboxPath + "/" + path)
    }

    private static func checked(_ path: String?, _ what: String) throws(MesosError) -> String {
        guard let path, !path.isEmpty else { throw MesosError(.invalid, "A volume has no \(what)") }
        guard !path.split(separator: "/").contains(".."), !path.contains(":") else {
            throw MesosError(.invalid, "The \(what) '\(path)' of a volume must not contain '..' or ':'")
        }
        return path
    }

    private mutating func mount(_ volume: JSON) throws(MesosError) -> JSON {
        let path = try Self.checked(volume["container_path"].string, "container_path")
        var mount: JSON = ["mountPath": inside(path)]
        if volume["mode"].string == "RO" { mount["readOnly"] = true }
        let source = volume["source"]
        let type = source["type"].string
        if type == "SECRET" || !source["secret"].isNull {
            guard let name = source["secret"]["reference"]["name"].string else {
                throw MesosError(.invalid, "A secret volume must name a Secret by reference")
            }
            let key = source["secret"]["reference"]["key"].string ?? "value"
            let id = "secret-" + MesosNames.hash(name, key)
            addVolume(["name": .string(id), "secret": ["secretName": .string(name)]])
            mount["name"] = .string(id)
            mount["subPath"] = .string(key)
            return mount
        }
        if type == "DOCKER_VOLUME" || type == "CSI_VOLUME" || !volume["image"].isNull {
            throw MesosError(.invalid, "Volumes of type \(type ?? "image") are not supported")
        }
        if type == "SANDBOX_PATH" || (type == nil && volume["host_path"].string?.hasPrefix("/") == false) {
            let inner = source["sandbox_path"]["path"].string ?? volume["host_path"].string
            addVolume(["name": "mesos-shared", "emptyDir": .object([:])])
            mount["name"] = "mesos-shared"
            mount["subPath"] = .string(try Self.checked(inner, "sandbox path"))
            return mount
        }
        let host = try Self.checked(
            source["host_path"]["path"].string ?? volume["host_path"].string, "host_path")
        let id = "host-" + MesosNames.hash(host)
        addVolume(["name": .string(id), "hostPath": ["path": .string(host), "type": ""]])
        mount["name"] = .string(id)
        if let mode = source["host_path"]["mount_propagation"]["mode"].string, mode != "UNKNOWN" {
            mount["mountPropagation"] = mode == "BIDIRECTIONAL" ? "Bidirectional" : "HostToContainer"
        }
        return mount
    }

    private mutating func mount(persistent resource: MesosResource) -> JSON {
        let volume = resource.disk?["volume"] ?? .null
        let folder = Self.folder(ofVolume: resource, under: place.volumesFolder)
        let id = "volume-" + MesosNames.hash(folder)
        addVolume(["name": .string(id), "hostPath": ["path": .string(folder), "type": "DirectoryOrCreate"]])
        volumeOwners[folder] = resource.isShared ? "shared" : "own"
        var mount: JSON = [
            "name": .string(id), "mountPath": inside(volume["container_path"].string ?? "volume"),
        ]
        if volume["mode"].string == "RO" { mount["readOnly"] = true }
        return mount
    }

    /// Lets an executor reach the volumes of tasks to come by links in its sandbox. It sees the machine's files, but has a
    /// /tmp of its own.
    mutating func showVolumes() {
        let folder = place.volumesFolder
        guard hasImages == false, folder.hasPrefix("/tmp/"), var container = containers.first else { return }
        addVolume(["name": "volumes", "hostPath": ["path": .string(folder), "type": "DirectoryOrCreate"]])
        let mount: JSON = ["name": "volumes", "mountPath": .string(folder)]
        container["volumeMounts"] = .array(container["volumeMounts"].elements + [mount])
        containers[0] = container
    }

    /// Where a persistent volume's files are on its node: `roles/ROLE/ID` of the folder, or of its PATH or MOUNT disk.
    public static func folder(ofVolume resource: MesosResource, under folder: String) -> String {
        let source = resource.disk?["source"] ?? .null
        if let root = source["mount"]["root"].string { return root }
        let base = source["path"]["root"].string ?? folder
        return "\(base)/roles/\(resource.reservationRole ?? "*")/\(resource.persistenceID ?? "")"
    }
}
