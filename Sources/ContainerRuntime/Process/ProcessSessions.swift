import CLinux
import Glibc
import JSON
import NIOCore
import NIOPosix
import ProcessShim
public import Streaming
import Synchronization

extension ProcessRuntime {
    public func execSync(_ id: String, command: [String], timeout: Duration) async throws(RuntimeError) -> ExecResult {
        var options = ExecOptions()
        options.command = command
        (options.stdout, options.stderr) = (true, true)
        let session = try await enter(id, options)
        let limit = 16 << 20
        do {
            return try await withThrowingTaskGroup(of: ExecResult?.self) { group in
                group.addTask {
                    var (output, errors): ([UInt8], [UInt8]) = ([], [])
                    for try await part in session.output {
                        switch part {
                        case .standardOutput(let bytes): if output.count < limit { output += bytes }
                        case .standardError(let bytes): if errors.count < limit { errors += bytes }
                        }
                    }
                    switch try await session.exit() {
                    case .code(let code): return ExecResult(exitCode: code, output: output, errorOutput: errors)
                    case .failed(let message): throw RuntimeError(.other, operation: "ExecSync", message)
                    }
                }
                group.addTask {
                    try await Task.sleep(for: timeout)
                    return nil
                }
                let first = try await group.next() ?? nil
                group.cancelAll()
                await session.close()
                guard let first else {
                    throw RuntimeError(.timedOut, operation: "ExecSync", "command timed out after \(timeout)")
                }
                return first
            }
        } catch {
            await session.close()
            throw error as? RuntimeError ?? RuntimeError(.other, operation: "ExecSync", "\(error)")
        }
    }

