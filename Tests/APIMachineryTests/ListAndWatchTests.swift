import ClusterClient
import JSON
import ObjectModel
import Security
import Store
import Testing

@testable import APIMachinery

@Suite struct ListTests {
    private func filled(_ count: Int) async throws -> Cluster {
        let cluster = try await Cluster()
        for index in 0..<count {
            let name = "c\(index < 10 ? "0" : "")\(index)"
            try await cluster.create(
                .configMaps, Fixture.configMap(name, labels: ["parity": index % 2 == 0 ? "even" : "odd"]))
        }
        return cluster
    }

    private func options(_ change: (inout ListOptions) -> Void) -> ListOptions {
        var options = ListOptions()
        change(&options)
        return options
    }

    @Test("Pages show one moment, whatever is written between them")
    func consistentPages() async throws {
        let cluster = try await filled(10)
        var page = try await cluster.list(.configMaps, options { $0.limit = 3 })
        let revision = page.resourceVersion
        #expect(page.remainingItemCount == 7)
        var names = page.items.map(\.name)
        try await cluster.delete(.configMaps, "c05")
        try await cluster.create(.configMaps, Fixture.configMap("c04x"))
        let changed = try await cluster.patch(.configMaps, "c06", ["data": ["k": "new"]])
        while let token = page.continueToken {
            page = try await cluster.list(
                .configMaps,
                options {
                    $0.limit = 3; $0.continueToken = token
                })
            #expect(page.resourceVersion == revision)
            names += page.items.map(\.name)
            #expect(!page.items.contains { $0.metadata.resourceVersion >= changed.metadata.resourceVersion })
        }
        #expect(names == (0..<10).map { "c0\($0)" })
    }

    @Test("A token whose past is gone gets 410 and a token to go on with")
    func expiredPages() async throws {
        let store = MemoryStore()
        let cluster = try await Cluster(store: store) { $0.rememberedEvents = 4 }
        for index in 0..<6 { try await cluster.create(.configMaps, Fixture.configMap("c\(index)")) }
        let page = try await cluster.list(.configMaps, options { $0.limit = 2 })
        for index in 0..<6 { try await cluster.patch(.configMaps, "c\(index)", ["data": ["k": "v"]]) }
        let middle = try await cluster.list(
            .configMaps,
            options {
                $0.limit = 2; $0.continueToken = page.continueToken
            })
        #expect(middle.items.map(\.name) == ["c2", "c3"])  // Out of the ring, but the store still knows.
        try await store.compact(to: try await store.currentRevision())
        var fresh: String?
        do {
            _ = try await cluster.list(
                .configMaps,
                options {
                    $0.limit = 2; $0.continueToken = page.continueToken
                })
        } catch let error as StatusError {
            #expect(error.code == 410 && error.reason == .expired)
            fresh = error.continueToken
        }
        let rest = try await cluster.list(.configMaps, options { $0.continueToken = fresh })
        #expect(rest.items.map(\.name) == ["c2", "c3", "c4", "c5"])
        #expect(rest.resourceVersion > page.resourceVersion)
    }

    @Test("A token of a list that began long ago gets 410, whatever changed since")
    func oldPages() async throws {
        let cluster = try await Cluster()
        for index in 0..<3 { try await cluster.create(.configMaps, Fixture.configMap("c\(index)")) }
        let page = try await cluster.list(.configMaps, options { $0.limit = 1 })
        var token = try ContinueToken(try #require(page.continueToken))
        token.firstPage = try #require(token.firstPage) + .seconds(-301)
        let error = await #expect(throws: StatusError.self) {
            _ = try await cluster.list(.configMaps, options { $0.continueToken = token.text })
        }
        #expect(error?.code == 410)
        let rest = try await cluster.list(.configMaps, options { $0.continueToken = error?.continueToken })
        #expect(rest.items.map(\.name) == ["c1", "c2"])
    }

    @Test("Label and field selectors")
    func selectors() async throws {
        let cluster = try await filled(6)
        func names(_ labels: String, _ fields: String = "") async throws -> [String] {
            let list = options {
                $0.labelSelector = (try? LabelSelector(parsing: labels)) ?? LabelSelector()
                $0.fieldSelector = (try? FieldSelector(parsing: fields)) ?? FieldSelector()
            }
            return try await cluster.list(.configMaps, list).items.map(\.name)
        }
        #expect(try await names("parity=odd") == ["c01", "c03", "c05"])
        #expect(try await names("parity!=odd") == ["c00", "c02", "c04"])
        #expect(try await names("parity in (odd,even)").count == 6)
        #expect(try await names("!parity") == [])
        #expect(try await names("parity", "metadata.name=c03") == ["c03"])
        #expect(await message { try await names("", "spec.foo=x") } == "400 field label not supported: spec.foo")
        try await cluster.patch(.configMaps, "c01", ["metadata": ["labels": ["parity": "even"]]])
        #expect(try await names("parity=odd") == ["c03", "c05"])
    }

