import NIOCore
import Testing

@testable import Streaming

@Suite struct SPDYCodecTests {
    private static let frames: [SPDYFrame] = [
        .synStream(id: 1, headers: ["streamType": "error", "port": "80", "requestID": "0"], isFinal: false),
        .synStream(id: 3, headers: ["streamType": "data", "port": "80", "requestID": "0"], isFinal: true),
        .synReply(id: 1, headers: SPDYHeaders(), isFinal: false),
        .data(id: 3, [0, 255, 10, 13], isFinal: false),
        .data(id: 3, [], isFinal: true),
        .headers(id: 1, headers: ["x": ""], isFinal: true),
        .reset(id: 3, status: 5),
        .ping(id: 2),
        .goAway(lastStream: 3, status: 0),
    ]

    private func encode(_ frames: [SPDYFrame]) -> [UInt8] {
        let encoder = SPDYEncoder()
        var buffer = ByteBuffer()
        for frame in frames { encoder.encode(frame, into: &buffer) }
        return Array(buffer.readableBytesView)
    }

    @Test func dictionaryIsTheOneOfTheDraft() {
        // The identifier that zlib streams with this dictionary carry: its Adler-32.
        var a: UInt32 = 1
        var b: UInt32 = 0
        for byte in SPDYDictionary.bytes {
            a = (a + UInt32(byte)) % 65521
            b = (b + a) % 65521
        }
        #expect(SPDYDictionary.bytes.count == 1423)
        #expect(b << 16 | a == 0xE3C6_A7C2)
    }

    @Test func headerBlockStartsLikeEverySPDY3Stream() {
        let bytes = encode([Self.frames[0]])
        #expect(bytes[..<4] == [0x80, 3, 0, 1])
        #expect(bytes[18..<24] == [0x78, 0xBB, 0xE3, 0xC6, 0xA7, 0xC2])
    }

    @Test(arguments: [1, 2, 7, 4096])
    func readsWhatItWritesInPiecesOfAnySize(size: Int) throws {
        let bytes = encode(Self.frames)
        var decoder = SPDYDecoder()
        var read: [SPDYFrame] = []
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + size)
            read += try decoder.decode(ByteBuffer(bytes: bytes[start..<end]))
            start = end
        }
        // Data may come in pieces: put those of one stream together again.
        var joined: [SPDYFrame] = []
        for frame in read {
            if case .data(let id, let more, let isFinal) = frame, case .data(id, let bytes, false)? = joined.last,
                !more.isEmpty
            {
                joined[joined.count - 1] = .data(id: id, bytes + more, isFinal: isFinal)
            } else {
                joined.append(frame)
            }
        }
        #expect(joined == Self.frames)
    }

    @Test func unknownFramesAndVersions() throws {
        var decoder = SPDYDecoder()
        // SETTINGS with one entry, WINDOW_UPDATE.
        let settings: [UInt8] = [0x80, 3, 0, 4, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 7, 0, 1, 0, 0]
        let window: [UInt8] = [0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 255, 255]
        #expect(try decoder.decode(ByteBuffer(bytes: settings + window)) == [.ignored(type: 4), .ignored(type: 9)])
        #expect(throws: StreamingError.self) { try decode([0x80, 2, 0, 1, 0, 0, 0, 0]) }
        #expect(throws: StreamingError.self) { try decode([0x80, 3, 0, 1, 0, 0xFF, 0xFF, 0xFF]) }
        #expect(throws: StreamingError.self) { try decode([0x80, 3, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1]) }
    }

    private func decode(_ bytes: [UInt8]) throws -> [SPDYFrame] {
        var decoder = SPDYDecoder()
        return try decoder.decode(ByteBuffer(bytes: bytes))
    }

    @Test func largeHeaderBlocksAreRefused() {
        // Compresses to a few hundred bytes.
        let bomb: SPDYHeaders = ["x": String(repeating: "a", count: 200_000)]
        let bytes = encode([.synStream(id: 1, headers: bomb, isFinal: false)])
        #expect(bytes.count < 2000)
        #expect(throws: StreamingError.self) { try decode(bytes) }
    }

    @Test func noInputCrashesTheDecoder() {
        var random = SplitMix(seed: 7)
        let valid = encode(Self.frames)
        for round in 0..<3000 {
            var bytes = valid
            if round % 3 == 0 {
                bytes = (0..<Int.random(in: 0..<200, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            } else {
                for _ in 0..<Int.random(in: 1..<6, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
            }
            var decoder = SPDYDecoder()
            var machine = SPDYStateMachine(role: .server, maximumStreams: 4)
            guard let frames = try? decoder.decode(ByteBuffer(bytes: bytes)) else { continue }
            for frame in frames {
                guard (try? machine.receive(frame)) != nil else { break }
                #expect(machine.count <= 4)
            }
        }
    }
}

/// A small reproducible generator.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct SPDYStateMachineTests {
    @Test func streamLife() throws {
        var server = SPDYStateMachine(role: .server, maximumStreams: 2)
        #expect(
            try server.receive(.synStream(id: 1, headers: ["a": "b"], isFinal: false))
                == [.accept(id: 1, headers: ["a": "b"], isFinal: false)])
        #expect(try server.receive(.data(id: 1, [1], isFinal: false)) == [.deliver(id: 1, [1])])
        #expect(try server.receive(.data(id: 1, [2], isFinal: true)) == [.deliver(id: 1, [2]), .remoteClosed(id: 1)])
        #expect(server.count == 1)
        server.closedLocally(1)
        #expect(server.count == 0)
        // Our answers to pings go back, numbers must grow and belong to the client.
        #expect(try server.receive(.ping(id: 1)) == [.send(.ping(id: 1))])
        #expect(try server.receive(.ping(id: 2)).isEmpty)
        #expect(throws: StreamingError.self) { try server.receive(.synStream(id: 1, headers: [:], isFinal: false)) }
        #expect(throws: StreamingError.self) { try server.receive(.synStream(id: 4, headers: [:], isFinal: false)) }
    }

    @Test func tooManyStreamsAreRefused() throws {
        var server = SPDYStateMachine(role: .server, maximumStreams: 1)
        _ = try server.receive(.synStream(id: 1, headers: [:], isFinal: false))
        #expect(
            try server.receive(.synStream(id: 3, headers: [:], isFinal: false))
                == [.send(.reset(id: 3, status: SPDYFrame.ResetStatus.refused))])
    }

    @Test func clientNumbersAreOdd() throws {
        var client = SPDYStateMachine(role: .client, maximumStreams: 3)
        #expect(try client.open() == 1)
        #expect(try client.open() == 3)
        let isFirst = client.abortedLocally(1)
        let isSecond = client.abortedLocally(1)
        #expect(isFirst && !isSecond)
        _ = try client.receive(.goAway(lastStream: 0, status: 0))
        #expect(throws: StreamingError.self) { try client.open() }
    }
}
