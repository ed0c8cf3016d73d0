/// A live exec or attach session, whatever carries it: the runtime's side below, a WebSocket or SPDY client above.
///
/// The session ends when the program ended (exec), when the container ended (attach) or when `close` is called.
public protocol ProcessSession: Sendable {
    /// What the program writes, in order, until the session ends; at most a few chunks are buffered (back-pressure).
    var output: AsyncThrowingStream<ProcessOutput, any Error> { get }

    /// Writes to standard input; returns when the bytes are accepted.
    func write(_ bytes: [UInt8]) async throws
    /// Closes standard input; the program reads end-of-file.
    func closeInput() async throws
    /// Tells the terminal's size.
    func resize(width: UInt16, height: UInt16) async throws
    /// How it ended: waits for that.
    func exit() async throws -> ProcessExit
    /// Gives up; safe to call at any time.
    func close() async
}

/// A piece of output.
public enum ProcessOutput: Sendable {
    case standardOutput([UInt8])
    case standardError([UInt8])
}

/// How a session ended.
public enum ProcessExit: Sendable, Hashable {
    /// The program's exit code.
    case code(Int)
    /// The runtime could not run it, or lost it; in its words.
    case failed(String)
}

/// A two-way byte connection, for example to a port inside a pod.
public protocol ByteConnection: Sendable {
    /// What the peer sends; ends when the peer closes its side.
    var input: AsyncThrowingStream<[UInt8], any Error> { get }
    func write(_ bytes: [UInt8]) async throws
    /// Closes our sending side.
    func closeOutput() async throws
    func close() async
}