    public func exec(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> any ProcessSession {
        try await enter(id, options)
    }

    private func enter(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> EntrySession {
        let container = try container(id, "Exec")
        guard container.state == .running, let started = container.started,
            let launch = state.withLock({ $0.launches[id] })
        else { throw RuntimeError(.notFound, operation: "Exec", "the container is not running") }
        var entry = Entry()
        entry.arguments = options.command
        entry.environment = launch.environment
        if options.tty, !entry.environment.contains(where: { $0.hasPrefix("TERM=") }) {
            entry.environment.append("TERM=xterm")
        }
        entry.workingDirectory = launch.workingDirectory
        entry.identity = launch.identity
        entry.program = started.program
        entry.cgroups = launch.cgroups
        entry.tty = options.tty
        let request = entry
        let number = entries.add(1, ordering: .relaxed).newValue
        let path = "\(directory(container))/entry-\(number).json"
        let ends = try await onThread("Exec") { [helper] in
            let ends = try EntryEnds(options)
            do {
                try HostFiles.write(path, request.json.encoded())
                try helper.send(Request(.enter, path: path), [ends.replyWriting] + ends.program)
            } catch {
                ends.closeAll()
                throw error
            }
            ends.closeProgramSides()
            return ends
        }
        do {
            return try await EntrySession.make(ends)
        } catch {
            throw RuntimeError(.other, operation: "Exec", "\(error)")
        }
    }

    public func attach(_ id: String, _ options: ExecOptions) async throws(RuntimeError) -> any ProcessSession {
        let container = try container(id, "Attach")
        guard container.state == .running else {
            throw RuntimeError(.notFound, operation: "Attach", "the container is not running")
        }
        let directory = directory(container)
        do {
            let descriptor = try await blocking { try ShimControl.connect(directory) }
            let connection = try await SocketConnection.adopting(descriptor: descriptor)
            let session = AttachSession(connection, options)
            try await connection.write(Frame(.attach).encoded)
            return session
        } catch {
            throw error as? RuntimeError ?? RuntimeError(.unavailable, operation: "Attach", "\(error)")
        }
    }

    public func connect(sandbox id: String, port: Int) async throws(RuntimeError) -> any ByteConnection {
        let sandbox = try sandbox(id, "connect")
        guard (1...65535).contains(port) else {
            throw RuntimeError(.invalidArgument, operation: "connect", "port \(port) is not between 1 and 65535")
        }
        guard sandbox.isReady else {
            throw RuntimeError(.notFound, operation: "connect", "the pod is not running")
        }
        do {
            let descriptor = try await NamespaceDialer.connect(
                namespace: sandbox.network.isEmpty ? nil : sandbox.network, port: UInt16(port))
            return try await SocketConnection.adopting(descriptor: descriptor)
        } catch {
            throw RuntimeError(operation: "connect", error)
        }
    }
}

/// Output that waits for a session's reader at most.
private let sessionBytes = 256 << 10

/// The descriptors of one command.
private struct EntryEnds: Sendable {
    /// 0, 1 and 2 of the command.
    var program: [Int32] = []
    var replyWriting: Int32 = -1
    var reply: Int32 = -1
    var input: Int32 = -1
    var output: Int32 = -1
    var errorOutput: Int32 = -1
    /// The master, for sizes; also in and out.
    var terminal: Int32 = -1

    init(_ options: ExecOptions) throws {
        (reply, replyWriting) = try Self.pipe()
        if options.tty {
            var name = [CChar](repeating: 0, count: 128)
            terminal = clinux_open_terminal(&name, name.count)
            let path = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let other = terminal >= 0 ? open(path, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1
            guard other >= 0 else { throw HostFiles.failure("open", "a terminal") }
            program = [other, other, other]
            output = fcntl(terminal, F_DUPFD_CLOEXEC, 3)
            input = fcntl(terminal, F_DUPFD_CLOEXEC, 3)
            return
        }
        var (readings, writings): ([Int32], [Int32]) = ([], [])
        for _ in 0..<2 {
            let two = try Self.pipe()
            readings.append(two.0)
            writings.append(two.1)
        }
        (output, errorOutput) = (readings[0], readings[1])
        if options.stdin {
            let two = try Self.pipe()
            input = two.1
            program = [two.0] + writings
        } else {
            program = [open("/dev/null", O_RDONLY | O_CLOEXEC)] + writings
        }
    }

    private static func pipe() throws -> (Int32, Int32) {
        var two: [Int32] = [-1, -1]
        guard clinux_pipe(&two) == 0 else { throw HostFiles.failure("make", "a pipe") }
        return (two[0], two[1])
    }
    func closeProgramSides() {
        for descriptor in Set(program + [replyWriting]) where descriptor >= 0 { close(descriptor) }
    }
    func closeAll() {
        closeProgramSides()
        for descriptor in [reply, input, output, errorOutput, terminal] where descriptor >= 0 { close(descriptor) }
    }
}

/// A command that runs beside a program.
private final class EntrySession: ProcessSession {
    private typealias Reader = NIOAsyncChannel<ByteBuffer, ByteBuffer>
    private struct State {
        var pid = 0
        var terminal: Int32
        var input: (any Channel)?
        var isOver = false
        var isClosed = false
    }
    private final class Shared: Sendable {
        let state: Mutex<State>
        init(_ state: sending State) { self.state = Mutex(state) }

        /// Ends the command's session, now or when it turns out who that is.
        func end() {
            let pid = state.withLock { state in
                state.isClosed = true
                return state.isOver ? 0 : state.pid
            }
            if pid > 0 { Self.kill(pid) }
        }
        func began(_ pid: Int) {
            let isClosed = state.withLock { state in
                state.pid = pid
                return state.isClosed
            }
            if isClosed { Self.kill(pid) }
        }
        private static func kill(_ pid: Int) {
            let number = pid_t(truncatingIfNeeded: pid)
            if Glibc.kill(-number, SIGKILL) != 0 { Glibc.kill(number, SIGKILL) }
        }
        deinit {
            let terminal = state.withLock { $0.terminal }
            if terminal >= 0 { Glibc.close(terminal) }
        }
    }
    private let shared: Shared
    private let parts = BoundedQueue<ProcessOutput>(limit: sessionBytes)
    private let ended: Task<ProcessExit, any Error>
    private let channels: [any Channel]

    static func make(_ ends: EntryEnds) async throws -> EntrySession {
        let reply = try await reader(ends.reply)
        let output = try await reader(ends.output)
        let errors = ends.errorOutput >= 0 ? try await reader(ends.errorOutput) : nil
        var input: (any Channel)?
        if ends.input >= 0 {
            input = try await NIOPipeBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .takingOwnershipOfDescriptor(output: ends.input).get()
        }
        return EntrySession(reply, output, errors, input, terminal: ends.terminal)
    }

    private static func reader(_ descriptor: Int32) async throws -> Reader {
        try await NIOPipeBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .takingOwnershipOfDescriptor(input: descriptor) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Reader(wrappingChannelSynchronously: channel)
                }
            }
    }

    private init(_ reply: Reader, _ output: Reader, _ errors: Reader?, _ input: (any Channel)?, terminal: Int32) {
        channels = [reply.channel, output.channel] + (errors.map { [$0.channel] } ?? [])
        let shared = Shared(State(terminal: terminal, input: input))
        self.shared = shared
        ended = Task {
            defer { shared.state.withLock { $0.isOver = true } }
            var text: [UInt8] = []
            var failure: String?
            do {
                return try await reply.executeThenClose { inbound, _ in
                    for try await buffer in inbound {
                        text += buffer.readableBytesView
                        while let end = text.firstIndex(of: 10) {
                            let line = String(decoding: text[..<end], as: UTF8.self)
                            text.removeSubrange(...end)
                            switch Reply(line) {
                            case .started(_, let pid): shared.began(pid)
                            case .exited(let code): return failure.map { .failed($0) } ?? .code(code)
                            case .failed(let message): failure = message
                            case nil: break
                            }
                        }
                    }
                    return .failed(failure ?? "the command was lost")
                }
            } catch {
                return .failed(failure ?? "\(error)")
            }
        }
        // Lives as long as the command's streams, or until nobody wants them.
        Task { [parts] in
            await withDiscardingTaskGroup { group in
                group.addTask {
                    await Self.copy(output) { await parts.send(.standardOutput($0), cost: $0.count) }
                }
                if let errors {
                    group.addTask { await Self.copy(errors) { await parts.send(.standardError($0), cost: $0.count) } }
                }
            }
            parts.finish()
        }
    }

    private static func copy(_ reader: Reader, _ sink: @escaping @Sendable ([UInt8]) async -> Bool) async {
        // A terminal ends with an input/output error when its last user is gone.
        try? await reader.executeThenClose { inbound, _ in
            for try await buffer in inbound {
                if !(await sink(Array(buffer.readableBytesView))) { return }
            }
        }
    }

    var output: AsyncThrowingStream<ProcessOutput, any Error> { parts.stream }

    func write(_ bytes: [UInt8]) async throws {
        guard let input = shared.state.withLock({ $0.input }) else { return }
        try await input.writeAndFlush(ByteBuffer(bytes: bytes))
    }
    func closeInput() async throws {
        let (input, terminal) = shared.state.withLock { state in
            defer { state.input = nil }
            return (state.input, state.terminal)
        }
        guard let input else { return }
        if terminal >= 0 { try? await input.writeAndFlush(ByteBuffer(bytes: [4])) }
        try? await input.close()
    }
    func resize(width: UInt16, height: UInt16) async throws {
        shared.state.withLock { state in
            guard state.terminal >= 0 else { return }
            var size = winsize(ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0)
            _ = ioctl(state.terminal, UInt(TIOCSWINSZ), &size)
        }
    }
    func exit() async throws -> ProcessExit { try await ended.value }

    /// Ends the command, with all of its session.
    func close() async {
        let input = shared.state.withLock { state in
            defer { state.input = nil }
            return state.input
        }
        parts.abandon()
        shared.end()
        try? await input?.close()
        for channel in channels.dropFirst() { channel.close(promise: nil) }
    }
}

/// A client of a supervisor: the program's output from now on, and its input.
private final class AttachSession: ProcessSession {
    private let connection: SocketConnection
    private let parts = BoundedQueue<ProcessOutput>(limit: sessionBytes)
    private let ended: Task<ProcessExit, Never>