    @Test("Pods are found by node", arguments: ["n1", "n2"])
    func byNode(node: String) async throws {
        let cluster = try await Cluster()
        for index in 0..<6 {
            try await cluster.create(.pods, Fixture.pod("p\(index)", spec: ["nodeName": index % 2 == 0 ? "n1" : "n2"]))
        }
        let list = try await cluster.list(
            .pods,
            options { $0.fieldSelector = FieldSelector([.init(field: "spec.nodeName", value: node, isEqual: true)]) })
        #expect(list.items.map(\.name) == (node == "n1" ? ["p0", "p2", "p4"] : ["p1", "p3", "p5"]))
    }

    @Test("Revisions in lists: exact, not older than, and impossible combinations")
    func revisions() async throws {
        let cluster = try await filled(2)
        let then = try await cluster.list(.configMaps).resourceVersion
        try await cluster.create(.configMaps, Fixture.configMap("late"))
        let exact = try await cluster.list(
            .configMaps,
            options {
                $0.resourceVersion = String(then); $0.resourceVersionMatch = "Exact"
            })
        #expect(exact.items.map(\.name) == ["c00", "c01"] && exact.resourceVersion == then)
        let newer = try await cluster.list(.configMaps, options { $0.resourceVersion = String(then) })
        #expect(newer.items.count == 3)
        let any = options {
            $0.resourceVersion = "0"; $0.resourceVersionMatch = "Exact"
        }
        #expect(await message { try await cluster.list(.configMaps, any) }.hasPrefix("422 ListOptions"))
        let unset = options { $0.resourceVersionMatch = "Exact" }
        let text = await message { try await cluster.list(.configMaps, unset) }
        #expect(text.contains("resourceVersionMatch is forbidden unless resourceVersion is provided"))
    }
}

@Suite struct WatchTests {
    private func query(_ labels: String = "", from revision: Revision? = nil) throws -> WatchQuery {
        var query = WatchQuery()
        query.labelSelector = try LabelSelector(parsing: labels)
        if let revision { query.resourceVersion = String(revision) }
        return query
    }

    /// Reads so many events as `KIND name`.
    private func read(_ count: Int, _ subscription: WatchSubscription) async throws -> [String] {
        var seen: [String] = []
        for try await batch in subscription.events {
            seen += batch.map { "\($0.kind.rawValue) \($0.object.name)" }
            if seen.count >= count { break }
        }
        return seen
    }

