import JSON
import Testing

@testable import MesosModel

@Suite struct ResourcesTests {
    private func read(_ text: String) throws -> Resources { try Resources(text: text) }

    @Test("Scalars are exact to thousandths")
    func scalars() throws {
        var sum = Resources()
        for _ in 0..<10 { sum += try read("cpus:0.1") }
        #expect(sum == (try read("cpus:1")))
        #expect(try read("cpus:0.0004").isEmpty)
        #expect((try read("cpus:1") - (try read("cpus:0.9"))).cpus == 0.1)
        #expect(MesosResource.json(thousandths: 1050).description == "1.05")
        #expect(MesosResource.json(thousandths: 2_000_000).description == "2000.0")
    }

    @Test("Ranges join and are cut")
    func ranges() throws {
        #expect(try read("ports:[1-3]") + read("ports:[4-5]") == read("ports:[1-5]"))
        let rest = try read("ports:[1-10]") - read("ports:[3-4,10-12]")
        #expect(rest.ports.text == "[1-2, 5-9]")
        #expect(try read("ports:[1-10]").contains(read("ports:[2-3,9-9]")))
        #expect(!(try read("ports:[1-3,5-9]").contains(read("ports:[3-5]"))))
        let edge = ValueRanges([.init(0, .max)]) - ValueRanges([.init(0, 0), .init(.max, .max)])
        #expect(edge.spans == [.init(1, .max - 1)])
    }

    @Test("Random unions and differences agree with sets of numbers")
    func rangeProperty() {
        var dice = Dice(3)
        func some() -> ValueRanges {
            ValueRanges(
                (0..<dice.roll(5)).map { _ in
                    let begin = UInt64(dice.roll(30))
                    return .init(begin, begin + UInt64(dice.roll(6)))
                })
        }
        func numbers(_ ranges: ValueRanges) -> Set<UInt64> { Set(ranges.prefix(1000)) }
        for _ in 0..<300 {
            let a = some(), b = some()
            #expect(numbers(a + b) == numbers(a).union(numbers(b)))
            #expect(numbers(a - b) == numbers(a).subtracting(numbers(b)))
            #expect(a.contains(b) == numbers(a).isSuperset(of: numbers(b)))
            #expect((a + b).count == numbers(a).union(numbers(b)).count)
        }
    }

    @Test("Reservations keep apart, are read in both forms and offered to those below")
    func reservations() throws {
        let pool = try read("cpus:4;cpus(eng):2;cpus(eng/a):1")
        #expect(pool.cpus == 7)
        #expect(pool.allocatable(to: "eng").cpus == 6)
        #expect(pool.allocatable(to: "eng/a").cpus == 7)
        #expect(pool.allocatable(to: "engine").cpus == 4)
        #expect(pool.unreserved.cpus == 4 && pool.reserved(for: "eng").cpus == 2)
        let old: JSON = [
            "name": "cpus", "type": "SCALAR", "scalar": ["value": 2], "role": "eng", "reservation": ["principal": "p"],
        ]
        let dynamic = try MesosResource(old)
        #expect(dynamic.reservations == [.init(isDynamic: true, role: "eng", principal: "p")])
        #expect(dynamic.tree["reservations"][0]["type"] == "DYNAMIC" && dynamic.tree["role"].isNull)
        #expect(try MesosResource(dynamic.tree(isRefined: false) ?? .null) == dynamic)
        let refined = Resources([dynamic]).pushing(.init(role: "eng/a"))
        #expect(refined.trees(isRefined: false).isEmpty && refined.trees(isRefined: true).count == 1)
        #expect(refined.poppingReservation == Resources([dynamic]))
    }

