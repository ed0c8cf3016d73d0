import ClusterClient
import Glibc
import JSON
import Logging
import ObjectModel
import Synchronization

/// A volume that could not be made, with the words of the `FailedMount` event.
struct VolumeError: Error, Sendable, CustomStringConvertible {
    let volume: String
    let cause: String
    var description: String { "MountVolume.SetUp failed for volume \"\(volume)\" : \(cause)" }
}

/// A volume that is ready to be mounted into containers.
struct MountedVolume: Sendable, Hashable {
    var hostPath: String
    var isReadOnly = false
}

/// Makes the volumes of pods under `pods/UID/volumes`, keeps the contents of API-backed ones current, and takes them
/// away again. Every step is safe to repeat.
final class VolumeManager: Sendable {
    struct Token: Sendable {
        var text: String
        /// When four fifths of its life are over, or after a day.
        var refreshAt: Timestamp
    }
    let podsDirectory: String
    let client: ClusterClient
    let cache: ObjectCache
    private let logger: Logger
    private let tokens = Mutex<[String: Token]>([:])

    init(podsDirectory: String, client: ClusterClient, cache: ObjectCache, logger: Logger) {
        self.podsDirectory = podsDirectory
        self.client = client
        self.cache = cache
        self.logger = logger
    }

    func directory(of uid: String) -> String { "\(podsDirectory)/\(uid)" }

    // MARK: Setting up

    /// Makes all volumes of a pod, or brings their contents up to date.
    /// - Returns: by volume name.
    func setUp(_ pod: Pod, fields: DownwardFields) async throws -> [String: MountedVolume] {
        try await withThrowingTaskGroup(of: (String, MountedVolume).self) { group in
            for volume in pod.spec.volumes {
                let name = volume["name"].string ?? ""
                group.addTask {
                    do {
                        return (name, try await self.setUp(volume, name: name, pod: pod, fields: fields))
                    } catch is CancellationError {
                        throw CancellationError()
                    } catch {
                        throw VolumeError(volume: name, cause: Self.text(error))
                    }
                }
            }
            var result: [String: MountedVolume] = [:]
            for try await (name, mounted) in group { result[name] = mounted }
            return result
        }
    }

    /// Brings only the contents that come from the API up to date.
    func refresh(_ pod: Pod, fields: DownwardFields) async throws {
        for volume in pod.spec.volumes {
            let name = volume["name"].string ?? ""
            guard let type = Self.contentType(volume), let source = contentSource(volume, type) else { continue }
            let path = self.path(pod, type, name)
            guard Files.exists(path) else { continue }
            do {
                let files = try await contents(source, type: type, name: name, pod: pod, fields: fields)
                let writer = AtomicWriter(directory: path, group: pod.spec.security.fsGroup)
                try await blocking { _ = try writer.write(files) }
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                throw VolumeError(volume: name, cause: Self.text(error))
            }
        }
    }

    private static func text(_ error: any Error) -> String {
        (error as? StatusError)?.message ?? "\(error)"
    }
    private func path(_ pod: Pod, _ type: String, _ name: String) -> String {
        "\(directory(of: pod.uid))/volumes/kubernetes.io~\(type)/\(name)"
    }
    /// Where the files of an `emptyDir` are.
    func emptyDirectory(_ pod: Pod, _ name: String) -> String { path(pod, "empty-dir", name) }
    private static func contentType(_ volume: JSON) -> String? {
        if !volume["configMap"].isNull { return "configmap" }
        if !volume["secret"].isNull { return "secret" }
        if !volume["downwardAPI"].isNull { return "downward-api" }
        if !volume["projected"].isNull { return "projected" }
        return nil
    }
    private func contentSource(_ volume: JSON, _ type: String) -> JSON? {
        switch type {
        case "configmap": volume["configMap"]
        case "secret": volume["secret"]
        case "downward-api": volume["downwardAPI"]
        case "projected": volume["projected"]
        default: nil
        }
    }

