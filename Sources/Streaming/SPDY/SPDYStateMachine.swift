/// Which end of the connection we are: clients open streams with odd numbers.
enum SPDYRole: Sendable {
    case client
    case server
}

/// What a connection knows about its streams. Frames and intentions go in, what to do comes out; no input or output here.
struct SPDYStateMachine: Sendable {
    private struct StreamState {
        var isLocalOpen = true
        var isRemoteOpen = true
    }

    /// What the driver does because of a frame.
    enum Action: Sendable, Hashable {
        /// A stream of the peer: hand it to whoever accepts streams, then tell `remoteClosed` when `isFinal`.
        case accept(id: UInt32, headers: SPDYHeaders, isFinal: Bool)
        case deliver(id: UInt32, [UInt8])
        /// The peer will send no more on this stream.
        case remoteClosed(id: UInt32)
        /// The stream is gone in both directions.
        case aborted(id: UInt32, status: UInt32)
        case send(SPDYFrame)
        /// The peer opens and accepts no more streams.
        case goAway
    }

    private let role: SPDYRole
    private let maximumStreams: Int
    private var streams: [UInt32: StreamState] = [:]
    private var lastLocal: UInt32
    private var lastRemote: UInt32 = 0
    private var hasGoneAway = false

    init(role: SPDYRole, maximumStreams: Int) {
        self.role = role
        self.maximumStreams = maximumStreams
        lastLocal = role == .client ? UInt32.max : 0
    }

    /// Number of streams that are open in some direction.
    var count: Int { streams.count }

    /// Takes the next number for a stream of ours.
    mutating func open() throws(StreamingError) -> UInt32 {
        guard !hasGoneAway else { throw StreamingError("the peer takes no more streams") }
        guard streams.count < maximumStreams else { throw StreamingError("too many streams on one connection") }
        let next = lastLocal &+ 2
        guard next < 0x8000_0000 else { throw StreamingError("the connection has used up its stream numbers") }
        lastLocal = next
        streams[next] = StreamState()
        return next
    }

    /// We have sent our last piece on this stream.
    mutating func closedLocally(_ id: UInt32) { update(id) { $0.isLocalOpen = false } }

    /// We have given up this stream. Returns whether the peer has to be told.
    mutating func abortedLocally(_ id: UInt32) -> Bool { streams.removeValue(forKey: id) != nil }

    /// - Throws: when the peer breaks the protocol so that the connection cannot go on.
    mutating func receive(_ frame: SPDYFrame) throws(StreamingError) -> [Action] {
        switch frame {
        case .synStream(let id, let headers, let isFinal):
            let isPeers = id % 2 == (role == .client ? 0 : 1)
            guard id != 0, isPeers, id > lastRemote else {
                throw StreamingError("SPDY stream \(id) has a number that the peer may not use")
            }
            lastRemote = id
            guard streams.count < maximumStreams else {
                return [.send(.reset(id: id, status: SPDYFrame.ResetStatus.refused))]
            }
            streams[id] = StreamState(isRemoteOpen: !isFinal)
            return [.accept(id: id, headers: headers, isFinal: isFinal)]
        case .synReply(let id, _, let isFinal), .headers(let id, _, let isFinal):
            guard isFinal, streams[id]?.isRemoteOpen == true else { return [] }
            update(id) { $0.isRemoteOpen = false }
            return [.remoteClosed(id: id)]
        case .data(let id, let bytes, let isFinal):
            guard let stream = streams[id] else {
                // Pieces that crossed our reset are dropped; telling each time would double the traffic.
                return isFinal ? [.send(.reset(id: id, status: SPDYFrame.ResetStatus.invalidStream))] : []
            }
            guard stream.isRemoteOpen else { return [] }
            var actions: [Action] = bytes.isEmpty ? [] : [.deliver(id: id, bytes)]
            if isFinal {
                update(id) { $0.isRemoteOpen = false }
                actions.append(.remoteClosed(id: id))
            }
            return actions
        case .reset(let id, let status):
            return streams.removeValue(forKey: id) == nil ? [] : [.aborted(id: id, status: status)]
        case .ping(let id):
            // The answer to a ping of ours carries our parity; we send none.
            return id % 2 == (role == .client ? 0 : 1) ? [.send(.ping(id: id))] : []
        case .goAway:
            hasGoneAway = true
            return [.goAway]
        case .ignored:
            return []
        }
    }

    private mutating func update(_ id: UInt32, _ change: (inout StreamState) -> Void) {
        guard var stream = streams[id] else { return }
        change(&stream)
        streams[id] = stream.isLocalOpen || stream.isRemoteOpen ? stream : nil
    }
}
