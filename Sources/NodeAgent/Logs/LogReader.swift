import Glibc
import ObjectModel
import Streaming

/// Reads one container's log as `kubectl logs` wants it: filtered, cut, followed. Pulled by its reader, so it holds no
/// more than one chunk.
actor LogReader {
    private static let chunkBytes = 65_536
    private static let longestLine = 1 << 20
    private let path: String
    private let options: LogOptions
    private let since: Timestamp?
    /// Whether more may still be written.
    private let isLive: @Sendable () async -> Bool
    private var file: Int32 = -1
    private var pending: [UInt8] = []
    private var left: Int
    private var isAtLineStart = true
    private var isFinished = false

    init(path: String, options: LogOptions, now: Timestamp, isLive: @escaping @Sendable () async -> Bool) {
        self.path = path
        self.options = options
        self.isLive = isLive
        left = options.limitBytes ?? .max
        if let seconds = options.sinceSeconds {
            since = now + .seconds(-seconds)
        } else {
            since = options.sinceTime.flatMap { Timestamp($0) }
        }
    }
    deinit { if file >= 0 { close(file) } }

    /// The stream that is handed to the client.
    nonisolated func stream() -> AsyncThrowingStream<[UInt8], any Error> {
        AsyncThrowingStream { try await self.next() }
    }

    /// The next piece of output; nil at the end.
    func next() async throws -> [UInt8]? {
        while !isFinished {
            try Task.checkCancellation()
            if file < 0 { try await openFile() }
            let bytes = try await readChunk()
            if bytes.isEmpty {
                if let output = try await atEnd() { return output }
                continue
            }
            pending.append(contentsOf: bytes)
            let output = drain()
            if !output.isEmpty { return output }
        }
        return nil
    }

    // MARK: File

    private func openFile() async throws {
        let (path, tail) = (self.path, options.tailLines)
        file = try await blocking {
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { throw FileError("open", path) }
            if let tail { lseek(file, Self.tailOffset(file, lines: tail), SEEK_SET) }
            return file
        }
    }
    private func readChunk() async throws -> [UInt8] {
        let (file, path) = (self.file, self.path)
        return try await blocking {
            var chunk = [UInt8](repeating: 0, count: Self.chunkBytes)
            let count = read(file, &chunk, chunk.count)
            guard count >= 0 else { throw FileError("read", path) }
            chunk.removeLast(chunk.count - count)
            return chunk
        }
    }

    /// Where the last lines begin, found by reading backwards.
    static func tailOffset(_ file: Int32, lines: Int) -> off_t {
        let size = lseek(file, 0, SEEK_END)
        guard lines > 0, size > 0 else { return size }
        var found = 0
        var end = size
        var block = [UInt8](repeating: 0, count: chunkBytes)
        while end > 0 {
            let start = max(end - off_t(chunkBytes), 0)
            let count = pread(file, &block, Int(end - start), start)
            guard count > 0 else { return 0 }
            var index = count - 1
            while index >= 0 {
                // The last byte of the file ends the last line, it does not begin one.
                if block[index] == 10, start + off_t(index) != size - 1 {
                    found += 1
                    if found == lines { return start + off_t(index) + 1 }
                }
                index -= 1
            }
            end = start
        }
        return 0
    }

    /// At the end of the file: nothing more, a rotated file, or wait for more.
    private func atEnd() async throws -> [UInt8]? {
        guard options.follow else {
            isFinished = true
            return flushRest()
        }
        // Asked before looking again, so that the last words of a program that ends now are not missed.
        let live = await isLive()
        let (file, path) = (self.file, self.path)
        let (isRotated, hasMore) = try await blocking {
            var own = stat()
            fstat(file, &own)
            let current = Files.status(path)
            let offset = lseek(file, 0, SEEK_CUR)
            return (current.map { $0.st_ino != own.st_ino } ?? false, own.st_size > offset)
        }
        if hasMore { return nil }
        if isRotated {
            close(self.file)
            self.file = try await blocking { open(path, O_RDONLY | O_CLOEXEC) }
            if self.file < 0 { isFinished = true }
            return nil
        }
        if !live {
            isFinished = true
            return flushRest()
        }
        try await Task.sleep(for: .milliseconds(100))
        return nil
    }
    private func flushRest() -> [UInt8]? {
        guard !pending.isEmpty else { return nil }
        pending.append(10)
        let output = drain()
        return output.isEmpty ? nil : output
    }

    // MARK: Lines

    private func drain() -> [UInt8] {
        var output: [UInt8] = []
        var start = pending.startIndex
        while let end = pending[start...].firstIndex(of: 10) {
            append(pending[start..<end], to: &output)
            start = pending.index(after: end)
            if isFinished { break }
        }
        pending.removeFirst(start)
        if pending.count > Self.longestLine { pending.removeAll() }
        return output
    }

    private func append(_ bytes: ArraySlice<UInt8>, to output: inout [UInt8]) {
        guard let line = LogLine(bytes) else { return }
        if options.stream == "Stdout", line.isError { return }
        if options.stream == "Stderr", !line.isError { return }
        if let since {
            guard let time = Timestamp(String(decoding: line.time, as: UTF8.self)), time >= since else { return }
        }
        let before = output.count
        if options.timestamps, isAtLineStart {
            output.append(contentsOf: line.time)
            output.append(UInt8(ascii: " "))
        }
        output.append(contentsOf: line.text)
        if !line.isPartial { output.append(10) }
        isAtLineStart = !line.isPartial
        left -= output.count - before
        if left <= 0 {
            output.removeLast(-left)
            isFinished = true
        }
    }
}
