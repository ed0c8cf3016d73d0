import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel
import ServiceLifecycle

/// What the agent window knows of the cluster: the pods of its node, the tasks of its executors, frameworks and itself.
struct AgentCaches: Sendable {
    let node: String
    let pods: Informer<NodePod>
    let tasks: Informer<TaskRecord>
    let frameworks: Informer<Object>
    let agents: Informer<Object>
    let nodes: Informer<Object>
    let podsByUID: InformerIndex<NodePod, String>
    let podsByExecutor: InformerIndex<NodePod, ExecutorKey>
    /// Pods that were asked of the containers API.
    let podsByContainer: InformerIndex<NodePod, ContainerPath>
    let tasksByPod: InformerIndex<TaskRecord, ObjectKey>
    /// Pods of which only the files are left.
    let past: PastPods

    init(node: String, dataDirectory: String, client: ClusterClient, logger: Logger) {
        self.node = node
        func only(_ field: String) -> ListOptions {
            ListOptions(fieldSelector: FieldSelector([.init(field: field, value: node, isEqual: true)]))
        }
        pods = Informer(.pods, client: client, options: only("spec.nodeName"), logger: logger) { NodePod($0) }
        // Custom kinds have no selector for fields of their spec: tasks of other nodes are left out by the index.
        tasks = Informer(MesosNames.tasks, client: client, logger: logger) { TaskRecord($0) }
        frameworks = Informer(MesosNames.frameworks, client: client, logger: logger) { $0 }
        agents = Informer(MesosNames.agents, client: client, options: only("metadata.name"), logger: logger) { $0 }
        nodes = Informer(.nodes, client: client, options: only("metadata.name"), logger: logger) { $0 }
        podsByUID = InformerIndex(pods) { [$0.uid] }
        podsByExecutor = InformerIndex(pods) { $0.executorKey.map { [$0] } ?? [] }
        podsByContainer = InformerIndex(pods) { $0.containerPath.map { [$0] } ?? [] }
        past = PastPods(dataDirectory: dataDirectory)
        past.follow(pods)
        tasksByPod = InformerIndex(tasks) { $0.node == node ? [$0.pod] : [] }
    }

    func isLocal(_ record: TaskRecord) -> Bool { record.node == node }
    var services: [any Service] { [pods, tasks, frameworks, agents, nodes] }
    /// Everything was listed once.
    var areSynced: Bool {
        pods.isSynced && tasks.isSynced && frameworks.isSynced && agents.isSynced && nodes.isSynced
    }

    /// The pod of a custom executor: the one that has not ended, else the newest.
    func executorPod(_ key: ExecutorKey) -> NodePod? {
        let candidates = podsByExecutor[key].filter { $0.executorInfo != nil }
        return candidates.first { !$0.isEnded && !$0.isTerminating }
            ?? candidates.max {
                ($0.object.metadata.creationTimestamp ?? Timestamp(seconds: 0), $0.key)
                    < ($1.object.metadata.creationTimestamp ?? Timestamp(seconds: 0), $1.key)
            }
    }
    /// The framework; nil when it is unknown.
    func framework(_ id: String) -> Object? { frameworks[ObjectKey(name: id)] }
    /// FrameworkInfo with its id.
    func frameworkInfo(_ id: String) -> JSON? {
        guard let object = framework(id) else { return nil }
        var info = object.tree["spec"]["info"]
        info["id"] = ["value": .string(id)]
        return info
    }
    /// True when the framework was torn down or never came back: its executors must end.
    func isGone(framework id: String) -> Bool {
        guard let object = framework(id) else { return false }
        return object.tree["status"]["completed"].bool ?? false
    }
    func has(_ capability: String, framework id: String) -> Bool {
        framework(id)?.tree["spec"]["info"]["capabilities"].elements.contains { $0["type"].string == capability }
            ?? false
    }
}

/// An executor by its two ids.
struct ExecutorKey: Hashable, Sendable, CustomStringConvertible {
    var framework: String
    var executor: String
    var description: String { "executor '\(executor)' of framework \(framework)" }
}
