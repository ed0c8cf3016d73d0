import NIOCore
import NIOHTTP1

/// One request's way back to its client, usable from any task. What comes after the answer ended is ignored.
struct Exchange: Sendable {
    private let handler: NIOLoopBound<RequestHandler>
    let eventLoop: any EventLoop
    private let serial: UInt64
    let isHTTP2: Bool
    /// The connection's event loop.
    let executor: LoopExecutor

    init(
        handler: NIOLoopBound<RequestHandler>, eventLoop: any EventLoop, executor: LoopExecutor, serial: UInt64,
        isHTTP2: Bool
    ) {
        self.handler = handler
        self.eventLoop = eventLoop
        self.executor = executor
        self.serial = serial
        self.isHTTP2 = isHTTP2
    }

    private func onLoop(_ body: @escaping @Sendable (RequestHandler) -> Void) {
        let handler = self.handler
        if eventLoop.inEventLoop {
            body(handler.value)
        } else {
            eventLoop.execute { body(handler.value) }
        }
    }

    /// The whole answer.
    func respond(_ response: Response) {
        onLoop { [serial] in $0.respond(serial, response) }
    }

    /// The head of an answer whose body is written in pieces; flushed at once.
    func start(_ response: Response) {
        onLoop { [serial] in $0.start(serial, response, length: nil) }
    }

    /// A piece of the body; returns when there is room for the next.
    ///
    /// - Parameter isImpatient: the connection is closed when the client takes nothing for a minute.
    /// - Throws: `ConnectionClosed` or `CancellationError`: stop then.
    func write(_ buffer: ByteBuffer, isImpatient: Bool = true) async throws {
        let outcome: RequestHandler.WriteOutcome
        if eventLoop.inEventLoop {
            outcome = handler.value.write(serial, buffer)
        } else {
            let (handler, serial) = (self.handler, self.serial)
            outcome = await withCheckedContinuation { continuation in
                eventLoop.execute { continuation.resume(returning: handler.value.write(serial, buffer)) }
            }
        }
        switch outcome {
        case .accepted: return
        case .closed: throw ConnectionClosed()
        case .full: try await waitForRoom(isImpatient: isImpatient)
        }
    }

    /// Returns when there is room for the next piece: see `write`.
    func waitForRoom(isImpatient: Bool = true) async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onLoop { [serial] in $0.waitForRoom(serial, isImpatient: isImpatient, continuation) }
            }
        } onCancel: {
            onLoop { [serial] in $0.abandonWait(serial) }
        }
    }

    /// What answers the request, for code that runs on the event loop.
    var handlerOnLoop: (handler: RequestHandler, serial: UInt64) { (handler.value, serial) }

    /// Runs on the event loop, at once when called there.
    func withHandler(_ body: @escaping @Sendable (RequestHandler, _ serial: UInt64) -> Void) {
        onLoop { [serial] in body($0, serial) }
    }

    /// Ends a body that was written in pieces.
    func end() {
        onLoop { [serial] in $0.end(serial) }
    }

    /// The task returns: see `RequestHandler.complete`.
    func complete() {
        onLoop { [serial] in $0.complete(serial) }
    }

    /// Cancels the request's task after a time; with `isError` the client is told 504 instead of the task's answer.
    func setTimeout(_ duration: Duration, isError: Bool) {
        onLoop { [serial] in $0.setTimeout(serial, TimeAmount(duration), isError: isError) }
    }

    /// Cancels the request's task.
    func cancel() {
        onLoop { [serial] in $0.cancel(serial) }
    }

    /// Switches the connection to another protocol; `install` runs on the event loop.
    func upgrade<Upgraded: Sendable>(
        _ headers: HTTPHeaders, install: @escaping @Sendable (any Channel) throws -> Upgraded
    ) async throws -> Upgraded {
        let (handler, serial) = (self.handler, self.serial)
        return try await eventLoop.submit { try handler.value.upgrade(serial, headers, install: install) }.get()
    }
}
