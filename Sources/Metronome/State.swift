import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel
import ServiceLifecycle

/// A job's definition as the store has it.
struct Definition: Sendable {
    let object: Object
    let spec: JobSpec
    /// Counts and ends of runs.
    let history: History

    init(_ object: Object) {
        self.object = object
        // The object's name is the id, whatever its spec says.
        spec = JobSpec(object.tree["spec"], id: object.name)
        history = History(object.tree["status"])
    }
}

/// What is kept of a job's runs when they are gone.
struct History: Sendable {
    /// So many ends of each kind are kept.
    static let kept = 10
    private(set) var json: JSON

    init(_ status: JSON) { json = status.isNull ? .object([:]) : status }

    var successCount: Int { json["successCount"].int ?? 0 }

    /// Runs whose end was counted, but not yet marked so.
    var counting: Set<String> { Set(json["counting"].elements.compactMap(\.string)) }

    /// Takes in the end of a run.
    mutating func add(_ run: Run, _ tasks: [RunTask]) {
        let (count, last, list) =
            run.isSuccess
            ? ("successCount", "lastSuccessAt", "successfulFinishedRuns")
            : ("failureCount", "lastFailureAt", "failedFinishedRuns")
        json[count] = JSON((json[count].int ?? 0) + 1)
        let end = (run.finished ?? run.created).metronomeText
        // All times have the same form: their order is that of their texts.
        json[last] = .string(max(end, json[last].string ?? ""))
        json[list] = .array(Array(([run.historyEntry(tasks)] + json[list].elements).prefix(Self.kept)))
    }

    mutating func setCounting(_ runs: [Run]) { json["counting"] = .array(runs.map { .string($0.uid) }) }

    /// How often parents had succeeded when the job was last started for them; nil: never looked at.
    var parents: [String: Int]? {
        json["parents"].object.map { Dictionary(uniqueKeysWithValues: $0.map { ($0.key, $0.value.int ?? 0) }) }
    }
    mutating func setParents(_ counts: [String: Int]) {
        json["parents"] = .object([:])
        for (id, count) in counts.sorted(by: { $0.key < $1.key }) { json["parents"][id] = JSON(count) }
    }

    /// What clients are shown.
    var summary: JSON {
        [
            "successCount": JSON(successCount), "failureCount": JSON(json["failureCount"].int ?? 0),
            "lastSuccessAt": json["lastSuccessAt"], "lastFailureAt": json["lastFailureAt"],
        ]
    }
    var whole: JSON {
        var whole = summary
        whole["successfulFinishedRuns"] = .array(json["successfulFinishedRuns"].elements)
        whole["failedFinishedRuns"] = .array(json["failedFinishedRuns"].elements)
        return whole
    }
}

/// Everything that Metronome knows: local copies of the objects that concern it.
final class MetronomeState: Sendable {
    let definitions: Informer<Definition>
    let runs: Informer<Run>
    let tasks: Informer<RunTask>
    let cronJobs: Informer<Object>
    private let children: InformerIndex<Definition, String>
    private let runsByJob: InformerIndex<Run, String>
    private let tasksByRun: InformerIndex<RunTask, String>

    init(client: ClusterClient, logger: Logger) {
        let namespace = MetronomeNames.namespace
        let marked = ListOptions(
            labelSelector: LabelSelector([.init(key: MetronomeNames.jobLabel, op: .exists)]))
        definitions = Informer(
            MetronomeNames.definitions, client: client, namespace: namespace, logger: logger
        ) { Definition($0) }
        runs = Informer(.jobs, client: client, namespace: namespace, options: marked, logger: logger) { Run($0) }
        tasks = Informer(.pods, client: client, namespace: namespace, options: marked, logger: logger) { RunTask($0) }
        cronJobs = Informer(
            MetronomeNames.cronJobs, client: client, namespace: namespace, options: marked, logger: logger
        ) { $0 }
        children = InformerIndex(definitions) { $0.spec.dependencies }
        runsByJob = InformerIndex(runs) { [$0.jobID] }
        tasksByRun = InformerIndex(tasks) { [$0.owner] }
    }

    var services: [any Service] { [definitions, runs, tasks, cronJobs] }

    func waitUntilSynced() async {
        await definitions.waitUntilSynced()
        await runs.waitUntilSynced()
        await tasks.waitUntilSynced()
        await cronJobs.waitUntilSynced()
    }

    func definition(_ id: String) -> Definition? { definitions[MetronomeNames.key(id)] }

    /// Jobs that depend on a job.
    func children(of id: String) -> [Definition] { children[id].sorted { $0.spec.id < $1.spec.id } }

    /// Runs of a job that the cluster still has, oldest first.
    func runs(of id: String) -> [Run] {
        runsByJob[id].sorted { ($0.created, $0.id) < ($1.created, $1.id) }
    }
    func activeRuns(of id: String) -> [Run] { runs(of: id).filter { $0.finished == nil } }
    func run(_ id: String, of job: String) -> Run? { runsByJob[job].first { $0.id == id } }
    func tasks(of run: Run) -> [RunTask] {
        tasksByRun[run.uid].sorted { ($0.created, $0.id) < ($1.created, $1.id) }
    }

    /// Waits (at most some seconds) until a local copy shows what a write returned.
    func show<View>(_ object: Object, in informer: Informer<View>) async {
        let end = ContinuousClock.now + .seconds(5)
        while informer.revision < object.metadata.resourceVersion, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }
}
