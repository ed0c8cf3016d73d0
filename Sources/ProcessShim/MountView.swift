import CLinux
import Glibc

/// The file system as one program sees it: the machine's own, with the container's mounts, a /tmp of its own and a /proc
/// of its PID namespace. Made in a mount namespace that nobody else is in.
///
/// A mount may be wanted at a path that the machine does not have. Then the nearest folder that exists is replaced, in
/// this view only, by an empty one in memory in which everything of the original is mounted again, and the missing
/// path is made there. New entries of that one folder are private from then on; everything below its entries is the
/// machine's.
struct MountView {
    private static let bind: UInt = 0x1000
    private static let recursive: UInt = 0x4000
    private static let isPrivate: UInt = 1 << 18
    private static let slave: UInt = 1 << 19
    private static let unbindable: UInt = 1 << 17
    private static let remount: UInt = 0x20
    private static let readOnly: UInt = 0x1
    private static let noDevices: UInt = 0x4
    private static let noSetUser: UInt = 0x2
    private static let noExecution: UInt = 0x8
    /// A folder with more entries is not replaced.
    private static let entryLimit = 4096

    private let launch: Launch
    /// Folders in which missing paths may just be made: ours, or mounted by the user.
    private var open: [String] = []
    /// Folders whose own entries are private already.
    private var covered: Set<String> = []

    static func make(_ launch: Launch) throws {
        var view = MountView(launch: launch)
        try view.build()
    }

    private init(launch: Launch) {
        self.launch = launch
    }

    private mutating func build() throws {
        guard mount("none", "/", nil, Self.recursive | Self.slave, nil) == 0 else {
            throw ShimError.system("separate the mounts")
        }
        if launch.isRootReadOnly {
            guard clinux_mount_attributes("/", 1, 0, 1) == 0 else {
                throw ShimError.system("make the root read-only")
            }
        }
        try replaceRootIfNeeded()
        // Held open, because what comes next may hide their paths.
        let sources = try launch.mounts.map { try Self.hold($0.source) }
        let sandbox = launch.sandbox.isEmpty ? -1 : try Self.hold(launch.sandbox)
        if !launch.temporary.isEmpty {
            try shadowTemporary()
            open.append("/tmp")
        }
        if launch.ownProcesses || launch.joinProcesses > 0 {
            let flags = Self.noSetUser | Self.noDevices | Self.noExecution
            guard mount("proc", "/proc", "proc", flags, nil) == 0 else { throw ShimError.system("mount /proc") }
        }
        if sandbox >= 0 {
            let isHidden = !launch.temporary.isEmpty && launch.sandbox.hasPrefix("/tmp/")
            if isHidden || launch.isRootReadOnly {
                if isHidden { try System.makeDirectories(launch.sandbox) }
                try Self.bind("/proc/self/fd/\(sandbox)", to: launch.sandbox)
                if launch.isRootReadOnly { _ = clinux_mount_attributes(launch.sandbox, 0, 1, 1) }
            }
            open.append(launch.sandbox)
        }
        if launch.isRootReadOnly {
            for path in ["/tmp", "/dev", "/proc"] { _ = clinux_mount_attributes(path, 0, 1, 1) }
        }
        for (item, source) in zip(launch.mounts, sources) { try add(item, source) }
        protect()
        for source in sources + [sandbox] where source >= 0 { close(source) }
    }

    private static func hold(_ path: String) throws -> Int32 {
        let oPath: Int32 = 0o10_000_000
        let descriptor = Glibc.open(path, oPath | O_CLOEXEC)
        guard descriptor >= 0 else { throw ShimError.system("open \(path)") }
        return descriptor
    }

    private static func bind(_ source: String, to target: String) throws {
        guard mount(source, target, nil, bind | recursive, nil) == 0 else {
            throw ShimError.system("mount \(source) at \(target)")
        }
    }

    private mutating func add(_ item: Launch.Mount, _ source: Int32) throws {
        var info = stat()
        guard fstat(source, &info) == 0 else { throw ShimError.system("look at \(item.source)") }
        let isDirectory = info.st_mode & S_IFMT == S_IFDIR
        let target = try place(item.target, isDirectory: isDirectory)
        guard mount("/proc/self/fd/\(source)", target, nil, Self.bind | Self.recursive, nil) == 0 else {
            throw ShimError.system("mount \(item.source) at \(item.target)")
        }
        let propagation = item.followsHost ? Self.slave : Self.isPrivate
        guard mount("none", target, nil, Self.recursive | propagation, nil) == 0 else {
            throw ShimError.system("separate the mount \(item.target)")
        }
        if launch.isRootReadOnly, !item.isReadOnly { _ = clinux_mount_attributes(target, 0, 1, 1) }
        if item.isReadOnly { try Self.makeReadOnly(target) }
        if isDirectory { open.append(target) }
    }

