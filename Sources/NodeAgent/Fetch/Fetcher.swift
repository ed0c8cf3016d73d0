import AsyncHTTPClient
import Glibc
import Logging
import NIOCore
import NIOPosix
import Subprocess

/// Brings what a container asks for into its sandbox: downloads, copies, unpacks, keeps what may be kept for the next.
actor Fetcher {
    /// How long a download may stand still.
    static let stall = TimeAmount.seconds(60)
    static let cacheLimit = 2 << 30
    static let sizeLimit = 16 << 30

    private let cacheDirectory: String
    private let logger: Logger
    private var http: HTTPClient?
    /// Downloads into the cache under way.
    private var running: [String: Task<Void, any Error>] = [:]
    private var number = 0

    init(cacheDirectory: String, logger: Logger) {
        self.cacheDirectory = cacheDirectory
        self.logger = logger
    }

    func shutDown() async { try? await http?.shutdown() }

    /// Fetches everything, one after another.
    /// - Parameters:
    ///   - owner: key of who may share cached files with whom.
    ///   - scratch: a folder for what is not ready yet; made and removed.
    /// - Throws: `FetchError`, or `CancellationError`.
    func fetch(_ requests: [FetchRequest], into place: FetchPlace, owner: String, scratch: String) async throws {
        guard !requests.isEmpty else { return }
        number += 1
        let work = "\(scratch)/fetch-\(number)"
        do {
            try await blocking {
                try Files.removeTree(work)
                try Files.makeDirectories(work, mode: 0o700)
            }
            for request in requests {
                do {
                    try await fetch(request, place, owner, work)
                } catch let error as FetchError {
                    throw error
                } catch is CancellationError {
                    throw CancellationError()
                } catch {
                    try Task.checkCancellation()
                    throw FetchError("cannot fetch \(request.address): \(error)")
                }
            }
            try? await blocking { try Files.removeTree(work) }
        } catch {
            try? await blocking { try Files.removeTree(work) }
            throw error
        }
    }

    private func fetch(_ request: FetchRequest, _ place: FetchPlace, _ owner: String, _ work: String) async throws {
        let parts = try request.destination()
        let source = try request.source()
        let name = parts.last ?? ""
        let file = "\(work)/\(name)"
        if request.isCached {
            try await fromCache(source, place, owner, to: file)
        } else {
            try await bring(source, place, to: file)
        }
        let mode: mode_t = request.isExecutable ? 0o755 : 0o644
        try await blocking { _ = chmod(file, mode) }
        if let archive = request.unpacking(name) {
            let unpacked = work + "/.unpacked"
            try await blocking { try Files.makeDirectories(unpacked, mode: 0o700) }
            try await unpack(archive, file, name, into: unpacked)
            let folder = Array(parts.dropLast())
            try await blocking {
                try place.merge(unpacked, into: folder)
                try Files.removeTree(unpacked)
            }
        }
        try await blocking { try place.move(file, to: parts) }
    }

    // MARK: Bringing

    private func bring(_ source: FetchRequest.Source, _ place: FetchPlace, to file: String) async throws {
        switch source {
        case .file(let path):
            try await blocking {
                let target = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
                guard target >= 0 else { throw FileError("create", file) }
                defer { close(target) }
                var info = stat()
                guard stat(path, &info) == 0 else { throw FileError("open", path) }
                guard info.st_mode & S_IFMT == S_IFREG else { throw FileError("read", path, EISDIR) }
                try FetchPlace.copy(path, to: target, as: place.user, place.group)
            }
        case .web(let url): try await download(url, to: file)
        }
    }

    private func download(_ url: String, to file: String) async throws {
        let client = client()
        let response = try await client.execute(HTTPClientRequest(url: url), deadline: .distantFuture)
        guard (200..<300).contains(Int(response.status.code)) else {
            throw FetchError("cannot fetch \(url): the server answered \(response.status.code)")
        }
        let target = try await blocking {
            let target = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard target >= 0 else { throw FileError("create", file) }
            return target
        }
        defer { close(target) }
        var total = 0
        for try await part in response.body {
            total += part.readableBytes
            guard total <= Self.sizeLimit else { throw FetchError("cannot fetch \(url): it is too large") }
            let bytes = Array(part.readableBytesView)
            try await blocking { try FetchPlace.write(bytes[...], to: target) }
        }
        if let length = response.headers.first(name: "Content-Length").flatMap({ Int($0) }), length != total {
            throw FetchError("cannot fetch \(url): it ended after \(total) of \(length) bytes")
        }
    }

    private func client() -> HTTPClient {
        if let http { return http }
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .follow(max: 10, allowCycles: false),
            timeout: .init(connect: .seconds(20), read: Self.stall), decompression: .disabled)
        configuration.httpVersion = .http1Only
        let made = HTTPClient(
            eventLoopGroupProvider: .shared(.singletonMultiThreadedEventLoopGroup), configuration: configuration)
        http = made
        return made
    }

    // MARK: Unpacking

    private func unpack(_ archive: FetchRequest.Archive, _ file: String, _ name: String, into folder: String)
        async throws
    {
        switch archive {
        case .tar:
            try await run(
                "tar", ["--no-same-owner", "--no-same-permissions", "-C", folder, "-xf", file], "unpack \(name)")
        case .zip: try await run("unzip", ["-o", "-q", file, "-d", folder], "unpack \(name)")
        case .gzip:
            let copy = "\(folder)/\(name)"
            try await blocking {
                let target = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
                guard target >= 0 else { throw FileError("create", copy) }
                defer { close(target) }
                try FetchPlace.copy(file, to: target)
            }
            try await run("gzip", ["-d", "-f", copy], "unpack \(name)")
        }
    }

    private func run(_ program: String, _ arguments: [String], _ purpose: String) async throws {
        let result: ExecutionResult<Void, StringOutput<UTF8>, StringOutput<UTF8>>
        do {
            result = try await Subprocess.run(
                .name(program), arguments: Arguments(arguments), output: .string(limit: 64 << 10),
                error: .string(limit: 64 << 10))
        } catch let error as SubprocessError {
            throw FetchError("cannot \(purpose): \(program) could not be run (is it installed?): \(error)")
        }
        guard result.terminationStatus.isSuccess else {
            let text = result.standardError.split(separator: "\n").prefix(3).joined(separator: " | ")
            throw FetchError("cannot \(purpose): \(text)")
        }
    }

    // MARK: The cache

    /// Copies from the cache, after bringing the file there once for all who wait for it.
    private func fromCache(_ source: FetchRequest.Source, _ place: FetchPlace, _ owner: String, to file: String)
        async throws
    {
        let key = "\(owner) \(source)"
        let path = "\(cacheDirectory)/\(Self.name(key))"
        let isThere = try await blocking {
            // The name is a short hash: the file beside it tells whose it is.
            Files.text(path + ".key") == key && Files.exists(path)
        }
        if !isThere {
            let task: Task<Void, any Error>
            if let known = running[key] {
                task = known
            } else {
                task = Task {
                    defer { self.running[key] = nil }
                    try await self.fill(path, key, source, place)
                }
                running[key] = task
            }
            try await task.value
        }
        try Task.checkCancellation()
        try await blocking {
            let target = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard target >= 0 else { throw FileError("create", file) }
            defer { close(target) }
            try FetchPlace.copy(path, to: target)
            // The time of the last use.
            utimes(path, nil)
        }
    }

    private func fill(_ path: String, _ key: String, _ source: FetchRequest.Source, _ place: FetchPlace) async throws {
        let (directory, coming) = (cacheDirectory, path + ".new")
        try await blocking {
            try Files.makeDirectories(directory, mode: 0o700)
            unlink(coming)
        }
        try await bring(source, place, to: coming)
        try await blocking {
            unlink(path + ".key")
            guard rename(coming, path) == 0 else { throw FileError("rename", path) }
            try Files.write(path + ".key", Array(key.utf8), mode: 0o600)
            Self.trim(directory, keeping: path)
        }
    }

    /// Removes files that were used longest ago until the rest fits. Blocks.
    private static func trim(_ directory: String, keeping kept: String) {
        var files = Files.names(in: directory).filter { !$0.contains(".") }.compactMap { name -> (String, Int, Int)? in
            let path = "\(directory)/\(name)"
            return Files.status(path).map { (path, Int($0.st_size), $0.st_mtim.tv_sec) }
        }
        files.sort { $0.2 < $1.2 }
        var total = files.reduce(0) { $0 + $1.1 }
        for (path, size, _) in files where total > cacheLimit && path != kept {
            unlink(path + ".key")
            unlink(path)
            total -= size
        }
    }

    /// 64 bits of FNV-1a: collisions are noticed by the file with the key.
    private static func name(_ key: String) -> String {
        var state: UInt64 = 14_695_981_039_346_656_037
        for byte in key.utf8 { state = (state ^ UInt64(byte)) &* 1_099_511_628_211 }
        return String(state, radix: 16)
    }
}
