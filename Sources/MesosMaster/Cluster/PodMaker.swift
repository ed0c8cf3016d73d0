import HTTPWindow
import JSON
import MesosModel
import ObjectModel

/// Makes the pods of one framework's tasks on one agent.
struct PodMaker {
    /// An object that is about to be created.
    struct Made: Sendable {
        var key: ObjectKey
        var tree: JSON

        init(key: ObjectKey, tree: JSON) {
            self.key = key
            self.tree = tree
        }
        init(_ tree: JSON) {
            self.tree = tree
            key = ObjectKey(
                namespace: tree["metadata"]["namespace"].string ?? "", name: tree["metadata"]["name"].string ?? "")
        }
    }
    private let place: PodBuilder.Place
    private let credentials: WindowCredentials?

    init(framework: FrameworkRecord, agent: AgentRecord, role: String, settings: Master.Configuration) {
        var place = PodBuilder.Place(
            node: agent.node.name, agentID: agent.id, agentEndpoint: "\(settings.address):\(settings.agentPort)",
            framework: framework.info, frameworkID: framework.id, role: role)
        place.volumesFolder = settings.volumesDirectory
        self.place = place
        credentials = settings.credentials
    }

    /// The pod of a command task.
    func commandTask(_ task: JSON) throws -> Made { Made(try PodBuilder.pod(task: task, place: place)) }

    /// The pod of a task group on the default executor.
    func group(_ tasks: [JSON], executor: JSON, chargesExecutor: Bool) throws -> Made {
        Made(try PodBuilder.pod(executor: executor, group: tasks, place: place, chargesExecutor: chargesExecutor))
    }

    /// The pod of a framework's own executor.
    func executor(_ executor: JSON) throws -> Made {
        var place = place
        place.executorToken = credentials?.executorToken(
            framework: place.frameworkID, executor: executor["executor_id"]["value"].string ?? "")
        var tree = try PodBuilder.pod(executor: executor, place: place)
        // Its tasks are charged beside it while they run, and a pod's limits do not grow with them.
        tree["spec"]["containers"][0]["resources"].removeMember("limits")
        return Made(tree)
    }

    /// Sums of scalars by name, in thousandths.
    static func scalars(_ resources: [JSON]) -> [String: Int64] {
        var sums: [String: Int64] = [:]
        for resource in resources {
            guard let name = resource["name"].string, let value = resource["scalar"]["value"].double else { continue }
            sums[name, default: 0] += MesosResource.thousandths(value)
        }
        return sums
    }

    /// The image of a ContainerInfo; nil when its program is the host's.
    static func image(_ container: JSON) -> String? {
        container["docker"]["image"].string ?? container["mesos"]["image"]["docker"]["name"].string
    }
}
