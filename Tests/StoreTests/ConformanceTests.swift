import Testing

@testable import Store

/// What every backend must do alike.
@Suite struct ConformanceTests {
    @Test("a new store is at revision 1 and every write gets the next one", arguments: Backend.allCases)
    func revisions(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            #expect(try await store.currentRevision() == 1)
            #expect(try await store.create("/a", "1") == 2)
            #expect(try await store.update("/a", "2", 2) == 3)
            let value = try #require(try await store.get("/a"))
            #expect(value.text == "2" && value.modRevision == 3 && value.createRevision == 2)
            #expect(try await store.write(.delete(key: "/a", expected: 3)) == 4)
            #expect(try await store.get("/a") == nil)
            #expect(try await store.create("/a", "") == 5)
            #expect(try await store.get("/a")?.value == [])
            #expect(try await store.currentRevision() == 5)
        }
    }

    @Test("a guard that does not hold says what is there and costs no revision", arguments: Backend.allCases)
    func guards(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            let first = try await store.create("/a", "one")
            func current(_ write: StoreWrite) async -> (conflict: Bool, value: StoredValue?) {
                guard case .conflict(let value) = await storeError({ _ = try await store.write(write) }) else {
                    return (false, nil)
                }
                return (true, value)
            }
            let writes: [StoreWrite] = [
                .create(key: "/a", value: [1]), .update(key: "/a", value: [1], expected: first + 1),
                .update(key: "/a", value: [1], expected: 0), .delete(key: "/a", expected: 99),
            ]
            for write in writes {
                let result = await current(write)
                #expect(result.conflict && result.value?.text == "one" && result.value?.modRevision == first)
            }
            for write in [
                StoreWrite.update(key: "/b", value: [1], expected: first), .delete(key: "/b", expected: first),
            ] {
                let result = await current(write)
                #expect(result.conflict && result.value == nil)
            }
            #expect(try await store.currentRevision() == first)
        }
    }

    @Test("one of many concurrent updates with the same guard wins", arguments: Backend.allCases)
    func concurrentGuards(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            let first = try await store.create("/a")
            let wins = await withTaskGroup(of: Bool.self) { group in
                for index in 0..<32 {
                    group.addTask { (try? await store.update("/a", "\(index)", first)) != nil }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(wins == 1)
            #expect(try await store.currentRevision() == first + 1)
        }
    }

    @Test("listing is by prefix, in byte order, in pages", arguments: Backend.allCases)
    func listing(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            for key in ["/p/b", "/p/a/x", "/p/a", "/p0", "/q/a", "/p/é", "/p/Z", "/p"] {
                _ = try await store.create(key)
            }
            let all = ["/p/Z", "/p/a", "/p/a/x", "/p/b", "/p/é"]
            #expect(try await store.keys("/p/") == all)
            #expect(try await store.keys("/p/a") == ["/p/a", "/p/a/x"])
            #expect(try await store.keys("").count == 8)
            #expect(try await store.keys("/none/") == [])
            let page = try await store.list(prefix: "/p/", after: nil, limit: 2, revision: nil)
            #expect(page.values.map(\.key) == Array(all[..<2]) && page.hasMore && page.revision == 9)
            let rest = try await store.list(prefix: "/p/", after: "/p/a", limit: 3, revision: nil)
            #expect(rest.values.map(\.key) == Array(all[2...]) && !rest.hasMore)
            #expect(try await store.keys("/p/", after: "/a") == all)
            #expect(try await store.keys("/p/", after: "/z") == [])
        }
    }

    @Test("the past is listed as it was, in pages", arguments: Backend.allCases)
    func past(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            var expected: [UInt64: [String: String]] = [:]
            var now: [String: (text: String, revision: UInt64)] = [:]
            // A fixed walk over few keys, so that every key is created, changed, removed and made again.
            var seed: UInt64 = 7
            for step in 0..<120 {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1
                let key = "/k/\(seed >> 33 & 7)"
                let revision: UInt64
                if let old = now[key] {
                    if seed >> 40 & 3 == 0 {
                        revision = try await store.write(.delete(key: key, expected: old.revision))
                        now[key] = nil
                    } else {
                        revision = try await store.update(key, "v\(step)", old.revision)
                        now[key] = ("v\(step)", revision)
                    }
                } else {
                    revision = try await store.create(key, "v\(step)")
                    now[key] = ("v\(step)", revision)
                }
                expected[revision] = now.mapValues(\.text)
            }
            for (revision, state) in expected {
                var found: [String: String] = [:]
                var after: String?
                while true {
                    let page = try await store.list(prefix: "/k/", after: after, limit: 3, revision: revision)
                    #expect(page.revision == revision)
                    for value in page.values {
                        found[value.key] = value.text
                        #expect(value.createRevision <= value.modRevision && value.modRevision <= revision)
                    }
                    after = page.values.last?.key
                    if !page.hasMore { break }
                }
                #expect(found == state, "at \(revision)")
            }
        }
    }

    @Test("compaction ends the past up to its revision and keeps the present", arguments: Backend.allCases)
    func compaction(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            var revision = try await store.create("/a", "0")
            _ = try await store.create("/gone")
            for index in 1...20 { revision = try await store.update("/a", "\(index)", revision) }
            _ = try await store.write(.delete(key: "/gone", expected: 3))
            try await store.compact(to: 10)
            #expect(try await store.keys("/", at: 10) == ["/a", "/gone"])
            guard case .compacted(let oldest) = await storeError({ _ = try await store.keys("/", at: 9) }) else {
                Issue.record("revision 9 should be gone")
                return
            }
            #expect(oldest == 10)
            let old = try await store.watch(prefix: "/", after: 9)
            let ended = await storeError { for try await _ in old {} }
            guard case .compacted = ended else {
                Issue.record("a watch from the compacted past ended with \(String(describing: ended))")
                return
            }
            let watch = try await store.watch(prefix: "/", after: 10)
            #expect(try await take(14, from: watch).map(\.revision) == Array(11...24))
            try await store.compact(to: 1000)
            #expect(try await store.get("/a")?.text == "20")
            #expect(try await store.keys("/") == ["/a"])
            #expect(try await store.create("/b") == 25)
        }
    }

    @Test("the future cannot be listed or watched", arguments: Backend.allCases)
    func future(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            let revision = try await store.create("/a")
            for error in [
                await storeError { _ = try await store.keys("/", at: revision + 1) },
                await storeError { _ = try await store.watch(prefix: "/", after: revision + 1) },
            ] {
                guard case .futureRevision(let current) = error else {
                    Issue.record("got \(String(describing: error))")
                    continue
                }
                #expect(current == revision)
            }
        }
    }

    @Test("an event tells the value before and after", arguments: Backend.allCases)
    func events(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            let live = try await store.watch(prefix: "/a/", after: 1)
            let first = try await store.create("/a/1", "x")
            _ = try await store.create("/b/1", "other")
            let second = try await store.update("/a/1", "y", first)
            let third = try await store.write(.delete(key: "/a/1", expected: second))
            // From the ring, and live; both must tell the same.
            let later = try await store.watch(prefix: "/a/", after: 1)
            for watch in [live, later] {
                let events = try await take(3, from: watch)
                #expect(events.map(\.revision) == [first, second, third])
                #expect(events.map(\.previousRevision) == [0, first, second])
                #expect(events.map { $0.value.map { String(decoding: $0, as: UTF8.self) } } == ["x", "y", nil])
                #expect(events.map { $0.previous.map { String(decoding: $0, as: UTF8.self) } } == [nil, "x", "y"])
            }
        }
    }

    @Test(
        "watches begun at any moment under concurrent writes see each event once, in order", arguments: Backend.allCases
    )
    func gapFree(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            let writers = 16
            let writes = 25
            let last = UInt64(1 + writers * writes)
            try await withThrowingTaskGroup(of: [UInt64].self) { group in
                for writer in 0..<writers {
                    group.addTask {
                        var revision = try await store.create("/w/\(writer % 4)/\(writer)", "0")
                        var mine = [revision]
                        for index in 1..<writes {
                            revision = try await store.update("/w/\(writer % 4)/\(writer)", "\(index)", revision)
                            mine.append(revision)
                        }
                        return mine.sorted() == mine ? [] : mine
                    }
                    group.addTask {
                        // Begins somewhere in the middle, from the start, so it goes from history to live.
                        for _ in 0..<writer * 3 { await Task.yield() }
                        let watch = try await store.watch(prefix: "/w/", after: 1)
                        var seen: [UInt64] = []
                        for try await batch in watch {
                            seen += batch.map(\.revision)
                            if seen.last == last { break }
                        }
                        return seen == Array(2...last) ? [] : seen
                    }
                }
                for try await wrong in group { #expect(wrong.isEmpty, "not in order or not complete: \(wrong)") }
            }
            let one = try await store.watch(prefix: "/w/2/", after: 1)
            let events = try await take(writes * writers / 4, from: one)
            #expect(events.allSatisfy { $0.key.hasPrefix("/w/2/") })
            #expect(zip(events, events.dropFirst()).allSatisfy { $0.revision < $1.revision })
        }
    }

    @Test("a reader that falls too far behind is ended, not buffered", arguments: Backend.allCases)
    func slowReader(_ backend: Backend) async throws {
        try await withStore(backend, watcherEvents: 10) { store in
            let slow = try await store.watch(prefix: "/", after: 1)
            let other = try await store.watch(prefix: "/none/", after: 1)
            for index in 0..<20 { _ = try await store.create("/\(index)") }
            guard case .compacted = await storeError({ for try await _ in slow {} }) else {
                Issue.record("the slow reader was not ended")
                return
            }
            _ = try await store.create("/none/1")
            #expect(try await take(1, from: other).first?.key == "/none/1")
        }
    }

    @Test("a key whose time is over is removed as an ordinary write", arguments: Backend.allCases)
    func expiry(_ backend: Backend) async throws {
        let clock = TestClock()
        try await withStore(backend, clock: clock) { store in
            let kept = try await store.create("/e/kept", "k", expiresAfter: .seconds(10))
            _ = try await store.create("/e/short", "s", expiresAfter: .seconds(10))
            _ = try await store.create("/e/long", "l", expiresAfter: .seconds(100))
            let renewed = try await store.update("/e/kept", "k2", kept)
            try await store.expireNow()
            #expect(try await store.keys("/e/").count == 3)
            let watch = try await store.watch(prefix: "/e/", after: renewed)
            clock.advance(10_000)
            try await store.expireNow()
            #expect(try await store.keys("/e/") == ["/e/kept", "/e/long"])
            let event = try #require(try await take(1, from: watch).first)
            #expect(event.key == "/e/short" && event.value == nil && event.revision == renewed + 1)
            clock.advance(1_000_000)
            try await store.expireNow()
            #expect(try await store.keys("/e/") == ["/e/kept"])
        }
    }

    @Test("closing finishes waiting writes, refuses later ones and ends watches", arguments: Backend.allCases)
    func closing(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            let watch = try await store.watch(prefix: "/", after: 1)
            let written = await withTaskGroup(of: UInt64?.self, returning: [UInt64].self) { group in
                for index in 0..<50 { group.addTask { try? await store.create("/\(index)") } }
                group.addTask {
                    await store.close()
                    return nil
                }
                return await group.reduce(into: []) { if let revision = $1 { $0.append(revision) } }
            }
            await store.close()
            guard case .closed = await storeError({ _ = try await store.create("/late") }) else {
                Issue.record("a write after close was not refused")
                return
            }
            guard case .closed = await storeError({ _ = try await store.get("/0") }) else {
                Issue.record("a read after close was not refused")
                return
            }
            var seen: [UInt64] = []
            let ended = await storeError { for try await batch in watch { seen += batch.map(\.revision) } }
            guard case .closed = ended else {
                Issue.record("the watch ended with \(String(describing: ended))")
                return
            }
            #expect(seen == written.sorted())
        }
    }

    @Test("a cancelled reader returns", arguments: Backend.allCases)
    func cancellation(_ backend: Backend) async throws {
        try await withStore(backend) { store in
            let watch = try await store.watch(prefix: "/", after: 1)
            let reader = Task { for try await _ in watch {} }
            await Task.yield()
            reader.cancel()
            try await reader.value
        }
    }
}
