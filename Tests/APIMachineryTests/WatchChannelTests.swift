import ClusterClient
import JSON
import ObjectModel
import Synchronization
import Testing

@testable import APIMachinery

@Suite struct WatchChannelTests {
    /// Notes who is told together.
    final class Lane: WatchLane {
        let told = Mutex<[[Int]]>([])
        func tell(_ readers: [any WatchReader]) {
            told.withLock { $0.append(readers.compactMap { ($0 as? Reader)?.number }.sorted()) }
        }
        func news() -> [[Int]] {
            told.withLock { told in
                defer { told = [] }
                return told
            }
        }
    }
    final class Reader: WatchReader {
        let number: Int
        let home: Lane
        var lane: any WatchLane { home }
        init(_ number: Int, _ home: Lane) {
            self.number = number
            self.home = home
        }
        func hasNews() {}
    }

    private func event(_ name: String) -> WatchEvent {
        WatchEvent(.added, Object(["kind": "ConfigMap", "apiVersion": "v1", "metadata": ["name": .string(name)]]))
    }

    private func names(_ taken: WatchChannel.Taken) -> String {
        switch taken {
        case .events(let events): events.map(\.object.name).joined(separator: " ")
        case .nothing: "nothing"
        case .ended: "ended"
        case .failed(let error): "\(error.code)"
        }
    }

    private func isFirst(_ appended: WatchChannel.Appended) -> Bool {
        if case .first = appended { true } else { false }
    }

    @Test("Readers of a lane are told together, once, and only while they wait")
    func lanes() {
        let (east, west) = (Lane(), Lane())
        let readers = [Reader(0, east), Reader(1, west), Reader(2, east)]
        let channels = readers.map { _ in WatchChannel(capacity: 10) }
        for (channel, reader) in zip(channels, readers) { #expect(names(channel.take(for: reader)) == "nothing") }
        for channel in channels {
            #expect(isFirst(channel.append(event("a"))))
            #expect(!isFirst(channel.append(event("b"))))
        }
        WatchChannel.wake(channels)
        #expect(east.news() == [[0, 2]] && west.news() == [[1]])
        // Nobody took yet: they know already.
        for channel in channels { #expect(isFirst(channel.append(event("c")))) }
        WatchChannel.wake(channels)
        #expect(east.news() == [] && west.news() == [])
        #expect(names(channels[0].take(for: readers[0])) == "a b c")
        // Reader 0 waits again, 2 rests.
        _ = channels[2].take(for: readers[2])
        channels[2].rest()
        for channel in channels { _ = channel.append(event("d")) }
        WatchChannel.wake(channels)
        #expect(east.news() == [[0]])
        #expect(names(channels[2].take(for: readers[2])) == "d")
        #expect(names(channels[1].take(for: readers[1])) == "a b c d")
    }

    @Test("Only a reader that is behind is cut off, and what a watch begins with does not count")
    func capacity() {
        let lane = Lane()
        let reader = Reader(0, lane)
        let channel = WatchChannel(capacity: 2)
        channel.begin(with: (0..<5).map { event("i\($0)") })
        _ = channel.append(event("a"))
        #expect(names(channel.take(for: reader)) == "i0 i1 i2 i3 i4 a")
        // It waits, so that a burst does not harm it; nor does what comes while it is on its way.
        for name in ["b", "c", "d", "e"] { _ = channel.append(event(name)) }
        WatchChannel.wake([channel])
        _ = channel.append(event("f"))
        #expect(names(channel.take(for: reader)) == "b c d e f")
        channel.rest()
        for name in ["g", "h"] { _ = channel.append(event(name)) }
        guard case .cutOff = channel.append(event("i")) else {
            Issue.record("three events are too many")
            return
        }
        #expect(names(channel.take(for: reader)) == "410")
        #expect(names(channel.take(for: reader)) == "ended")
    }

    @Test("The end comes behind the last events, and wakes")
    func end() {
        let lane = Lane()
        let reader = Reader(0, lane)
        let channel = WatchChannel(capacity: 10)
        _ = channel.append(event("a"))
        channel.finish(.expired("over"))
        #expect(lane.news() == [])
        #expect(names(channel.take(for: reader)) == "a")
        #expect(lane.news() == [[0]])
        #expect(names(channel.take(for: reader)) == "410")
        let quiet = WatchChannel(capacity: 10)
        #expect(names(quiet.take(for: reader)) == "nothing")
        quiet.finish()
        #expect(lane.news() == [[0]])
        #expect(names(quiet.take(for: reader)) == "ended")
        guard case .cutOff = quiet.append(event("b")) else {
            Issue.record("it is over")
            return
        }
    }
}
