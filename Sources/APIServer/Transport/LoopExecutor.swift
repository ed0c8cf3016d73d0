import NIOCore
import Synchronization

/// Runs tasks on an event loop, so that a request is read, handled and answered without changing threads.
///
/// Only for work that is short on the CPU: whatever takes long (big lists, OpenAPI) runs in the common pool, so that it
/// does not hold up the loop's other connections.
final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
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

    subscript(loop: any EventLoop) -> LoopExecutor? { byLoop[ObjectIdentifier(loop)] }
}
