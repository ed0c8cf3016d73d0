import Glibc

/// The supervisor's Unix socket and those who are connected to it: `Frame`s both ways.
struct ControlSocket {
    private static let clientLimit = 64
    /// A client that reads slower than the program writes is let go when this much waits for it.
    private static let outputLimit = 4 << 20

    private struct Client {
        var descriptor: Int32
        var incoming: [UInt8] = []
        var outgoing: [UInt8] = []
        var isAttached = false
        /// It takes nothing any more: its end comes when all of its words are read.
        var isDeaf = false
    }
    private let listener: Int32
    private var clients: [Int: Client] = [:]
    private var lastClient = 0
    /// An attached client went away.
    var lostInput = false

    /// Listens in the working directory.
    init() throws {
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
        guard listener >= 0 else { throw ShimError.system("make a socket") }
        unlink(ShimFile.control)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            path.copyBytes(from: Array(ShimFile.control.utf8) + [0])
        }
        let old = umask(0o177)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        umask(old)
        guard result == 0, listen(listener, 16) == 0 else { throw ShimError.system("listen for the agent") }
    }

    func entries(takesInput: Bool) -> [pollfd] {
        var result = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
        for client in clients.values {
            var events: Int16 = 0
            if takesInput || !client.isAttached { events |= Int16(POLLIN) }
            if !client.outgoing.isEmpty { events |= Int16(POLLOUT) }
            result.append(pollfd(fd: client.descriptor, events: events, revents: 0))
        }
        return result
    }

    /// - Returns: the frames that came, with their sender.
    mutating func handle(_ entry: pollfd) -> [(client: Int, frame: Frame)] {
        if entry.fd == listener {
            accept()
            return []
        }
        guard let id = clients.first(where: { $0.value.descriptor == entry.fd })?.key else { return [] }
        if entry.revents & Int16(POLLOUT) != 0 { flush(id) }
        guard entry.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0, clients[id] != nil else { return [] }
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = read(entry.fd, &chunk, chunk.count)
        if count < 0, errno == EINTR || errno == EAGAIN { return [] }
        guard count > 0 else {
            drop(id)
            return []
        }
        clients[id]?.incoming += chunk[..<count]
        var frames: [(Int, Frame)] = []
        var isBroken = false
        while var bytes = clients[id]?.incoming, let frame = Frame.take(&bytes, isBroken: &isBroken) {
            clients[id]?.incoming = bytes
            frames.append((id, frame))
        }
        if isBroken { drop(id) }
        return frames
    }

    private mutating func accept() {
        while true {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            guard clients.count < Self.clientLimit else {
                close(descriptor)
                continue
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            System.setNonblocking(descriptor)
            lastClient += 1
            clients[lastClient] = Client(descriptor: descriptor)
        }
    }

    mutating func attach(_ id: Int) { clients[id]?.isAttached = true }

    mutating func broadcast(_ frame: Frame) {
        for (id, client) in clients where client.isAttached { send(frame, to: id) }
    }
    mutating func send(_ frame: Frame, to id: Int) {
        guard clients[id]?.isDeaf == false else { return }
        clients[id]?.outgoing += frame.encoded
        flush(id)
        if let waiting = clients[id]?.outgoing.count, waiting > Self.outputLimit { drop(id) }
    }
    private mutating func flush(_ id: Int) {
        guard let client = clients[id] else { return }
        var sent = 0
        while sent < client.outgoing.count {
            let count = client.outgoing.withUnsafeBytes { bytes in
                write(client.descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { break }
            guard count > 0 else {
                // It has left, but what it said before may not have been read yet.
                clients[id]?.isDeaf = true
                clients[id]?.outgoing = []
                return
            }
            sent += count
        }
        clients[id]?.outgoing.removeFirst(sent)
    }
    private mutating func drop(_ id: Int) {
        guard let client = clients.removeValue(forKey: id) else { return }
        if client.isAttached { lostInput = true }
        close(client.descriptor)
    }

    /// Gives clients a last moment to read what waits for them.
    mutating func flush(milliseconds: Int) {
        let end = System.uptime() + Int64(milliseconds) * 1_000_000
        while System.uptime() < end {
            var waiting = clients.values.filter { !$0.outgoing.isEmpty }.map {
                pollfd(fd: $0.descriptor, events: Int16(POLLOUT), revents: 0)
            }
            if waiting.isEmpty { return }
            guard poll(&waiting, nfds_t(waiting.count), 100) >= 0 else { continue }
            for id in clients.keys { flush(id) }
        }
    }
}
