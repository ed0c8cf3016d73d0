public import ClusterClient
public import Logging
public import ObjectModel
import ServiceLifecycle

/// What a window knows: local copies of its definitions, of their runs and of the runs' pods.
public final class JobState<Definition: JobDefinition>: Sendable {
    public let names: JobNames
    public let definitions: Informer<Definition>
    public let runs: Informer<JobRun>
    public let tasks: Informer<JobTask>
    /// Everything else that carries the window's label, for informers of the window's own.
    public static func marked(_ names: JobNames) -> ListOptions {
        ListOptions(labelSelector: LabelSelector([.init(key: names.label, op: .exists)]))
    }
    private let byName: InformerIndex<Definition, String>
    private let children: InformerIndex<Definition, String>
    private let runsByJob: InformerIndex<JobRun, String>
    private let tasksByRun: InformerIndex<JobTask, String>

    public init(_ names: JobNames, client: ClusterClient, logger: Logger) {
        self.names = names
        let namespace = JobNames.namespace
        let marked = Self.marked(names)
        definitions = Informer(names.definitions, client: client, namespace: namespace, logger: logger) {
            Definition($0)
        }
        runs = Informer(.jobs, client: client, namespace: namespace, options: marked, logger: logger) {
            JobRun($0, names)
        }
        tasks = Informer(.pods, client: client, namespace: namespace, options: marked, logger: logger) { JobTask($0) }
        byName = InformerIndex(definitions) { [$0.name] }
        children = InformerIndex(definitions) { $0.parents }
        runsByJob = InformerIndex(runs) { [$0.job] }
        tasksByRun = InformerIndex(tasks) { [$0.owner] }
    }

    var services: [any Service] { [definitions, runs, tasks] }

    public func waitUntilSynced() async {
        await definitions.waitUntilSynced()
        await runs.waitUntilSynced()
        await tasks.waitUntilSynced()
    }

    /// All definitions by name.
    public var all: [Definition] { definitions.all.sorted { $0.name < $1.name } }
    public func definition(_ name: String) -> Definition? { byName[name].first }
    /// Definitions that follow one.
    public func children(of name: String) -> [Definition] { children[name].sorted { $0.name < $1.name } }
    /// Runs of a definition that the cluster still has, oldest first.
    public func runs(of name: String) -> [JobRun] {
        runsByJob[name].sorted { ($0.created, $0.key.name) < ($1.created, $1.key.name) }
    }
    public func activeRuns(of name: String) -> [JobRun] { runs(of: name).filter { $0.finished == nil } }
    /// Tries of a run, oldest first.
    public func tasks(of run: JobRun) -> [JobTask] {
        tasksByRun[run.uid].sorted { ($0.created, $0.key.name) < ($1.created, $1.key.name) }
    }

    /// Waits (at most some seconds) until a local copy shows what a write returned.
    public func show<View>(_ object: Object, in informer: Informer<View>) async {
        let end = ContinuousClock.now + .seconds(5)
        while informer.revision < object.metadata.resourceVersion, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Waits (at most some seconds) until a definition that was removed is gone here, too.
    public func showRemoval(of definition: Definition) async throws {
        let end = ContinuousClock.now + .seconds(5)
        while self.definition(definition.name)?.object.uid == definition.object.uid, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