    private static func makeReadOnly(_ path: String) throws {
        var info = statvfs()
        var flags: UInt = bind | remount | readOnly
        if statvfs(path, &info) == 0 { flags |= info.f_flag & (noSetUser | noDevices | noExecution) }
        guard mount("none", path, nil, flags, nil) == 0 else { throw ShimError.system("make \(path) read-only") }
    }

    // MARK: Missing paths

    /// Makes sure that something can be mounted at the path.
    /// - Returns: the path without symbolic links.
    private mutating func place(_ path: String, isDirectory: Bool) throws -> String {
        let (found, missing) = try Self.resolve(path)
        if missing.isEmpty {
            guard let info = System.status(found) else { throw ShimError.system("look at \(found)") }
            let isFolder = info.st_mode & S_IFMT == S_IFDIR
            guard isFolder == isDirectory else {
                throw ShimError(
                    "cannot mount at \(path): a \(isDirectory ? "folder" : "file") is to be mounted on a "
                        + (isFolder ? "folder" : "file"))
            }
            return found
        }
        if !isOpen(found) { try replace(found) }
        var current = found == "/" ? "" : found
        for (index, name) in missing.enumerated() {
            current += "/\(name)"
            if index == missing.count - 1, !isDirectory {
                let file = Glibc.open(current, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
                guard file >= 0 else { throw ShimError.system("make \(current)") }
                close(file)
            } else if mkdir(current, 0o755) != 0, errno != EEXIST {
                throw ShimError.system("make \(current)")
            }
        }
        return current
    }

    /// The deepest existing folder or file on the way, without symbolic links, and the names that are missing below it.
    private static func resolve(_ path: String) throws -> (found: String, missing: [String]) {
        var rest = Array(path.split(separator: "/").map(String.init).reversed())
        var current = ""
        var hops = 0
        while let name = rest.popLast() {
            if name == "." { continue }
            if name == ".." {
                current = current.lastIndex(of: "/").map { String(current[..<$0]) } ?? ""
                continue
            }
            let next = "\(current)/\(name)"
            guard let info = System.status(next, follow: false) else {
                let missing = ([name] + rest.reversed()).filter { $0 != "." }
                guard !missing.contains("..") else { throw ShimError("cannot mount at \(path): it does not exist") }
                return (current.isEmpty ? "/" : current, missing)
            }
            if info.st_mode & S_IFMT == S_IFLNK, let target = System.link(next) {
                hops += 1
                guard hops < 40 else { throw ShimError("cannot mount at \(path): too many symbolic links") }
                if target.hasPrefix("/") { current = "" }
                rest += target.split(separator: "/").map(String.init).reversed()
                continue
            }
            current = next
        }
        return (current.isEmpty ? "/" : current, [])
    }

    private func isOpen(_ directory: String) -> Bool {
        covered.contains(directory) || open.contains { directory == $0 || directory.hasPrefix($0 + "/") }
            || Self.isOurs(directory)
    }

    /// Whether a folder lies in one of our replacements: these carry a mark in their first entry's name.
    private static let mark = ".apus-view"
    private static func isOurs(_ directory: String) -> Bool {
        guard let device = System.status(directory)?.st_dev else { return false }
        var current = directory
        while true {
            let file = current == "/" ? "/\(mark)" : "\(current)/\(mark)"
            if let info = System.status(file, follow: false) { return info.st_dev == device }
            guard current != "/", let slash = current.lastIndex(of: "/") else { return false }
            current = slash == current.startIndex ? "/" : String(current[..<slash])
        }
    }

    /// Replaces a folder (not the root) by one in memory with the same entries.
    private mutating func replace(_ directory: String) throws {
        if directory == "/dev", try cover(directory) {
            covered.insert(directory)
            return
        }
        let original = try Self.hold(directory)
        defer { close(original) }
        try Self.mountMemory(at: directory, like: original)
        try Self.fill(directory, from: "/proc/self/fd/\(original)", path: directory)
    }

    /// Lays a layer in memory over a folder: cheaper than to mount each entry again, where there are many, and where
    /// nobody writes files that others look for. What is mounted below stays.
    /// - Returns: false where the kernel does not do it.
    private func cover(_ directory: String) throws -> Bool {
        let layer = launch.rootDirectory
        var below: [(path: String, source: Int32)] = []
        defer { for item in below { close(item.source) } }
        for line in (System.text("/proc/self/mountinfo") ?? "").split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, fields[4].hasPrefix(directory + "/"),
                !below.contains(where: { fields[4] == $0.path || fields[4].hasPrefix($0.path + "/") })
            else { continue }
            // A name with octal escapes is left covered.
            guard let source = try? Self.hold(String(fields[4])) else { continue }
            below.append((String(fields[4]), source))
        }
        guard mount("tmpfs", layer, "tmpfs", Self.noSetUser, "size=1m,mode=0755") == 0,
            mkdir(layer + "/upper", 0o755) == 0, mkdir(layer + "/work", 0o755) == 0
        else { return false }
        defer { umount2(layer, Int32(MNT_DETACH)) }
        let options = "lowerdir=\(directory),upperdir=\(layer)/upper,workdir=\(layer)/work"
        guard mount("overlay", directory, "overlay", Self.noSetUser, options) == 0 else { return false }
        for item in below { try Self.bind("/proc/self/fd/\(item.source)", to: item.path) }
        return true
    }

