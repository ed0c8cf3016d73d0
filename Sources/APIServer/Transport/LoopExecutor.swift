import APIMachinery
import NIOCore
import Synchronization

/// Runs tasks on an event loop, so that a request is read, handled and answered without changing threads, and tells the
/// loop's watches of news.
///
/// Only for work that is short on the CPU: whatever takes long (big lists, OpenAPI) runs in the common pool, so that it
/// does not hold up the loop's other connections.
final class LoopExecutor: TaskExecutor, WatchLane {
    /// So many watches are told before the loop looks at its connections again.
    private static let turn = 128

    private let loop: any EventLoop
    /// What the watches of this loop were sent last.
    let frames: NIOLoopBoundBox<FrameMemo>
    private let news: NIOLoopBoundBox<News>

    init(_ loop: any EventLoop) {
        self.loop = loop
        frames = .makeBoxSendingValue(FrameMemo(), eventLoop: loop)
        news = .makeBoxSendingValue(News(), eventLoop: loop)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    func tell(_ readers: [any WatchReader]) {
        loop.execute { [self] in
            news.value.waiting += readers
            if !news.value.isBusy { startRound() }
        }
    }

    private func startRound() {
        news.value.isBusy = true
        if NIODeadline.now() >= news.value.nextRound {
            tellWaiting()
        } else {
            loop.scheduleTask(deadline: news.value.nextRound) { [self] in tellWaiting() }
        }
    }

    private func tellWaiting() {
        let readers = news.value.waiting
        news.value.waiting = []
        news.value.spent = .zero
        tell(readers[...])
    }

    private func tell(_ readers: ArraySlice<any WatchReader>) {
        let start = NIODeadline.now()
        for reader in readers.prefix(Self.turn) { reader.hasNews() }
        let end = NIODeadline.now()
        news.value.spent = news.value.spent + (end - start)
        let rest = readers.dropFirst(Self.turn)
        guard rest.isEmpty else { return loop.execute { [self] in tell(rest) } }
        frames.value.clear()
        news.value.nextRound = end + News.pause(after: news.value.spent)
        if news.value.waiting.isEmpty { news.value.isBusy = false } else { startRound() }
    }
}

/// The watches of a loop that are to be told of news, in rounds.
///
/// To tell a thousand watches takes milliseconds. While changes come faster than that, rounds keep their distance, so that
/// watches are told of several changes at once, which costs little more than one, and requests get their turn.
private struct News {
    var waiting: [any WatchReader] = []
    /// A round is under way or scheduled.
    var isBusy = false
    /// When the next round may begin.
    var nextRound = NIODeadline.uptimeNanoseconds(0)
    /// Time that the round under way took on the loop.
    var spent = TimeAmount.zero

    /// Rounds take at most a third of the loop's time, unless that would hold news back for long; short ones may follow each
    /// other at once.
    static func pause(after spent: TimeAmount) -> TimeAmount {
        spent < .milliseconds(1) ? .zero : min(spent * 2, .milliseconds(30))
    }
}

/// One executor for each loop of a group.
final class LoopExecutors: Sendable {
    private let byLoop: [ObjectIdentifier: LoopExecutor]

    init(_ group: any EventLoopGroup) {
        byLoop = Dictionary(
            group.makeIterator().map { (ObjectIdentifier($0), LoopExecutor($0)) },
            uniquingKeysWith: { first, _ in first })
    }

    subscript(loop: any EventLoop) -> LoopExecutor { byLoop[ObjectIdentifier(loop)] ?? LoopExecutor(loop) }
}