    @Test(
        "What is not valid is refused",
        arguments: [
            #"{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}"#,
            #"{"name":"cpus","type":"SCALAR","ranges":{}}"#, #"{"name":"","type":"SCALAR","scalar":{"value":1}}"#,
            #"{"name":"x","type":"TEXT"}"#,
            #"{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":3,"end":1}]}}"#,
            #"{"name":"c","type":"SCALAR","scalar":{"value":1},"role":"*","reservation":{}}"#,
            #"{"name":"c","type":"SCALAR","scalar":{"value":1},"role":"a//b"}"#,
            #"{"name":"c","type":"SCALAR","scalar":{"value":1},"reservations":[{"role":"a"},{"role":"b"}]}"#,
            #"{"name":"s","type":"SET","set":{"item":["a","a"]}}"#,
            #"{"name":"c","type":"SCALAR","scalar":{"value":1},"disk":{}}"#,
        ])
    func invalid(text: String) throws {
        let tree = try JSON.parse(text)
        #expect(throws: MesosError.self) { try MesosResource(tree) }
    }

    @Test("Legacy rendering has the four scalars always")
    func legacy() throws {
        #expect(
            try LegacyResources.json(read("cpus:4;mem:2048;ports:[31000-32000]").trees).description
                == #"{"cpus":4.0,"gpus":0.0,"mem":2048.0,"disk":0.0,"ports":"[31000-32000]"}"#)
    }

    private func volume(_ id: String, _ size: Double, shared: Bool = false) -> MesosResource {
        var volume = MesosResource("disk", size)
        volume.reservations = [.init(role: "r", principal: "p")]
        volume.disk = [
            "persistence": ["id": .string(id), "principal": "p"], "volume": ["container_path": "data", "mode": "RW"],
        ]
        volume.isShared = shared
        return volume
    }

    @Test("Volumes neither merge nor split; shared ones are counted")
    func volumes() throws {
        var pool = Resources([volume("a", 10), volume("b", 10)])
        #expect(pool.resources.count == 2)
        pool.subtract(volume("a", 5))
        #expect(pool.disk == 20)
        pool.subtract(volume("a", 10))
        #expect(pool.persistentVolumes.resources.map(\.persistenceID) == ["b"])
        let shared = Resources([volume("s", 1, shared: true), volume("s", 1, shared: true)])
        #expect(shared.resources.count == 2 && shared.disk == 1)
        #expect(Resources([volume("s", 1, shared: true)]).contains(shared))
    }

    @Test("Operations reserve, make, resize and remove volumes and give everything back")
    func operations() throws {
        let before = try read("disk:100;cpus:4").allocated(to: "r")
        var pool = before
        func apply(_ operation: JSON) throws { try pool.apply(try OperationEffect(of: operation, role: "r")) }
        var disk = MesosResource("disk", 50)
        disk.reservations = [.init(role: "r", principal: "p")]
        try apply(["type": "RESERVE", "reserve": ["resources": [disk.tree]]])
        try apply(["type": "CREATE", "create": ["volumes": [volume("v", 40).tree]]])
        disk.amount = .scalar(10_000)
        try apply(["type": "GROW_VOLUME", "grow_volume": ["volume": volume("v", 40).tree, "addition": disk.tree]])
        #expect(pool.persistentVolumes.disk == 50)
        try apply([
            "type": "SHRINK_VOLUME", "shrink_volume": ["volume": volume("v", 50).tree, "subtract": ["value": 20]],
        ])
        #expect(pool.persistentVolumes.disk == 30 && pool.disk == 100)
        #expect(throws: MesosError.self) {
            try apply(["type": "UNRESERVE", "unreserve": ["resources": [volume("v", 30).tree]]])
        }
        try apply(["type": "DESTROY", "destroy": ["volumes": [volume("v", 30).tree]]])
        disk.amount = .scalar(50_000)
        try apply(["type": "UNRESERVE", "unreserve": ["resources": [disk.tree]]])
        #expect(pool == before)
        #expect(throws: MesosError.self) {
            try apply([
                "type": "RESERVE",
                "reserve": ["resources": [["name": "cpus", "type": "SCALAR", "scalar": ["value": 1]]]],
            ])
        }
        let task: JSON = [
            "resources": [["name": "cpus", "type": "SCALAR", "scalar": ["value": 4]]], "task_id": ["value": "t"],
        ]
        try apply(["type": "LAUNCH", "launch": ["task_infos": [task]]])
        #expect(pool.cpus == 0)
        #expect(throws: MesosError.self) { try apply(["type": "LAUNCH", "launch": ["task_infos": [task]]]) }
    }
}
