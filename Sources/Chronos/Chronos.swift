public import ClusterClient
public import HTTPWindow
public import Logging
import ScheduledJobs
public import ServiceLifecycle

/// Chronos: jobs by ISO 8601 intervals and by what other jobs did.
///
/// A definition is an object in the store, a run a Job; everything here is a copy that a restart makes anew.
public final class Chronos: Service {
    /// How the window is reached.
    public struct Configuration: Sendable {
        /// Address and port that it listens on.
        public var address: String
        public var port: Int

        public init(address: String = "127.0.0.1", port: Int = 4400) {
            self.address = address
            self.port = port
        }
    }

    private let keeper: Keeper
    private let api: ChronosAPI

    /// - Parameters:
    ///   - access: who may do what in the window.
    ///   - client: writes under the name `chronos`.
    public init(configuration: Configuration, access: WindowAccess = .open, client: ClusterClient, logger: Logger) {
        let state = JobState<Definition>(.chronos, client: client, logger: logger)
        keeper = Keeper(state: state, client: client, logger: logger)
        api = ChronosAPI(
            configuration: configuration, state: state, keeper: keeper, client: client,
            access: JobAccess(access, .chronos), logger: logger)
    }

    /// Answers a request to the window.
    public func answer(_ request: WindowRequest) async -> WindowResponse { await api.answer(request) }

    public func run() async throws { await keeper.run() }
}
