import JSON
import Logging
import ObjectModel
import Testing

@testable import NodeAgent

@Suite struct EvictionTests {
    private static func pod(_ name: String, request: String? = nil, priority: Int = 0, metadata: JSON = [:]) -> Pod {
        var resources: JSON = [:]
        if let request { resources["requests"] = ["memory": .string(request)] }
        var meta = metadata
        meta["name"] = .string(name)
        meta["uid"] = .string(name)
        return makePod(
            spec: ["priority": JSON(priority)], containers: [["name": "c", "image": "i", "resources": resources]],
            metadata: meta)
    }
    private static func usage(_ pod: Pod, memory: Int = 0, disk: Int = 0) -> PodUsage {
        PodUsage(pod: pod, containers: [.init(name: "c", memory: memory << 20, disk: disk << 20)])
    }

    @Test("Who is over its request goes first, then lower priority, then more use")
    func order() {
        let usages = [
            Self.usage(Self.pod("within", request: "1Gi"), memory: 900),
            Self.usage(Self.pod("important", priority: 10), memory: 500),
            Self.usage(Self.pod("small"), memory: 10),
            Self.usage(Self.pod("large"), memory: 100),
            Self.usage(Self.pod("critical", priority: 2_000_000_000), memory: 4000),
            Self.usage(
                Self.pod("static", metadata: ["annotations": ["kubernetes.io/config.source": "file"]]), memory: 4000),
        ]
        #expect(
            EvictionRanking.order(usages, for: .memory).map(\.pod.name) == ["large", "small", "important", "within"])
    }

    @Test("The message names the shortage and who is over its request")
    func message() {
        let usage = Self.usage(Self.pod("p", request: "1Mi"), memory: 3)
        #expect(
            EvictionRanking.message(usage, .memory, threshold: 100 << 20, available: 50 << 20)
                == "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
                + "Container c was using 3Mi, request is 1Mi, has larger consumption of memory. ")
    }

    @Test("Thresholds are read, and crossed below them")
    func thresholds() throws {
        #expect(EvictionThresholds(parsing: "memory.available<1Gi,nodefs.available<10%") != nil)
        for text in ["memory<1Gi", "memory.available>1Gi", "memory.available<x", "nodefs.available<101%"] {
            #expect(EvictionThresholds(parsing: text) == nil)
        }
        let some = try #require(EvictionThresholds(parsing: "memory.available<1Gi,nodefs.inodesFree<5%"))
        var reading = EvictionReading()
        reading.amounts[.memory] = .init(available: 1 << 30, capacity: 8 << 30)
        reading.amounts[.inodes] = .init(available: 49, capacity: 1000)
        reading.amounts[.disk] = .init(available: 0, capacity: 1000)
        #expect(reading.crossed(some) == [.inodes])
        #expect(some.reservedMemory(capacity: 8 << 30) == 1 << 30)
    }

    @Test("Under pressure the node takes who does not make it worse")
    func admission() {
        let best = Self.pod("best")
        let burst = Self.pod("burst", request: "1Mi")
        #expect(NodePressure().rejection(of: best) == nil)
        let memory = NodePressure(conditions: ["MemoryPressure"])
        #expect(
            memory.rejection(of: best)
                == WaitingReason(reason: "Evicted", message: "The node had condition: [MemoryPressure]. "))
        #expect(memory.rejection(of: burst) == nil)
        #expect(NodePressure(conditions: ["DiskPressure"]).rejection(of: burst) != nil)
        #expect(NodePressure(conditions: ["DiskPressure"]).rejection(of: Self.pod("c", priority: 2_000_000_000)) == nil)
    }

    @Test("Images unused for longest go first, and only as many as needed")
    func images() {
        func image(_ id: String, size: Int, seen: Int64, used: Int64? = nil) -> ImageCollector.Record {
            .init(
                id: id, size: size, firstSeen: Timestamp(seconds: seen), lastUsed: used.map { Timestamp(seconds: $0) })
        }
        let all = [
            image("recent", size: 5, seen: 0, used: 900), image("never", size: 5, seen: 10),
            image("old", size: 5, seen: 0, used: 100), image("new", size: 50, seen: 950),
        ]
        let now = Timestamp(seconds: 1000)
        #expect(ImageCollector.choose(all, bytes: 10, now: now).map(\.id) == ["never", "old"])
        #expect(ImageCollector.choose(all, bytes: 100, now: now).map(\.id) == ["never", "old", "recent"])
    }

    @Test("A resize is granted, put off or refused by what the node has")
    func resize() {
        let node = Allocation(milliCPU: 2000, memory: 1000)
        let other = Allocation(milliCPU: 1500, memory: 100)
        func reason(_ cpu: Int, _ memory: Int) -> String? {
            Resize.refusal(Allocation(milliCPU: cpu, memory: memory), others: [other], node: node)?.reason
        }
        #expect(reason(500, 900) == nil)
        #expect(reason(600, 100) == "Deferred")
        #expect(reason(100, 901) == "Deferred")
        #expect(reason(2001, 100) == "Infeasible")
    }

    @Test("A manifest becomes a pod of the node")
    func staticPod() throws {
        let manifest: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "a", "uid": "x"], "spec": ["containers": []],
        ]
        let pod = try StaticPod.pod(manifest, node: "n1", hash: "h")
        #expect(pod["metadata"]["name"].string == "a-n1" && pod["metadata"]["uid"].isNull)
        #expect(pod["spec"]["nodeName"].string == "n1" && Pod(Object(pod)).isStatic)
        var wrong = manifest
        wrong["spec"]["volumes"] = [["name": "s", "secret": ["secretName": "s"]]]
        #expect(throws: ConfigurationError.self) { try StaticPod.pod(wrong, node: "n1", hash: "h") }
        #expect(StaticPod.hash([1]) != StaticPod.hash([2]))
    }
}
