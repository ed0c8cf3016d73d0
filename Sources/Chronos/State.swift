import ClusterClient
import JSON
import Logging
import ObjectModel
import ServiceLifecycle

/// A job's definition as the store has it.
struct Definition: Sendable {
    let object: Object
    let spec: JobSpec
    let status: JobStatus

    init(_ object: Object) {
        self.object = object
        spec = JobSpec(stored: object.tree["spec"], name: object.name)
        status = JobStatus(object.tree["status"])
    }
}

/// Everything that Chronos knows: local copies of the objects that concern it.
final class ChronosState: Sendable {
    let definitions: Informer<Definition>
    let runs: Informer<ChronosRun>
    let tasks: Informer<ChronosTask>
    private let children: InformerIndex<Definition, String>
    private let byName: InformerIndex<Definition, String>
    private let runsByJob: InformerIndex<ChronosRun, String>
    private let tasksByRun: InformerIndex<ChronosTask, String>

    init(client: ClusterClient, logger: Logger) {
        let namespace = ChronosNames.namespace
        let marked = ListOptions(labelSelector: LabelSelector([.init(key: ChronosNames.jobLabel, op: .exists)]))
        definitions = Informer(
            ChronosNames.definitions, client: client, namespace: namespace, logger: logger
        ) { Definition($0) }
        runs = Informer(.jobs, client: client, namespace: namespace, options: marked, logger: logger) { ChronosRun($0) }
        tasks = Informer(.pods, client: client, namespace: namespace, options: marked, logger: logger) {
            ChronosTask($0)
        }
        children = InformerIndex(definitions) { $0.spec.parents }
        byName = InformerIndex(definitions) { [$0.spec.name] }
        runsByJob = InformerIndex(runs) { [$0.job] }
        tasksByRun = InformerIndex(tasks) { [$0.owner] }
    }

    var services: [any Service] { [definitions, runs, tasks] }

    func waitUntilSynced() async {
        await definitions.waitUntilSynced()
        await runs.waitUntilSynced()
        await tasks.waitUntilSynced()
    }

    var all: [Definition] { definitions.all.sorted { $0.spec.name < $1.spec.name } }
    func definition(_ name: String) -> Definition? { byName[name].first }
    /// Jobs that follow a job.
    func children(of name: String) -> [Definition] { children[name].sorted { $0.spec.name < $1.spec.name } }
    /// Runs of a job that the cluster still has, oldest first.
    func runs(of name: String) -> [ChronosRun] {
        runsByJob[name].sorted { ($0.created, $0.key.name) < ($1.created, $1.key.name) }
    }
    func activeRuns(of name: String) -> [ChronosRun] { runs(of: name).filter { $0.finished == nil } }
    func tasks(of run: ChronosRun) -> [ChronosTask] { tasksByRun[run.uid].sorted { $0.created < $1.created } }

    /// `idle`, `queued` or `2 running`.
    func word(of name: String) -> String {
        let active = activeRuns(of: name)
        if active.isEmpty { return "idle" }
        let running = active.count { run in tasks(of: run).contains(where: \.isPlaced) }
        return running == 0 ? "queued" : "\(running) running"
    }

    /// Waits (at most some seconds) until a local copy shows what a write returned.
    func show<View>(_ object: Object, in informer: Informer<View>) async {
        let end = ContinuousClock.now + .seconds(5)
        while informer.revision < object.metadata.resourceVersion, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }
}