    private func setUp(_ volume: JSON, name: String, pod: Pod, fields: DownwardFields) async throws -> MountedVolume {
        if let type = Self.contentType(volume), let source = contentSource(volume, type) {
            let files = try await contents(source, type: type, name: name, pod: pod, fields: fields)
            let path = self.path(pod, type, name)
            let writer = AtomicWriter(directory: path, group: pod.spec.security.fsGroup)
            // What is secret never reaches the disk.
            let isSecret = type == "secret" || type == "projected"
            try await blocking {
                try Files.makeDirectories(path, mode: 0o755)
                if isSecret { try Mounts.tmpfs(path, sizeBytes: nil, mode: "0755") }
                _ = try writer.write(files)
            }
            return MountedVolume(hostPath: path)
        }
        if !volume["emptyDir"].isNull { return try await setUpEmptyDir(volume["emptyDir"], name, pod) }
        if !volume["hostPath"].isNull {
            let source = volume["hostPath"]
            let (path, type) = (source["path"].string ?? "", source["type"].string ?? "")
            try await blocking { try Self.checkHostPath(path, type) }
            return MountedVolume(hostPath: path)
        }
        if let claim = volume["persistentVolumeClaim"]["claimName"].string {
            var mounted = try await setUpClaim(claim, pod)
            mounted.isReadOnly = volume["persistentVolumeClaim"]["readOnly"].bool ?? false
            return mounted
        }
        if !volume["ephemeral"].isNull { return try await setUpClaim("\(pod.name)-\(name)", pod) }
        let kind = volume.members.keys.first { $0 != "name" } ?? "unknown"
        throw ConfigurationError("volumes of type \"\(kind)\" are not supported by this node")
    }

    private func setUpEmptyDir(_ source: JSON, _ name: String, _ pod: Pod) async throws -> MountedVolume {
        let path = self.path(pod, "empty-dir", name)
        let group = pod.spec.security.fsGroup
        let medium = source["medium"].string ?? ""
        guard medium.isEmpty || medium == "Memory" else {
            throw ConfigurationError("emptyDir medium \"\(medium)\" is not supported by this node")
        }
        let size = ResourceRequirements.quantities(["s": source["sizeLimit"]])["s"].map(\.value)
        let limit = PodResources(pod.spec).limitMemory
        try await blocking {
            try Files.makeDirectories(path, mode: 0o777)
            if medium == "Memory" {
                try Mounts.tmpfs(path, sizeBytes: [size, limit].compactMap(\.self).filter { $0 > 0 }.min())
            }
            if let group {
                if chown(path, 0, UInt32(truncatingIfNeeded: group)) != 0 { throw FileError("chown", path) }
            }
            if chmod(path, group == nil ? 0o777 : 0o2777) != 0 { throw FileError("chmod", path) }
        }
        return MountedVolume(hostPath: path)
    }

    private static func checkHostPath(_ path: String, _ type: String) throws {
        let entry = Files.status(path)
        let kind = entry.map { $0.st_mode & S_IFMT }
        func require(_ wanted: mode_t, _ what: String) throws {
            guard kind == wanted else {
                throw ConfigurationError("hostPath type check failed: \(path) is not a \(what)")
            }
        }
        switch type {
        case "": break
        case "DirectoryOrCreate":
            if entry == nil { try Files.makeDirectories(path, mode: 0o755) } else { try require(S_IFDIR, "directory") }
        case "Directory": try require(S_IFDIR, "directory")
        case "FileOrCreate":
            if entry == nil { try Files.write(path, [], mode: 0o644) } else { try require(S_IFREG, "file") }
        case "File": try require(S_IFREG, "file")
        case "Socket": try require(S_IFSOCK, "socket")
        case "CharDevice": try require(S_IFCHR, "character device")
        case "BlockDevice": try require(S_IFBLK, "block device")
        default: throw ConfigurationError("unknown hostPath type \"\(type)\"")
        }
    }

    private func setUpClaim(_ name: String, _ pod: Pod) async throws -> MountedVolume {
        let key = ObjectKey(namespace: pod.namespace, name: name)
        let claim = try await client.get(.persistentVolumeClaims, key).tree
        guard let volumeName = claim["spec"]["volumeName"].string, !volumeName.isEmpty,
            claim["status"]["phase"].string == "Bound"
        else { throw ConfigurationError("PersistentVolumeClaim \"\(name)\" is not bound") }
        let volume = try await client.get(.persistentVolumes, ObjectKey(name: volumeName)).tree
        let spec = volume["spec"]
        if spec["volumeMode"].string == "Block" {
            throw ConfigurationError("volume \(volumeName): block volumes are not supported by this node")
        }
        let path: String
        if let local = spec["local"]["path"].string {
            path = local
            try await blocking { try Self.checkHostPath(local, "Directory") }
        } else if let host = spec["hostPath"]["path"].string {
            path = host
            let type = spec["hostPath"]["type"].string ?? ""
            try await blocking { try Self.checkHostPath(host, type.isEmpty ? "DirectoryOrCreate" : type) }
        } else {
            let known: Set<String> = [
                "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName",
                "volumeMode", "nodeAffinity", "mountOptions", "volumeAttributesClassName",
            ]
            let kind = spec.members.keys.first { !known.contains($0) } ?? "unknown"
            throw ConfigurationError("volume \(volumeName): type \"\(kind)\" is not supported by this node")
        }
        if let group = pod.spec.security.fsGroup, spec["local"]["path"].string != nil {
            let onlyOnMismatch = pod.spec.security.fsGroupChangePolicy == "OnRootMismatch"
            try await blocking { try Self.applyGroup(path, group, onlyOnMismatch: onlyOnMismatch) }
        }
        return MountedVolume(hostPath: path)
    }

