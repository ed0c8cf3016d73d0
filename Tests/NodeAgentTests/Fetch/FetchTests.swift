import Glibc
import JSON
import Logging
import Testing

@testable import NodeAgent

struct FetchTests {
    private func request(_ value: String, output: String = "", extract: Bool = true) -> FetchRequest {
        FetchRequest(["value": .string(value), "output_file": .string(output), "extract": .bool(extract)])
    }

    @Test func namesInTheSandbox() throws {
        #expect(try request("http://a/b/c.tar.gz?x=/y").destination() == ["c.tar.gz"])
        #expect(try request("/etc/hosts").destination() == ["hosts"])
        #expect(try request("http://a/b", output: "sub/file").destination() == ["sub", "file"])
        for (value, output) in [
            ("http://a/b", "../x"), ("http://a/b", "/x"), ("http://a/b", "a/../../x"), ("http://a/", ""),
            ("http://host", ""), ("/", ""), ("/a/..", ""),
        ] {
            #expect(throws: FetchError.self, "\(value) \(output)") { try request(value, output: output).destination() }
        }
    }

    @Test func sourcesAndArchives() throws {
        #expect(try request("file:///x").source() == .file("/x"))
        #expect(try request("https://x/y").source() == .web("https://x/y"))
        for value in ["hdfs://x", "file://host/x", "x", ""] {
            #expect(throws: FetchError.self, "\(value)") { try request(value).source() }
        }
        #expect(request("x").unpacking("a.TGZ") == .tar)
        #expect(request("x").unpacking("a.zip") == .zip)
        #expect(request("x").unpacking("a.log.gz") == .gzip)
        #expect(request("x").unpacking("tar") == nil)
        #expect(request("x", extract: false).unpacking("a.tar") == nil)
    }

    /// Links that lie in a sandbox, or come in an archive, lead nowhere.
    @Test func linksAreNotFollowed() async throws {
        let home = "/tmp/apus-fetch-\(UInt32.random(in: 0 ... .max))"
        let (sandbox, outside) = (home + "/sandbox", home + "/outside")
        for path in [sandbox, outside] { try Files.makeDirectories(path) }
        defer { try? Files.removeTree(home) }
        try Files.write(outside + "/secret", Array("old".utf8), mode: 0o600)
        try Files.write(home + "/new", Array("new".utf8), mode: 0o600)
        #expect(symlink(outside, sandbox + "/link") == 0)
        #expect(symlink(outside + "/secret", sandbox + "/file") == 0)
        let place = FetchPlace(directory: sandbox, user: getuid(), group: getgid())
        let fetcher = Fetcher(cacheDirectory: home + "/cache", logger: Logger(label: "test"))
        func fetch(_ requests: [FetchRequest]) async throws {
            try await fetcher.fetch(requests, into: place, owner: "test", scratch: home + "/scratch")
        }
        await #expect(throws: FetchError.self) { try await fetch([request(home + "/new", output: "link/secret")]) }
        try await fetch([request(home + "/new", output: "file")])
        #expect(Files.text(sandbox + "/file") == "new")
        #expect(Files.text(outside + "/secret") == "old")

        // An archive that writes through the link: its folder takes the link's place.
        try Files.makeDirectories(home + "/pack/link")
        try Files.write(home + "/pack/link/secret", Array("packed".utf8), mode: 0o600)
        var pid = pid_t()
        let words: [String] = ["tar", "-C", home + "/pack", "-czf", home + "/pack.tgz", "link"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for pointer in arguments { free(pointer) } }
        #expect(posix_spawnp(&pid, "tar", nil, nil, &arguments, nil) == 0)
        waitpid(pid, nil, 0)
        try await fetch([request(home + "/pack.tgz")])
        #expect(Files.text(sandbox + "/link/secret") == "packed")
        #expect(Files.text(outside + "/secret") == "old")
        #expect(Files.names(in: home + "/scratch").isEmpty)
    }

    @Test(.enabled(if: geteuid() == 0))
    func filesOfOthersStayTheirs() async throws {
        let home = "/tmp/apus-fetch-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(home, mode: 0o755)
        defer { try? Files.removeTree(home) }
        try Files.write(home + "/mine", Array("x".utf8), mode: 0o600)
        try Files.write(home + "/all", Array("x".utf8), mode: 0o644)
        let place = FetchPlace(directory: home, user: 65534, group: 65534)
        let fetcher = Fetcher(cacheDirectory: home + "/cache", logger: Logger(label: "test"))
        await #expect(throws: FetchError.self) {
            try await fetcher.fetch(
                [request(home + "/mine", output: "got")], into: place, owner: "test", scratch: home + "/s")
        }
        try await fetcher.fetch(
            [request(home + "/all", output: "got")], into: place, owner: "test", scratch: home + "/s")
        #expect(Files.status(home + "/got")?.st_uid == 65534)
    }
}
