import NIOCore
import Security
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// What requests of one TCP connection share.
final class Connection: Sendable {
    let remoteAddress: String
    let executor: LoopExecutor
    /// Who the client certificate names; nil without one.
    let certificateUser: UserInfo?
    /// The client showed a certificate that no authority of ours vouches for.
    let hasForeignCertificate: Bool

    /// The client's address without its port.
    var remoteHost: String {
        // NIO writes `[IPv4]127.0.0.1:5000` or `[IPv6]::1:5000`.
        let address = remoteAddress.split(separator: "]", maxSplits: 1).last ?? ""
        return String(address.lastIndex(of: ":").map { address[..<$0] } ?? address)
    }

    init(
        remoteAddress: String, executor: LoopExecutor, certificateUser: UserInfo?, hasForeignCertificate: Bool = false
    ) {
        self.remoteAddress = remoteAddress
        self.executor = executor
        self.certificateUser = certificateUser
        self.hasForeignCertificate = hasForeignCertificate
    }
}

/// All open connections and long-running requests, for limits and for stopping.
final class Connections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var longRunning: [UInt64: @Sendable () -> Void] = [:]
        var nextToken: UInt64 = 0
        var isDraining = false
    }
    private let state = Mutex(State())
    private let bodyBytes = Atomic<Int>(0)
    private let maximum: Int
    private let maximumBodyBytes: Int

    init(maximum: Int, maximumBodyBytes: Int) {
        self.maximum = maximum
        self.maximumBodyBytes = maximumBodyBytes
    }

    /// How many connections this process may hold without taking the descriptors that its store and its pods need.
    static var descriptorRoom: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 512 }
        let all = Int(clamping: limit.rlim_cur)
        return max(all - max(all / 8, 256), 16)
    }

    var count: Int { state.withLock { $0.channels.count } }
    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// False when there are too many already, or the server is stopping.
    func add(_ channel: any Channel) -> Bool {
        state.withLock { state in
            guard state.channels.count < maximum, !state.isDraining else { return false }
            state.channels[ObjectIdentifier(channel)] = channel
            return true
        }
    }
    func remove(_ channel: any Channel) {
        state.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
    }

    /// Registers what ends a watch or a stream when the server stops; called at once when it is stopping already.
    func addLongRunning(_ end: @escaping @Sendable () -> Void) -> UInt64 {
        let (token, isDraining) = state.withLock { state in
            state.nextToken += 1
            if !state.isDraining { state.longRunning[state.nextToken] = end }
            return (state.nextToken, state.isDraining)
        }
        if isDraining { end() }
        return token
    }
    func removeLongRunning(_ token: UInt64) {
        state.withLock { _ = $0.longRunning.removeValue(forKey: token) }
    }

    /// Asks every connection to finish what it does and close, and ends the long-running requests.
    func drain() {
        let (channels, ends) = state.withLock { state in
            state.isDraining = true
            let ends = Array(state.longRunning.values)
            state.longRunning.removeAll()
            return (Array(state.channels.values), ends)
        }
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        for end in ends { end() }
    }
    func closeAll() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }

    // MARK: Memory of request bodies

    func reserveBody(_ bytes: Int) -> Bool {
        guard bodyBytes.add(bytes, ordering: .relaxed).newValue <= maximumBodyBytes else {
            bodyBytes.subtract(bytes, ordering: .relaxed)
            return false
        }
        return true
    }
    func releaseBody(_ bytes: Int) {
        bodyBytes.subtract(bytes, ordering: .relaxed)
    }
}
