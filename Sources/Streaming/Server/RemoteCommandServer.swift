public import Logging

/// Joins an upgraded exec or attach connection to a `ProcessSession`.
///
/// Speaks `v5.channel.k8s.io`, `v4.channel.k8s.io`, `channel.k8s.io` and their base64 forms over WebSocket, and
/// `v4.channel.k8s.io` … `channel.k8s.io` over SPDY/3.1 (KEP-4006 and the remotecommand protocol of Kubernetes).
public struct RemoteCommandServer: Sendable {
    let logger: Logger

    public init(logger: Logger) {
        self.logger = logger
    }

    /// Serves the connection until the program ended, the client went away or the task is cancelled; then the session
    /// and the channel are closed.
    ///
    /// - Parameters:
    ///   - options: the query of the request; says which channels exist. With `tty`, stderr is not a channel.
    ///   - open: starts the program; an error it throws (a `StatusError` or any other) is sent to the client as the
    ///     final status.
    public func run(
        _ channel: UpgradedChannel, options: ExecOptions,
        open: @Sendable () async throws -> any ProcessSession
    ) async {
    }
}