    /// A /tmp whose changes nobody else sees: programs that lie in the machine's are found, what is written stays private.
    /// Where the layer would lie in /tmp itself, it is held in memory; where the kernel lays no layers, /tmp starts empty.
    private func shadowTemporary() throws {
        let isBelow = (launch.temporary + "/").hasPrefix("/tmp/")
        if isBelow {
            let held = mount("tmpfs", launch.temporary, "tmpfs", Self.noSetUser, "size=256m,mode=0755") == 0
            guard held else { return try Self.bind(launch.temporary, to: "/tmp") }
        }
        let (upper, work) = (launch.temporary + "/upper", launch.temporary + "/work")
        for path in [upper, work] where mkdir(path, 0o1777) != 0 && errno != EEXIST {
            throw ShimError.system("make \(path)")
        }
        chmod(upper, 0o1777)
        let options = "lowerdir=/tmp,upperdir=\(upper),workdir=\(work)"
        if mount("overlay", "/tmp", "overlay", Self.noSetUser, options) != 0 { try Self.bind(upper, to: "/tmp") }
    }

    /// A root with entries that the machine's does not have: made beside it, then swapped.
    private func replaceRootIfNeeded() throws {
        let needed = try launch.mounts.contains { item in
            let (found, missing) = try Self.resolve(item.target)
            return found == "/" && !missing.isEmpty
        }
        guard needed else { return }
        let root = launch.rootDirectory
        let original = try Self.hold("/")
        defer { close(original) }
        try Self.mountMemory(at: root, like: original)
        // Not to be found again inside itself.
        guard mount("none", root, nil, Self.unbindable, nil) == 0 else { throw ShimError.system("separate \(root)") }
        try Self.fill(root, from: "", path: "/")
        guard chdir(root) == 0, clinux_pivot_root(".", ".") == 0, umount2(".", Int32(MNT_DETACH)) == 0,
            chdir("/") == 0
        else { throw ShimError.system("change the root") }
    }

    private static func mountMemory(at path: String, like original: Int32) throws {
        var info = stat()
        guard fstat(original, &info) == 0 else { throw ShimError.system("look at \(path)") }
        let options = "size=1m,mode=\(String(info.st_mode & 0o7777, radix: 8))"
        guard mount("tmpfs", path, "tmpfs", noSetUser, options) == 0 else {
            throw ShimError.system("mount memory at \(path)")
        }
        _ = chown(path, info.st_uid, info.st_gid)
        let file = Glibc.open("\(path)/\(mark)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o400)
        if file >= 0 { close(file) }
    }

    private static func fill(_ folder: String, from source: String, path: String) throws {
        let names = System.names(source.isEmpty ? "/" : source)
        guard names.count <= entryLimit else {
            throw ShimError("cannot mount below \(path): the folder has too many entries (\(names.count))")
        }
        for name in names {
            let (from, to) = ("\(source)/\(name)", "\(folder)/\(name)")
            guard let info = System.status(from, follow: false) else { continue }
            switch info.st_mode & S_IFMT {
            case S_IFLNK:
                if let target = System.link(from) { _ = symlink(target, to) }
                continue
            case S_IFDIR: _ = mkdir(to, 0o755)
            default:
                let file = Glibc.open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
                if file >= 0 { close(file) }
            }
            // What vanished meanwhile is left out.
            if mount(from, to, nil, bind | recursive, nil) != 0, errno != ENOENT {
                throw ShimError.system("mount \(path)/\(name) again")
            }
        }
    }

    /// Kernel files that programs must not see or change. What is not there needs no protection.
    private func protect() {
        for path in launch.maskedPaths {
            guard let info = System.status(path) else { continue }
            if info.st_mode & S_IFMT == S_IFDIR {
                mount("tmpfs", path, "tmpfs", Self.readOnly, "size=0k")
            } else {
                mount("/dev/null", path, nil, Self.bind, nil)
            }
        }
        for path in launch.readOnlyPaths where System.status(path) != nil {
            guard mount(path, path, nil, Self.bind | Self.recursive, nil) == 0 else { continue }
            try? Self.makeReadOnly(path)
        }
    }
}
