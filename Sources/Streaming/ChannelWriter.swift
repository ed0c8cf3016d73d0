import NIOCore

/// Writes to a channel and waits until the bytes are with the kernel.
///
/// `NIOAsyncChannel`'s own writer only hands over to the event loop; while that is busy a fast producer runs ahead of it
/// without bound.
struct ChannelWriter<Item: Sendable>: Sendable {
    private let channel: any Channel

    init(_ channel: any Channel) {
        self.channel = channel
    }

    /// When the task is cancelled while the peer does not read, the channel is closed: nothing else ends that wait.
    func write(_ item: Item) async throws {
        try Task.checkCancellation()
        try await withTaskCancellationHandler {
            try await channel.writeAndFlush(item).get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Closes our sending side.
    func finish() async throws { try await channel.close(mode: .output) }
}
