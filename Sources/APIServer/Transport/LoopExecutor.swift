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

    init(_ loop: any EventLoop) {
        self.loop = loop
        frames = .makeBoxSendingValue(FrameMemo(), eventLoop: loop)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    func tell(_ readers: [any WatchReader]) { tell(readers[...]) }

    private func tell(_ readers: ArraySlice<any WatchReader>) {
        loop.execute { [self] in
            for reader in readers.prefix(Self.turn) { reader.hasNews() }
            let rest = readers.dropFirst(Self.turn)
            if rest.isEmpty { frames.value.clear() } else { tell(rest) }
        }
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
