import JSON
import ObjectModel
import Testing

@testable import Schema

/// Random values of a kind, from the same tables.
private struct Values {
    private let plan = ProtobufPlan.builtin
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    /// SplitMix64.
    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    private mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func members(_ place: Int, depth: Int) -> JSONObject {
        var members: JSONObject = [:]
        let message = plan.messages[place]
        for name in message.fields.keys.sorted() where below(depth > 3 ? 4 : 2) == 0 || depth == 0 {
            guard let field = message.fields[name] else { continue }
            if depth > 6, field.value.typeIndex != nil || isSchema(field.value) { continue }
            members[name] =
                field.isDuration
                ? .string("\(1 + below(50))s")
                : field.keepsZero && below(4) == 0 ? zero(field.value) : value(field.value, depth: depth)
        }
        for group in message.groups {
            for (name, value) in self.members(group.place, depth: depth + 1) { members[name] = value }
        }
        return members
    }

    private func isSchema(_ value: SchemaValue) -> Bool {
        switch value {
        case .schemaOrArray, .schemaOrBool: true
        case .list(let element), .map(let element): isSchema(element)
        default: false
        }
    }

    private func zero(_ value: SchemaValue) -> JSON {
        switch value {
        case .bool: false
        case .string: ""
        default: 0
        }
    }

    private mutating func text() -> String {
        let texts = ["a", "längeres Wort", "x/y:z", "\u{1F426}", String(repeating: "lang ", count: 60), "1"]
        return texts[below(texts.count)]
    }

    private mutating func value(_ value: SchemaValue, depth: Int) -> JSON {
        switch value {
        case .string: return .string(text())
        case .bool: return true
        case .int32: return .integer([1, -1, 300, Int64(Int32.max), Int64(Int32.min)][below(5)])
        case .int64: return .integer([1, -1, 127, 128, .max, .min][below(6)])
        case .double: return below(2) == 0 ? .number(JSONNumber(text: "0.25")) : 7
        case .bytes: return .string(["AA==", "AAE=", "AAEC", "/+8A"][below(4)])
        case .quantity: return .string(["1500m", "1Gi", "0", "12"][below(4)])
        case .time: return .string(["2026-01-02T03:04:05Z", "1969-12-31T23:59:59Z"][below(2)])
        case .microTime: return .string(["2026-01-02T03:04:05.000006Z", "1969-12-31T23:59:59.999999Z"][below(2)])
        case .intOrString: return [.string("http"), 8080, -1, "50%"][below(4)]
        case .raw, .fields: return ["f:a": [".": [:]], "n": [1, nil, "x"]]
        case .json: return [.string("x"), 5, [1, 2], ["a": true]][below(4)]
        case .any: return .null
        case .schemaOrArray:
            let schema = JSON.object(members(plan.schemaProps, depth: depth + 3))
            return below(2) == 0 ? schema : [schema, [:]]
        case .schemaOrBool:
            return below(2) == 0 ? .bool(below(2) == 0) : .object(members(plan.schemaProps, depth: depth + 3))
        case .schemaOrStrings: return ["a", "b"]
        case .object(let place): return .object(members(place, depth: depth + 1))
        case .list(let element): return .array((0...below(2)).map { _ in self.value(element, depth: depth) })
        case .map(let element):
            var entries: JSONObject = [:]
            for key in ["", "k", "längerer/Schlüssel"].prefix(1 + below(3)) {
                entries[key] = self.value(element, depth: depth)
            }
            return .object(entries)
        }
    }
}

@Suite struct ProtobufTests {
    private static var roots: [GroupVersionKind] {
        ProtobufPlan.builtin.schema.types.flatMap(\.kinds).filter { !$0.hasPrefix("*") }
            .map { GroupVersionKind(table: $0[...]) }
    }

