import JSON
import Testing

@testable import MesosModel

/// Random but repeatable.
struct Dice: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
    mutating func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &self) }
}

/// Makes trees of any message type.
struct MessageMaker {
    var dice: Dice
    let schema = MesosSchema.shared

    mutating func message(_ place: Int, depth: Int) -> JSON {
        var members = JSONObject()
        for field in schema.messages[place].fields {
            let isNeeded = field.label == .required
            guard isNeeded || (depth < 5 && dice.roll(depth + 2) == 0) else { continue }
            if field.label == .repeated {
                let values = (0...dice.roll(2)).map { _ in value(field.kind, depth: depth + 1) }
                members[field.name] = .array(values)
            } else {
                members[field.name] = value(field.kind, depth: depth + 1)
            }
        }
        return .object(members)
    }

    mutating func value(_ kind: MesosSchema.Kind, depth: Int) -> JSON {
        switch kind {
        case .string: return .string(["", "a", "grün \u{1F426}", "with \"quotes\"\n"][dice.roll(4)])
        case .bytes: return .string(["", "AA==", "aGVsbG8=", "/+8="][dice.roll(4)])
        case .bool: return .bool(dice.roll(2) == 0)
        case .double, .float:
            return MesosScalars.json([0, 0.5, -2, 1e300, .infinity][dice.roll(kind == .float ? 3 : 5)])
        case .int32: return .integer([0, -1, Int64(Int32.max), Int64(Int32.min)][dice.roll(4)])
        case .int64: return .integer([0, -1, .max, .min][dice.roll(4)])
        case .uint32: return .integer([0, 1, Int64(UInt32.max)][dice.roll(3)])
        case .uint64: return MesosScalars.json([0, 1, UInt64.max][dice.roll(3)])
        case .duration: return .string(["0s", "10s", "-1.5s", "3.000000001s"][dice.roll(4)])
        case .enumeration(let place):
            let values = schema.enums[place].values
            return .string(values[dice.roll(values.count)].name)
        case .message(let place): return message(place, depth: depth)
        case .map(let place):
            return [
                "k": value(schema.mapValues[place], depth: depth), "": value(schema.mapValues[place], depth: depth),
            ]
        }
    }
}

@Suite struct FuzzTests {
    @Test("Messages of every type are the same through JSON and protobuf")
    func roundTrips() throws {
        var maker = MessageMaker(dice: Dice(1))
        for name in MesosSchema.shared.messageNames {
            let place = try #require(MesosSchema.shared.place(of: name))
            for _ in 0..<4 {
                let tree = maker.message(place, depth: 0)
                let wire = try MesosCodec.encode(tree, as: name, format: .protobuf)
                #expect(try MesosCodec.decode(wire, as: name, format: .protobuf) == tree, "\(name)")
                let json = try MesosCodec.encode(tree, as: name, format: .json)
                let back = try MesosCodec.decode(json, as: name, format: .json)
                #expect(back == MesosCodec.withDefaults(tree, as: name), "\(name)")
            }
        }
    }

    @Test("Damaged messages are errors or other messages, never a crash", arguments: 1...4)
    func damage(seed: Int) throws {
        var maker = MessageMaker(dice: Dice(seed))
        let names = [
            "mesos.v1.scheduler.Call", "mesos.v1.scheduler.Event", "mesos.v1.master.Call", "mesos.v1.agent.Call",
            "mesos.v1.executor.Call",
        ]
        for round in 0..<300 {
            let name = names[round % names.count]
            let place = try #require(MesosSchema.shared.place(of: name))
            let tree = maker.message(place, depth: 0)
            for format in [MesosFormat.json, .protobuf] {
                var bytes = try MesosCodec.encode(tree, as: name, format: format)
                for _ in 0...maker.dice.roll(4) where !bytes.isEmpty {
                    let at = maker.dice.roll(bytes.count)
                    switch maker.dice.roll(4) {
                    case 0: bytes[at] = UInt8(truncatingIfNeeded: maker.dice.next())
                    case 1: bytes.remove(at: at)
                    case 2: bytes.insert(UInt8(truncatingIfNeeded: maker.dice.next()), at: at)
                    default: bytes.removeLast(bytes.count - at)
                    }
                }
                guard let read = try? MesosCodec.decode(bytes, as: name, format: format) else { continue }
                // What was accepted can be written.
                _ = try MesosCodec.encode(read, as: name, format: .protobuf)
            }
        }
    }

    @Test("Any bytes at all end in a message or an error")
    func noise() {
        var dice = Dice(99)
        for _ in 0..<3000 {
            let bytes = (0..<dice.roll(60)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
            _ = try? MesosCodec.decode(bytes, as: "mesos.v1.scheduler.Call", format: .protobuf)
            _ = try? MesosCodec.decode(bytes, as: "mesos.v1.scheduler.Call", format: .json)
        }
    }

    @Test("Records come out whole however the stream is cut", arguments: 1...5)
    func records(seed: Int) throws {
        var dice = Dice(seed)
        let messages = (0..<40).map { _ in (0...dice.roll(300)).map { _ in UInt8(truncatingIfNeeded: dice.next()) } }
        let stream = messages.flatMap { RecordWriter.frame($0) }
        var reader = RecordReader(maximumSize: 1000)
        var out: [[UInt8]] = []
        var position = 0
        while position < stream.count {
            let end = min(stream.count, position + 1 + dice.roll(50))
            out += try reader.read(stream[position..<end])
            position = end
        }
        try reader.finish()
        #expect(out == messages)
    }

    @Test(
        "What is no record is said, and stays said",
        arguments: ["x\n", "\n", "0\n", "-1\nx", "1001\n", "99999999999999999999999999\n", " 1\n", "1 \nx"])
    func badRecords(text: String) {
        var reader = RecordReader(maximumSize: 1000)
        #expect(throws: MesosError.self) { try reader.read(Array(text.utf8)) }
        #expect(throws: MesosError.self) { try reader.read(Array("1\nx".utf8)) }
    }

    @Test("A stream that ends inside a record is incomplete")
    func truncated() throws {
        var reader = RecordReader()
        #expect(try reader.read(Array("5\nabc".utf8)).isEmpty)
        #expect(throws: MesosError.self) { try reader.finish() }
    }
}