    init(_ connection: SocketConnection, _ options: ExecOptions) {
        self.connection = connection
        ended = Task { [parts] in
            var bytes: [UInt8] = []
            var isBroken = false
            defer { parts.finish() }
            do {
                for try await chunk in connection.input {
                    bytes += chunk
                    while let frame = Frame.take(&bytes, isBroken: &isBroken) {
                        switch frame.kind {
                        case .output where options.stdout:
                            await parts.send(.standardOutput(frame.payload), cost: frame.payload.count)
                        case .errorOutput where options.stderr:
                            await parts.send(.standardError(frame.payload), cost: frame.payload.count)
                        case .exit: return .code(Int(Frame.number(frame.payload)))
                        default: break
                        }
                    }
                    if isBroken { return .failed("the supervisor sent something else than frames") }
                }
                return .failed("the connection to the program ended")
            } catch {
                return .failed("\(error)")
            }
        }
    }

    var output: AsyncThrowingStream<ProcessOutput, any Error> { parts.stream }
    func write(_ bytes: [UInt8]) async throws {
        guard !bytes.isEmpty else { return }
        var rest = bytes[...]
        while !rest.isEmpty {
            try await connection.write(Frame(.input, Array(rest.prefix(65_536))).encoded)
            rest = rest.dropFirst(65_536)
        }
    }
    func closeInput() async throws { try await connection.write(Frame(.input).encoded) }
    func resize(width: UInt16, height: UInt16) async throws {
        let number = UInt32(width) << 16 | UInt32(height)
        try await connection.write(Frame(.resize, Frame.bytes(number)).encoded)
    }
    func exit() async throws -> ProcessExit { await ended.value }
    func close() async {
        parts.abandon()
        ended.cancel()
        await connection.close()
    }
}
