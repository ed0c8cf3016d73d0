import HTTPAccess
import NIOCore
import Synchronization

/// One connection that works off what is left to do for pods, and is opened again when it breaks.
final class SimulatedWorker: LoadConnection.Source {
    private let work: SimulatedWork
    private let current = Mutex<SimulatedWork.Item?>(nil)
    private let wakeUps: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(_ work: SimulatedWork) {
        self.work = work
        (wakeUps, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        continuation.yield()
    }

    func next(into buffer: inout ByteBuffer) -> Bool {
        guard let item = work.next(else: continuation) else { return false }
        work.write(item, into: &buffer)
        current.withLock { $0 = item }
        return true
    }

    func answered(status: Int, size: Int, after nanoseconds: Int64) {
        guard let item = take() else { return }
        work.finished(item, status: status)
    }

    private func take() -> SimulatedWork.Item? {
        current.withLock { item in
            defer { item = nil }
            return item
        }
    }

    /// Works until it is cancelled.
    func run(_ access: ClusterAccess, tls: HTTPConnection.TLSContext) async {
        var channel: LoadChannel?
        for await _ in wakeUps {
            do {
                let open: LoadChannel
                if let channel { open = channel } else { open = try await LoadChannel.open(access, tls: tls) }
                channel = open
                try await open.run(self)
            } catch {
                // Servers close connections that were idle; what was under way is done again.
                await channel?.close()
                channel = nil
                if let item = take() { work.finished(item, status: 0) }
                guard (try? await Task.sleep(for: .milliseconds(100))) != nil else { return }
                continuation.yield()
            }
        }
        await channel?.close()
    }
}
