import Glibc
import JSON
import Synchronization
import SystemPackage

/// The folder that holds a cluster: `cluster.json` says whose it is, `lock` keeps a second process out.
///
/// The folder itself may hold files of others (a kubeconfig, logs); only the names below are ours and only they are
/// ever removed.
final class DataDirectory: Sendable {
    /// What `cluster.json` records.
    struct Identity: Equatable, Sendable {
        /// Six letters or digits that all kernel names of this cluster carry.
        var clusterID: String
        var podCIDR: String
        var serviceCIDR: String
        var nodeName: String
        var nodeIP: String
        var port: Int
        var dnsPort: Int
        /// Socket of a containerd that somebody else runs; nil for an own one.
        var externalContainerd: String?

        var json: JSON {
            var json: JSON = [
                "format": 1, "clusterID": .string(clusterID), "podCIDR": .string(podCIDR),
                "serviceCIDR": .string(serviceCIDR), "nodeName": .string(nodeName), "nodeIP": .string(nodeIP),
                "port": JSON(port), "dnsPort": JSON(dnsPort),
            ]
            if let externalContainerd { json["containerd"] = .string(externalContainerd) }
            return json
        }

        init?(_ json: JSON) {
            guard json["format"].int == 1, let id = json["clusterID"].string, !id.isEmpty,
                id.allSatisfy({ $0.isASCII && ($0.isLowercase || $0.isNumber) }), id.count <= 8,
                let podCIDR = json["podCIDR"].string, let serviceCIDR = json["serviceCIDR"].string
            else { return nil }
            clusterID = id
            self.podCIDR = podCIDR
            self.serviceCIDR = serviceCIDR
            nodeName = json["nodeName"].string ?? ""
            nodeIP = json["nodeIP"].string ?? ""
            port = json["port"].int ?? 6443
            dnsPort = json["dnsPort"].int ?? 10053
            externalContainerd = json["containerd"].string
        }

        init(
            clusterID: String, podCIDR: String, serviceCIDR: String, nodeName: String, nodeIP: String, port: Int,
            dnsPort: Int
        ) {
            self.clusterID = clusterID
            self.podCIDR = podCIDR
            self.serviceCIDR = serviceCIDR
            self.nodeName = nodeName
            self.nodeIP = nodeIP
            self.port = port
            self.dnsPort = dnsPort
        }

        static func newClusterID() -> String {
            let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789")
            return String((0..<6).map { _ in alphabet.randomElement() ?? "a" })
        }
    }

    /// Everything below the folder that Apus makes.
    static let ownNames = [
        "store", "pki", "pods", "logs", "containerd", "cni", "images", "plugins", "run",
        "volumes", "manifests", "process",
    ]

    let path: String
    /// Folder of the ingress's balancer.
    var ingress: String { sub("run/ingress") }
    /// Open for as long as the lock is held.
    private let lock = Mutex<FileDescriptor?>(nil)

    init(path: String) {
        self.path = path
    }

    func sub(_ name: String) -> String { "\(path)/\(name)" }
    var canReadCredentials: Bool { access(sub("pki/admin.kubeconfig"), R_OK) == 0 }
    private var identityPath: String { sub("cluster.json") }

    /// The recorded identity; nil when there is none.
    /// - Throws: `UserError` when the folder is damaged or belongs to something else.
    func identity() throws -> Identity? {
        guard exists(identityPath) else {
            if exists(sub("store")) {
                throw UserError(
                    "\(path) has a `store` folder but no cluster.json, so it is not a data directory of Apus (or a "
                        + "damaged one): choose another with --data-dir, or restore cluster.json from a backup")
            }
            return nil
        }
        guard let text = try? FileText.read(identityPath), let json = try? JSON.parse(text),
            let identity = Identity(json)
        else {
            throw UserError(
                "\(identityPath) cannot be understood (damaged, or written by a newer Apus): restore it from a backup, "
                    + "or choose another folder with --data-dir. Nothing was changed")
        }
        return identity
    }

    /// - Throws: `UserError` when a folder that holds no cluster yet is somebody else's. A kubeconfig, configuration and
    ///   logs may lie in it: people keep them beside the data.
    func requireNotForeign() throws {
        guard let handle = opendir(path) else { return }
        defer { closedir(handle) }
        while let item = readdir(handle) {
            let name = withUnsafePointer(to: &item.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let known = Self.ownNames + ["lost+found", "log", "kc"]
            let endings = ["log", "config", ".out", ".err", ".pid", ".yaml", ".yml", ".conf", ".env"]
            if name.hasPrefix(".") || known.contains(name) || endings.contains(where: name.hasSuffix) { continue }
            throw UserError(
                "\(path) holds no cluster but files of something else (\(name)): choose a new or empty folder with "
                    + "--data-dir. Nothing was changed")
        }
    }

    func record(_ identity: Identity) throws {
        do {
            try FileText.replace(
                identityPath, with: identity.json.description + "\n", mode: [.ownerReadWrite, .groupRead, .otherRead])
        } catch let error as Errno {
            throw Self.explain(error, "write", identityPath)
        }
    }

    /// Makes the folder if needed and takes the lock, which the kernel releases when the process ends.
    func open() throws {
        for folder in [path, sub("run")] { try makeDirectory(folder) }
        let lockPath = sub("run/lock")
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(
                FilePath(lockPath), .readWrite, options: [.create, .closeOnExec],
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
        } catch let error as Errno {
            throw Self.explain(error, "open", lockPath)
        }
        guard flock(file.rawValue, LOCK_EX | LOCK_NB) == 0 else {
            let owner = runningProcess().map { "process \($0)" } ?? "another process"
            try? file.close()
            throw UserError("the data directory \(path) is in use by \(owner): stop it, or choose another --data-dir")
        }
        lock.withLock { $0 = file }
        do {
            try file.resize(to: 0)
            _ = try file.writeAll("\(getpid())\n".utf8)
        } catch let error as Errno {
            throw Self.explain(error, "write", lockPath)
        }
    }

    /// The process that holds the lock; nil when nobody does.
    func runningProcess() -> pid_t? {
        guard let file = try? FileDescriptor.open(FilePath(sub("run/lock")), .readOnly, options: .closeOnExec) else {
            return nil
        }
        defer { try? file.close() }
        if flock(file.rawValue, LOCK_SH | LOCK_NB) == 0 { return nil }
        return (try? FileText.read(sub("run/lock"))).flatMap { pid_t($0.prefix { $0.isNumber }) }
    }

    func makeDirectory(_ path: String) throws {
        var current = ""
        for part in FilePath(path).components {
            current += "/\(part.string)"
            if mkdir(current, 0o755) != 0 && errno != EEXIST {
                throw Self.explain(Errno(rawValue: errno), "create", current)
            }
        }
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func explain(_ error: Errno, _ verb: String, _ path: String) -> UserError {
        switch error {
        case .noSpace: UserError("cannot \(verb) \(path): the disk is full; free some space and try again")
        case .permissionDenied, .notPermitted:
            UserError("cannot \(verb) \(path): permission denied; run as root or choose another --data-dir")
        case .readOnlyFileSystem:
            UserError("cannot \(verb) \(path): the file system is read-only; choose another --data-dir")
        default: UserError("cannot \(verb) \(path): \(error)")
        }
    }
}
