import Glibc
import JSON
import ObjectModel
import Streaming
import Testing

@testable import NodeAgent

/// A directory of one test.
private func withDirectory(_ body: (String) async throws -> Void) async throws {
    let path = "/tmp/apus-node-test-\(UInt64.random(in: 0 ... .max))"
    try Files.makeDirectories(path)
    defer { try? Files.removeTree(path) }
    try await body(path)
}

@Suite struct AtomicWriterTests {
    @Test("Names are links through ..data; a change swaps all at once, the same contents change nothing")
    func swaps() async throws {
        try await withDirectory { directory in
            let writer = AtomicWriter(directory: directory)
            let files = ["a": ProjectedFile([1], mode: 0o400), "d/b": ProjectedFile([2], mode: 0o644)]
            let isNew = try writer.write(files)
            #expect(isNew)
            #expect(Files.link(directory + "/a") == "..data/a")
            let nested = try Files.read(directory + "/d/b")
            #expect(nested == [2])
            #expect(Files.status(directory + "/a")?.st_mode == S_IFREG | 0o400)
            let first = Files.link(directory + "/..data")
            let isChanged = try writer.write(files)
            #expect(!isChanged)
            #expect(Files.link(directory + "/..data") == first)
            try writer.write(["c": ProjectedFile([3], mode: 0o644)])
            #expect(!Files.exists(directory + "/a"))
            #expect(!Files.exists("\(directory)/\(first ?? "")"))
            let other = try Files.read(directory + "/c")
            #expect(other == [3])
        }
    }

    @Test("Paths that lead out are refused", arguments: ["../x", "/x", "a/../../x", "..data"])
    func escapes(path: String) async throws {
        try await withDirectory { directory in
            #expect(throws: ConfigurationError.self) {
                try AtomicWriter(directory: directory).write([path: ProjectedFile([], mode: 0o644)])
            }
        }
    }

    @Test("A group may read what it is given")
    func group() async throws {
        try await withDirectory { directory in
            try AtomicWriter(directory: directory, group: 1234).write(["a": ProjectedFile([1], mode: 0o400)])
            let entry = Files.status(directory + "/a")
            #expect(entry?.st_gid == 1234)
            #expect(entry.map { $0.st_mode & 0o777 } == 0o440)
        }
    }
}

@Suite struct LogTests {
    private let text = """
        2026-01-01T00:00:01.000000001Z stdout F one
        2026-01-01T00:00:02.000000002Z stderr F two
        2026-01-01T00:00:03.000000003Z stdout P thr
        2026-01-01T00:00:03.000000004Z stdout F ee
        garbage
        2026-01-01T00:00:04.000000005Z stdout F \n
        """

    private func read(_ change: (inout LogOptions) -> Void) async throws -> String {
        var result = ""
        try await withDirectory { directory in
            try Files.write(directory + "/0.log", Array(text.utf8), mode: 0o600)
            var options = LogOptions()
            change(&options)
            let reader = LogReader(path: directory + "/0.log", options: options, now: t0) { false }
            for try await chunk in reader.stream() { result += String(decoding: chunk, as: UTF8.self) }
        }
        return result
    }

    @Test("Lines are joined, garbage left out")
    func plain() async throws {
        #expect(try await read { _ in } == "one\ntwo\nthree\n\n")
    }
    @Test func tail() async throws {
        #expect(try await read { $0.tailLines = 1 } == "\n")
        #expect(try await read { $0.tailLines = 0 } == "")
        #expect(try await read { $0.tailLines = 100 } == "one\ntwo\nthree\n\n")
    }
    @Test func streams() async throws {
        #expect(try await read { $0.stream = "Stderr" } == "two\n")
    }
    @Test func timestamps() async throws {
        #expect(
            try await read {
                $0.timestamps = true
                $0.sinceTime = "2026-01-01T00:00:03Z"
            } == "2026-01-01T00:00:03.000000003Z three\n2026-01-01T00:00:04.000000005Z \n")
    }
    @Test func limit() async throws {
        #expect(try await read { $0.limitBytes = 5 } == "one\nt")
    }

    @Test("Following reads on through a rotation and ends with the container")
    func follow() async throws {
        try await withDirectory { directory in
            let path = directory + "/0.log"
            try Files.write(path, Array("2026-01-01T00:00:01Z stdout F one\n".utf8), mode: 0o600)
            let live = Flag()
            var options = LogOptions()
            options.follow = true
            let reader = LogReader(path: path, options: options, now: t0) { await live.value }
            #expect(try await reader.next() == Array("one\n".utf8))
            #expect(rename(path, path + ".old") == 0)
            try Files.write(path, Array("2026-01-01T00:00:02Z stdout F two\n".utf8), mode: 0o600)
            #expect(try await reader.next() == Array("two\n".utf8))
            await live.clear()
            #expect(try await reader.next() == nil)
        }
    }
    private actor Flag {
        var value = true
        func clear() { value = false }
    }

    @Test("A log that grew is renamed and only so many old ones stay")
    func rotation() async throws {
        try await withDirectory { directory in
            var files = LogFiles(root: directory)
            files.maximumBytes = 10
            files.maximumFiles = 3
            let path = directory + "/0.log"
            for index in 0..<4 {
                try Files.write("\(path).2026010100000\(index)", [], mode: 0o600)
            }
            try Files.write(path, Array("0123456789".utf8), mode: 0o600)
            let didRotate = try files.rotate(path)
            #expect(didRotate)
            #expect(Files.names(in: directory).count == 2)
            let again = try files.rotate(path)
            #expect(!again)
        }
    }
}
