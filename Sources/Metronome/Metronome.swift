public import ClusterClient
public import HTTPWindow
public import Logging
import ScheduledJobs
public import ServiceLifecycle

/// Metronome: jobs that run to an end, now or by the clock.
///
/// A definition is an object in the store, its schedule a CronJob, a run a Job; everything here is a copy that a restart
/// makes anew.
public final class Metronome: Service {
    /// How the window is reached.
    public struct Configuration: Sendable {
        /// Address and port that it listens on.
        public var address: String
        public var port: Int
        /// The version of Metronome whose API this is.
        public var version: String

        public init(address: String = "127.0.0.1", port: Int = 9000, version: String = "0.6.86") {
            self.address = address
            self.port = port
            self.version = version
        }
    }

    private let keeper: Keeper
    private let api: MetronomeAPI

    /// - Parameters:
    ///   - access: who may do what in the window.
    ///   - client: writes under the name `metronome`.
    public init(configuration: Configuration, access: WindowAccess = .open, client: ClusterClient, logger: Logger) {
        let state = JobState<Definition>(.metronome, client: client, logger: logger)
        keeper = Keeper(state: state, client: client, logger: logger)
        api = MetronomeAPI(
            configuration: configuration, state: state, keeper: keeper, client: client,
            access: JobAccess(access, .metronome), logger: logger)
    }

    /// Answers a request to the window.
    public func answer(_ request: WindowRequest) async -> WindowResponse { await api.answer(request) }

    public func run() async throws { await keeper.run() }
}
