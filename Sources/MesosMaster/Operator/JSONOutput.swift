import HTTPWindow
import JSON

/// Writes a JSON document piece by piece, so that a list of 100,000 tasks is never in memory as a whole.
struct JSONOutput: ~Copyable {
    /// Where pieces go.
    typealias Sink = @Sendable ([UInt8]) async throws -> Void

    private let send: Sink
    private var buffer: [UInt8] = []
    /// Whether the open object or array has a member already.
    private var hasMember: [Bool] = []
    private var afterKey = false
    /// Bytes that are gathered before they are sent.
    private static let chunk = 64 << 10

    init(_ writer: WindowWriter) {
        self.init { try await writer.write($0) }
    }

    init(_ send: @escaping Sink) {
        self.send = send
        buffer.reserveCapacity(Self.chunk + 4096)
    }

    private mutating func separate() {
        if afterKey {
            afterKey = false
            return
        }
        guard let last = hasMember.indices.last else { return }
        if hasMember[last] { buffer.append(UInt8(ascii: ",")) }
        hasMember[last] = true
    }

    mutating func open(_ bracket: Unicode.Scalar) {
        separate()
        buffer.append(UInt8(ascii: bracket))
        hasMember.append(false)
    }

    mutating func close(_ bracket: Unicode.Scalar) {
        hasMember.removeLast()
        buffer.append(UInt8(ascii: bracket))
    }

    mutating func key(_ name: String) {
        separate()
        JSON.string(name).encode(into: &buffer)
        buffer.append(UInt8(ascii: ":"))
        afterKey = true
    }

    mutating func value(_ json: JSON) async throws {
        separate()
        json.encode(into: &buffer)
        try await flush(above: Self.chunk)
    }

    /// A value that is JSON already.
    mutating func encoded(_ bytes: [UInt8]) async throws {
        separate()
        buffer += bytes
        try await flush(above: Self.chunk)
    }

    mutating func members(_ json: JSON) async throws {
        for (name, value) in json.members {
            key(name)
            try await self.value(value)
        }
    }

    mutating func array(_ name: String, _ elements: some Sequence<JSON>) async throws {
        key(name)
        open("[")
        for element in elements { try await value(element) }
        close("]")
    }

    mutating func raw(_ text: String) { buffer += Array(text.utf8) }

    mutating func finish() async throws { try await flush(above: 0) }

    private mutating func flush(above limit: Int) async throws {
        guard buffer.count > limit else { return }
        try await send(buffer)
        buffer.removeAll(keepingCapacity: true)
    }
}