    @Test("A watch without a revision begins with what is there")
    func synthetic() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.configMaps, Fixture.configMap("a"))
        let watch = try await cluster.watch(.configMaps, namespace: "default", try query())
        try await cluster.create(.configMaps, Fixture.configMap("b"))
        #expect(try await read(2, watch) == ["ADDED a", "ADDED b"])
    }

    @Test("A watch from a revision tells exactly what came after it")
    func fromRevision() async throws {
        let cluster = try await Cluster()
        let first = try await cluster.create(.configMaps, Fixture.configMap("a"))
        try await cluster.patch(.configMaps, "a", ["data": ["k": "v"]])
        let gone = try await cluster.delete(.configMaps, "a")
        let watch = try await cluster.watch(.configMaps, try query(from: first.metadata.resourceVersion))
        var events: [WatchEvent] = []
        for try await batch in watch.events {
            events += batch
            if events.count >= 2 { break }
        }
        #expect(events.map(\.kind) == [.modified, .deleted])
        let last = try #require(events.last?.object)
        #expect(last.tree["data"]["k"].string == "v")
        #expect(last.metadata.resourceVersion > events[0].object.metadata.resourceVersion)
        #expect(last.metadata.resourceVersion == gone.object.metadata.resourceVersion)
        #expect(
            try JSON.parse(last.bytes)["metadata"]["resourceVersion"].string == String(last.metadata.resourceVersion))
    }

    @Test("Leaving the selector is a DELETED with the old content under the new revision; entering is an ADDED")
    func selectorLeave() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.configMaps, Fixture.configMap("a", labels: ["on": "yes"]))
        let watch = try await cluster.watch(.configMaps, try query("on=yes"))
        let left = try await cluster.patch(.configMaps, "a", ["metadata": ["labels": ["on": "no"]]])
        try await cluster.patch(.configMaps, "a", ["metadata": ["labels": ["on": "yes"]]])
        var events: [WatchEvent] = []
        for try await batch in watch.events {
            events += batch
            if events.count >= 3 { break }
        }
        #expect(events.map(\.kind) == [.added, .deleted, .added])
        #expect(events[1].object.metadata.labels == ["on": "yes"])
        #expect(events[1].object.metadata.resourceVersion == left.metadata.resourceVersion)
    }

    @Test("Watches that ask the same, or something else, each see their own, and ending one leaves the others")
    func neighbours() async throws {
        let cluster = try await Cluster()
        let one = try await cluster.watch(.configMaps, namespace: "default", try query("on=yes"))
        let same = try await cluster.watch(.configMaps, namespace: "default", try query("on=yes"))
        let everywhere = try await cluster.watch(.configMaps, try query("on=yes"))
        let other = try await cluster.watch(.configMaps, namespace: "default", try query("on=no"))
        try await cluster.create(.configMaps, Fixture.configMap("a", labels: ["on": "yes"]))
        one.cancel()
        try await cluster.create(.configMaps, Fixture.configMap("b", labels: ["on": "no"]))
        try await cluster.create(.configMaps, Fixture.configMap("c", labels: ["on": "yes"]))
        #expect(try await read(2, same) == ["ADDED a", "ADDED c"])
        #expect(try await read(2, everywhere) == ["ADDED a", "ADDED c"])
        #expect(try await read(1, other) == ["ADDED b"])
        #expect(try await read(2, one) == ["ADDED a"])
    }

    @Test("A past that is not remembered is 410")
    func tooOld() async throws {
        let cluster = try await Cluster { $0.rememberedEvents = 4 }
        let first = try await cluster.create(.configMaps, Fixture.configMap("a"))
        for index in 0..<8 { try await cluster.patch(.configMaps, "a", ["data": ["k": .string("\(index)")]]) }
        let text = await message {
            try await cluster.watch(.configMaps, try query(from: first.metadata.resourceVersion))
        }
        #expect(text.hasPrefix("410 too old resource version: \(first.metadata.resourceVersion) ("))
    }

    @Test("A reader that does not read is cut off with 410, and the others see everything")
    func slowReader() async throws {
        let cluster = try await Cluster { $0.watcherBuffer = 8 }
        let slow = try await cluster.watch(.configMaps, try query())
        for index in 0..<40 { try await cluster.create(.configMaps, Fixture.configMap("c\(index)")) }
        let text = await message { for try await _ in slow.events {} }
        #expect(text.hasPrefix("410 "))
    }

    @Test("A streaming list ends its initial events with a bookmark")
    func streamingList() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.configMaps, Fixture.configMap("a"))
        var query = WatchQuery()
        query.sendInitialEvents = true
        query.allowBookmarks = true
        let text = await message { [query] in try await cluster.watch(.configMaps, query) }
        #expect(text.hasPrefix("422 "))
        query.resourceVersionMatch = "NotOlderThan"
        var iterator = try await cluster.watch(.configMaps, query).events.makeAsyncIterator()
        let batch = try #require(try await iterator.next())
        #expect(batch.map(\.kind) == [.added, .bookmark])
        #expect(batch[1].object.tree["metadata"]["annotations"]["k8s.io/initial-events-end"].string == "true")
    }

    @Test("A watch on one object or one node hears only of that")
    func narrow() async throws {
        let cluster = try await Cluster()
        var one = WatchQuery()
        one.fieldSelector = FieldSelector([.init(field: "metadata.name", value: "b", isEqual: true)])
        var node = WatchQuery()
        node.fieldSelector = FieldSelector([.init(field: "spec.nodeName", value: "n1", isEqual: true)])
        let single = try await cluster.watch(.pods, namespace: "default", one)
        let onNode = try await cluster.watch(.pods, node)
        for name in ["a", "b", "c"] { try await cluster.create(.pods, Fixture.pod(name)) }
        _ = try await cluster.post(.pods, "a", "binding", ["target": ["kind": "Node", "name": "n1"]])
        try await cluster.delete(.pods, "b")
        try await cluster.delete(.pods, "a", DeleteOptions(gracePeriodSeconds: 0))
        #expect(try await read(2, single) == ["ADDED b", "DELETED b"])
        #expect(try await read(2, onNode) == ["ADDED a", "DELETED a"])
    }

    @Test("A component in the process gets single events and the very objects of the cache")
    func localTransport() async throws {
        let cluster = try await Cluster()
        let transport = LocalTransport(machinery: cluster.machinery)
        let client = ClusterClient(transport: transport, component: "test")
        let made = try await client.create(.configMaps, Fixture.configMap("a"))
        var options = ListOptions()
        options.resourceVersion = String(made.metadata.resourceVersion)
        let stream = try await client.watch(.configMaps, options: options)
        let changed = try await client.patch(.configMaps, made.key, .merge, ["data": ["k": "v"]])
        for try await event in stream {
            #expect(event.object === changed)
            break
        }
    }
}