    @Test("Every kind comes back from protobuf as it went in", arguments: [1, 2, 3, 4] as [UInt64])
    func roundTrip(seed: UInt64) throws {
        var values = Values(seed: seed)
        #expect(Self.roots.count > 130)
        for kind in Self.roots {
            let place = try #require(ProtobufPlan.builtin.schema.place(of: kind))
            var tree = JSON.object(values.members(place, depth: 0))
            tree["apiVersion"] = .string(kind.apiVersion)
            tree["kind"] = .string(kind.kind)
            let document = try #require(Protobuf.document(tree))
            let back = try Protobuf.decode(document, expecting: .pod)
            #expect(back == tree, "\(kind)")
        }
    }

    @Test func everyMemberOfTheTablesHasANumber() {
        let plan = ProtobufPlan.builtin
        func reaches(_ place: Int, _ name: String) -> Bool {
            let message = plan.messages[place]
            return message.fields[name] != nil || message.groups.contains { reaches($0.place, name) }
        }
        for (place, type) in plan.schema.types.enumerated() {
            for field in type.fields where !["apiVersion", "kind"].contains(field.name) || field.protoNumber > 0 {
                #expect(reaches(place, field.name), "\(type.alias).\(field.name)")
            }
        }
    }

    @Test func aDocumentStandsInItsEnvelope() throws {
        let tree = try json(
            #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","creationTimestamp":null},"spec":{"containers":[{"name":"c"}]}}"#
        )
        let expected: [UInt8] =
            [0x6B, 0x38, 0x73, 0x00, 0x0A, 0x09, 0x0A, 0x02, 0x76, 0x31, 0x12, 0x03, 0x50, 0x6F, 0x64]
            + [0x12, 0x0C, 0x0A, 0x03, 0x0A, 0x01, 0x61, 0x12, 0x05, 0x12, 0x03, 0x0A, 0x01, 0x63]
            + [0x1A, 0x00, 0x22, 0x00]
        #expect(Protobuf.document(tree) == expected)
    }

    @Test func zerosCountWhereGoHoldsPointers() throws {
        let tree = try json(
            #"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4","#
                + #""endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":false}}],"ports":[{"name":"","port":80}]}"#
        )
        let document = try #require(Protobuf.document(tree))
        #expect(try Protobuf.decode(document, expecting: .pod) == tree)
    }

    @Test func listsAndMetadataAreMadeOfMessages() throws {
        let pod = try json(
            #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"x":"y"}},"status":{"phase":"Running"}}"#
        )
        let message = try #require(Protobuf.message(pod, kind: .pod))
        let header = Protobuf.itemHeader(messageBytes: message.count)
        let kind = GroupVersionKind(group: "", version: "v1", kind: "PodList")
        let list =
            Protobuf.listOpening(
                kind, metadata: ["resourceVersion": "5"], itemsBytes: 2 * (header.count + message.count))
            + header + message + header + message + Protobuf.trailer
        let back = try Protobuf.decode(list, expecting: .pod)
        #expect(back["kind"] == "PodList" && back["metadata"]["resourceVersion"] == "5")
        #expect(back["items"].elements.count == 2 && back["items"][1]["status"]["phase"] == "Running")
        #expect(Protobuf.metadataMessage(ofWhole: message) == Protobuf.metadataMessage(pod["metadata"]))
    }

    @Test("Damaged documents are refused, never trusted")
    func damage() throws {
        var values = Values(seed: 9)
        let place = try #require(ProtobufPlan.builtin.schema.place(of: .pod))
        var tree = JSON.object(values.members(place, depth: 0))
        tree["apiVersion"] = "v1"
        tree["kind"] = "Pod"
        let document = try #require(Protobuf.document(tree))
        for index in stride(from: 4, to: min(document.count, 4000), by: 3) {
            var damaged = document
            damaged[index] ^= 0xFF
            _ = try? Protobuf.decode(damaged, expecting: .pod)
            _ = try? Protobuf.decode(Array(document[..<index]), expecting: .pod)
        }
    }
}
