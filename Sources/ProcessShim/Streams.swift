import CLinux
import Glibc

/// The ends of a program's standard streams that its supervisor holds.
struct Streams {
    private static let inputLimit = 256 << 10

    /// What the program gets as 0, 1 and 2.
    private(set) var programInput: Int32 = -1
    private(set) var programOutput: Int32 = -1
    private(set) var programError: Int32 = -1
    /// The terminal's path, for a program with one.
    private(set) var terminalPath: String?
    private var input: Int32 = -1
    private var output: Int32 = -1
    private var errorOutput: Int32 = -1
    private var terminal: Int32 = -1
    private var pending: [UInt8] = []
    private var inputEnds = false
    private var outputFiles: OutputFiles
    private var errorFiles: OutputFiles

    init(_ launch: Launch) throws {
        let folder = launch.sandbox.isEmpty ? -1 : open(launch.sandbox, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let owner = UInt32(truncatingIfNeeded: launch.identity.user)
        outputFiles = OutputFiles(
            stream: "stdout", sandbox: folder, owner: owner, rotationBytes: launch.rotationBytes)
        errorFiles = OutputFiles(
            stream: "stderr", sandbox: folder, owner: owner, rotationBytes: launch.rotationBytes)
        if launch.tty {
            var name = [CChar](repeating: 0, count: 128)
            terminal = clinux_open_terminal(&name, name.count)
            guard terminal >= 0 else { throw ShimError.system("open a terminal") }
            let path = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            _ = chown(path, owner, gid_t.max)
            terminalPath = path
            System.setNonblocking(terminal)
            output = terminal
            if launch.rows > 0 || launch.columns > 0 {
                resize(width: UInt16(clamping: launch.columns), height: UInt16(clamping: launch.rows))
            }
            input = launch.stdin ? terminal : -1
            // Held so that the terminal does not hang up before the program opens it.
            programOutput = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
            guard programOutput >= 0 else { throw ShimError.system("open \(path)") }
            return
        }
        (output, programOutput) = try System.makePipe()
        (errorOutput, programError) = try System.makePipe()
        if launch.stdin {
            (programInput, input) = try System.makePipe()
            System.setNonblocking(input)
        }
        // The program may open /dev/stdout anew.
        for descriptor in [programInput, programOutput, programError] where descriptor >= 0 && owner != 0 {
            _ = fchown(descriptor, owner, gid_t.max)
        }
    }

    mutating func closeProgramSides() {
        for descriptor in [programInput, programOutput, programError] where descriptor >= 0 { close(descriptor) }
        (programInput, programOutput, programError) = (-1, -1, -1)
    }

    // MARK: Polling

    var takesInput: Bool { pending.count < Self.inputLimit }
    var isDrained: Bool { output < 0 && errorOutput < 0 }

    func entries() -> [pollfd] {
        var result: [pollfd] = []
        for descriptor in [output, errorOutput] where descriptor >= 0 {
            result.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        }
        if input >= 0, !pending.isEmpty { result.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0)) }
        return result
    }

    /// - Returns: what was read.
    mutating func handle(_ entry: pollfd) -> (Frame.Kind, [UInt8])? {
        if entry.events & Int16(POLLOUT) != 0 {
            writeInput()
            return nil
        }
        guard entry.fd == output || entry.fd == errorOutput, entry.fd >= 0 else { return nil }
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = read(entry.fd, &chunk, chunk.count)
        if count > 0 { return (entry.fd == output ? .output : .errorOutput, Array(chunk[..<count])) }
        if count < 0, errno == EINTR || errno == EAGAIN { return nil }
        // End of file, or EIO from a terminal that nobody holds open any more.
        if entry.fd == output {
            if terminal >= 0 { input = -1 }
            output = -1
        } else {
            errorOutput = -1
        }
        close(entry.fd)
        return nil
    }

    // MARK: Input

    mutating func addInput(_ bytes: [UInt8]) {
        guard input >= 0, !inputEnds else { return }
        pending += bytes
        writeInput()
    }
    mutating func endInput() {
        inputEnds = true
        if pending.isEmpty { closeInput() }
    }
    private mutating func writeInput() {
        while !pending.isEmpty, input >= 0 {
            let count = write(input, pending, pending.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            guard count > 0 else {
                pending = []
                closeInput()
                return
            }
            pending.removeFirst(count)
        }
        if inputEnds { closeInput() }
    }
    private mutating func closeInput() {
        guard input >= 0 else { return }
        if terminal >= 0 {
            // A terminal says "end" by its end-of-file character.
            var end: UInt8 = 4
            _ = write(terminal, &end, 1)
        } else {
            close(input)
        }
        input = -1
    }

    func resize(width: UInt16, height: UInt16) {
        guard terminal >= 0, output == terminal else { return }
        var size = winsize(ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal, UInt(TIOCSWINSZ), &size)
    }

    // MARK: Output

    mutating func keep(_ kind: Frame.Kind, _ bytes: ArraySlice<UInt8>, log: Int32) {
        if kind == .output { outputFiles.write(bytes, log: log) } else { errorFiles.write(bytes, log: log) }
    }
    mutating func finish(log: Int32) {
        outputFiles.finish(log: log)
        errorFiles.finish(log: log)
    }
}