    private static func applyGroup(_ path: String, _ group: Int64, onlyOnMismatch: Bool) throws {
        let group = UInt32(truncatingIfNeeded: group)
        if onlyOnMismatch, let root = Files.status(path), root.st_gid == group, root.st_mode & 0o2070 == 0o2070 {
            return
        }
        try Files.walk(path) { path, entry throws(FileError) in
            if lchown(path, UInt32.max, group) != 0 { throw FileError("chown", path) }
            let kind = entry.st_mode & S_IFMT
            if kind == S_IFLNK { return }
            let extra: mode_t = kind == S_IFDIR ? 0o2070 : 0o060
            if chmod(path, (entry.st_mode & 0o7777) | extra) != 0 { throw FileError("chmod", path) }
        }
    }

    // MARK: Contents

    private func contents(_ source: JSON, type: String, name: String, pod: Pod, fields: DownwardFields)
        async throws -> [String: ProjectedFile]
    {
        let mode = UInt32(truncatingIfNeeded: source["defaultMode"].int ?? 0o644)
        switch type {
        case "configmap": return try await configMap(source, name: source["name"].string ?? "", pod: pod, mode: mode)
        case "secret": return try await secret(source, name: source["secretName"].string ?? "", pod: pod, mode: mode)
        case "downward-api": return try downward(source, fields: fields, mode: mode)
        default: break
        }
        var result: [String: ProjectedFile] = [:]
        for (index, part) in source["sources"].elements.enumerated() {
            let files: [String: ProjectedFile]
            if !part["configMap"].isNull {
                let map = part["configMap"]
                files = try await configMap(map, name: map["name"].string ?? "", pod: pod, mode: mode)
            } else if !part["secret"].isNull {
                let secret = part["secret"]
                files = try await self.secret(secret, name: secret["name"].string ?? "", pod: pod, mode: mode)
            } else if !part["downwardAPI"].isNull {
                files = try downward(part["downwardAPI"], fields: fields, mode: mode)
            } else if !part["serviceAccountToken"].isNull {
                files = try await token(part["serviceAccountToken"], id: "\(pod.uid)/\(name)/\(index)", pod, mode)
            } else {
                let kind = part.members.keys.first ?? "unknown"
                throw ConfigurationError("projected sources of type \"\(kind)\" are not supported by this node")
            }
            result.merge(files) { _, last in last }
        }
        return result
    }

    private func configMap(_ source: JSON, name: String, pod: Pod, mode: UInt32) async throws
        -> [String: ProjectedFile]
    {
        let reference = ObjectReference(
            resource: .configMaps, key: ObjectKey(namespace: pod.namespace, name: name))
        guard let tree = try await cache.object(reference)?.tree else {
            if source["optional"].bool == true { return [:] }
            throw ConfigurationError("configmap \"\(name)\" not found")
        }
        var data: [String: [UInt8]] = [:]
        for (key, value) in tree["data"].members { data[key] = Array((value.string ?? "").utf8) }
        for (key, value) in tree["binaryData"].members { data[key] = Base64.decode((value.string ?? "").utf8) ?? [] }
        return try pick(data, source, mode: mode, what: "configmap")
    }

    private func secret(_ source: JSON, name: String, pod: Pod, mode: UInt32) async throws -> [String: ProjectedFile] {
        let reference = ObjectReference(resource: .secrets, key: ObjectKey(namespace: pod.namespace, name: name))
        guard let tree = try await cache.object(reference)?.tree else {
            if source["optional"].bool == true { return [:] }
            throw ConfigurationError("secret \"\(name)\" not found")
        }
        var data: [String: [UInt8]] = [:]
        for (key, value) in tree["data"].members { data[key] = Base64.decode((value.string ?? "").utf8) ?? [] }
        return try pick(data, source, mode: mode, what: "secret")
    }

