public import Logging

/// Joins an upgraded port-forward connection to TCP ports of a pod.
///
/// Serves SPDY/3.1 (plain, or tunnelled in WebSocket messages as `SPDY/3.1+portforward.k8s.io`) and the older
/// `v4.channel.k8s.io` WebSocket form.
public struct PortForwardServer: Sendable {
    let logger: Logger

    public init(logger: Logger) {
        self.logger = logger
    }

    /// Serves the connection until the client closes it, or the task is cancelled; then the channel is closed.
    ///
    /// - Parameters:
    ///   - ports: the `ports` query of the old WebSocket form, in order (`ports=80,81` or repeated); empty otherwise.
    ///   - connect: opens a connection to a port of the pod; its error's text is written to the error stream.
    public func run(
        _ channel: UpgradedChannel, ports: [Int],
        connect: @escaping @Sendable (Int) async throws -> any ByteConnection
    ) async {
    }
}