    /// All keys, or those of `items` under their paths and modes.
    private func pick(_ data: [String: [UInt8]], _ source: JSON, mode: UInt32, what: String) throws
        -> [String: ProjectedFile]
    {
        let items = source["items"].elements
        guard !items.isEmpty else { return data.mapValues { ProjectedFile($0, mode: mode) } }
        var result: [String: ProjectedFile] = [:]
        for item in items {
            let key = item["key"].string ?? ""
            guard let bytes = data[key] else {
                if source["optional"].bool == true { continue }
                throw ConfigurationError("\(what) references non-existent \(what) key: \(key)")
            }
            result[item["path"].string ?? key] = ProjectedFile(
                bytes, mode: item["mode"].int.map { UInt32(truncatingIfNeeded: $0) } ?? mode)
        }
        return result
    }

    private func downward(_ source: JSON, fields: DownwardFields, mode: UInt32) throws -> [String: ProjectedFile] {
        var result: [String: ProjectedFile] = [:]
        for item in source["items"].elements {
            let text: String
            if let path = item["fieldRef"]["fieldPath"].string {
                text = try fields.field(path)
            } else {
                let reference = item["resourceFieldRef"]
                let name = reference["containerName"].string ?? ""
                guard let container = fields.pod.container(named: name) else {
                    throw ConfigurationError("container \(name) not found")
                }
                text = try fields.resource(
                    reference["resource"].string ?? "", container: container,
                    divisor: ResourceRequirements.quantities(["d": reference["divisor"]])["d"])
            }
            result[item["path"].string ?? ""] = ProjectedFile(
                Array(text.utf8), mode: item["mode"].int.map { UInt32(truncatingIfNeeded: $0) } ?? mode)
        }
        return result
    }

    private func token(_ source: JSON, id: String, _ pod: Pod, _ mode: UInt32) async throws -> [String: ProjectedFile] {
        let now = Timestamp.now
        let path = source["path"].string ?? "token"
        // A program that runs as one known user gets a token that only this user can read.
        let users = Set(
            pod.allContainers.map { $0.security["runAsUser"].int.map(Int64.init) ?? pod.spec.security.runAsUser })
        let user = users.count == 1 ? users.first.flatMap(\.self).map { UInt32(truncatingIfNeeded: $0) } : nil
        let isPrivate = pod.spec.security.fsGroup != nil || user != nil
        func file(_ text: String) -> [String: ProjectedFile] {
            let owner = pod.spec.security.fsGroup == nil ? user : nil
            return [path: ProjectedFile(Array(text.utf8), mode: isPrivate ? 0o600 : mode, user: owner)]
        }
        if let token = tokens.withLock({ $0[id] }), token.refreshAt > now { return file(token.text) }
        var spec: JSON = [
            "expirationSeconds": JSON(source["expirationSeconds"].int ?? 3600),
            "boundObjectRef": [
                "apiVersion": "v1", "kind": "Pod", "name": .string(pod.name), "uid": .string(pod.uid),
            ],
        ]
        if let audience = source["audience"].string, !audience.isEmpty { spec["audiences"] = [.string(audience)] }
        let answer = try await client.transport.post(
            .serviceAccounts, ObjectKey(namespace: pod.namespace, name: pod.spec.serviceAccountName),
            subresource: "token",
            ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec])
        guard let text = answer["status"]["token"].string else {
            throw ConfigurationError("the API server sent no token")
        }
        let expiry = answer["status"]["expirationTimestamp"].string.flatMap { Timestamp($0) } ?? now + .seconds(3600)
        let life = expiry - now
        let refresh = min(now + life * 4 / 5, now + .seconds(86_400))
        tokens.withLock { $0[id] = Token(text: text, refreshAt: refresh) }
        return file(text)
    }

    // MARK: Taking down

    /// Unmounts and removes the volumes of a pod; `everything` takes its whole directory.
    func tearDown(uid: String, everything: Bool) async throws {
        tokens.withLock { tokens in tokens = tokens.filter { !$0.key.hasPrefix(uid + "/") } }
        let directory = directory(of: uid)
        try await blocking {
            guard Files.exists(directory) else { return }
            // The kernel knows the real path only.
            try Mounts.unmountAll(below: Files.realPath(directory) ?? directory)
            try Files.removeTree(everything ? directory : directory + "/volumes")
            if !everything { try Files.removeTree(directory + "/volume-subpaths") }
        }
    }
}
