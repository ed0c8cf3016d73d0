public import JSON
public import Ledger
import MesosModel
public import ObjectModel

/// What the master reads of a pod.
public struct MasterPod: Sendable {
    public let key: ObjectKey
    public let uid: String
    public let node: String
    public let phase: String
    /// Empty for pods that no framework made.
    public let frameworkID: String
    /// Marathon's app; empty for pods of others.
    public let marathonApp: String
    public let isTerminating: Bool
    public let hasFinalizer: Bool
    public let createdSeconds: Double
    /// What it asks for.
    public let requests: ResourceVector
    public let labels: [String: String]
    /// The document; its tree may have to be parsed.
    public let object: Object

    /// Reads a pod.
    public init(_ object: Object) {
        let tree = object.tree
        let meta = object.metadata
        key = object.key
        uid = object.uid
        node = tree["spec"]["nodeName"].string ?? ""
        phase = tree["status"]["phase"].string ?? "Pending"
        marathonApp = meta.labels[MesosNames.marathonAppLabel] ?? ""
        // Marathon looks after its pods itself, and is no framework that subscribes.
        frameworkID = marathonApp.isEmpty ? meta.labels[MesosNames.frameworkLabel] ?? "" : ""
        isTerminating = meta.isTerminating
        hasFinalizer = meta.finalizers.contains(MesosNames.statusFinalizer)
        createdSeconds = Double(meta.creationTimestamp?.microseconds ?? 0) / 1e6
        labels = meta.labels
        var requests = ResourceVector()
        for container in tree["spec"]["containers"].elements {
            requests += ResourceVector(container["resources"]["requests"])
        }
        for container in tree["spec"]["initContainers"].elements {
            requests = requests.maximum(ResourceVector(container["resources"]["requests"]))
        }
        requests += ResourceVector(tree["spec"]["overhead"])
        requests.pods = 1
        self.requests = requests
        self.object = object
    }

    /// True once no container of it runs, or will.
    public var isFinished: Bool { phase == "Succeeded" || phase == "Failed" }
}

/// What the master reads of a node.
public struct MasterNode: Sendable, Hashable {
    public let name: String
    public let uid: String
    public let isReady: Bool
    /// False when cordoned, or tainted against new pods.
    public let isSchedulable: Bool
    public let allocatable: ResourceVector
    public let labels: [String: String]
    /// Internal address.
    public let address: String

    /// Reads a node.
    public init(_ object: Object) {
        let tree = object.tree
        name = object.name
        uid = object.uid
        labels = object.metadata.labels
        isReady =
            tree["status"]["conditions"].elements.contains {
                $0["type"].string == "Ready" && $0["status"].string == "True"
            } && !object.metadata.isTerminating
        let isTainted = tree["spec"]["taints"].elements.contains {
            ["NoSchedule", "NoExecute"].contains($0["effect"].string ?? "")
                // Nodes that lag behind carry these, and readiness says it already; but one under pressure takes no pod.
                && (!($0["key"].string ?? "").hasPrefix("node.kubernetes.io/")
                    || $0["key"].string?.hasSuffix("-pressure") == true)
        }
        isSchedulable = tree["spec"]["unschedulable"].bool != true && !isTainted
        allocatable = ResourceVector(tree["status"]["allocatable"])
        let addresses = tree["status"]["addresses"].elements
        address =
            addresses.first { $0["type"].string == "InternalIP" }?["address"].string ?? addresses.first?["address"]
            .string ?? "127.0.0.1"
    }

    /// Attributes as Mesos writes them: node labels with the attribute prefix, numbers as scalars.
    public var attributes: [JSON] {
        labels.keys.sorted().compactMap { key in
            guard key.hasPrefix(MesosNames.attributePrefix), let value = labels[key] else { return nil }
            let name = JSON.string(String(key.dropFirst(MesosNames.attributePrefix.count)))
            if let number = Double(value), number.isFinite {
                return [
                    "name": name, "type": "SCALAR", "scalar": ["value": .number(JSONNumber(text: number.description))],
                ]
            }
            return ["name": name, "type": "TEXT", "text": ["value": .string(value)]]
        }
    }

    /// The fault domain; null without a region.
    public var domain: JSON {
        guard let region = labels["topology.kubernetes.io/region"] else { return .null }
        let zone = labels["topology.kubernetes.io/zone"] ?? region
        return ["fault_domain": ["region": ["name": .string(region)], "zone": ["name": .string(zone)]]]
    }
}

/// An object of `agents.mesos.apus.dev`.
public struct AgentObject: Sendable {
    public let node: String
    public let revision: Revision
    public let spec: JSON
    public init(_ object: Object) {
        node = object.name
        revision = object.metadata.resourceVersion
        spec = object.tree["spec"]
    }
    public var id: String { spec["id"].string ?? "" }
    /// `active`, `deactivated`, `draining`, `drained` or `gone`.
    public var state: String { spec["state"].string ?? "active" }
}

/// An object of `frameworks.mesos.apus.dev`.
struct FrameworkObject: Sendable {
    let id: String
    let spec: JSON
    let status: JSON
    /// Of a framework that runs in the cluster itself.
    let isOfCluster: Bool
    init(_ object: Object) {
        let tree = object.tree
        id = object.name
        spec = tree["spec"]
        status = tree["status"]
        isOfCluster = object.metadata.labels[MesosNames.clusterFrameworkLabel] != nil
    }
}

/// An object of `tasks.mesos.apus.dev`: a task on a custom executor.
public struct TaskObject: Sendable {
    public let key: ObjectKey
    public let uid: String
    public let spec: JSON
    public let status: JSON
    public let isTerminating: Bool
    public init(_ object: Object) {
        let tree = object.tree
        key = object.key
        uid = object.uid
        spec = tree["spec"]
        status = tree["status"]
        isTerminating = object.metadata.isTerminating
    }
    var frameworkID: String { spec["frameworkID"].string ?? "" }
    var taskID: String { spec["info"]["task_id"]["value"].string ?? "" }
}

/// An object of `roles.mesos.apus.dev`.
public struct RoleObject: Sendable {
    public let name: String
    public let role: String
    public let weight: Double
    /// False for a role that has the weight of all whom nobody gave one.
    public let hasWeight: Bool
    /// `{guarantees, limits}`; null without a quota.
    public let quota: JSON
    public init(_ object: Object) {
        let spec = object.tree["spec"]
        name = object.name
        role = spec["role"].string ?? object.name
        let weight = spec["weight"].double ?? 1
        self.weight = weight > 0 ? weight : 1
        hasWeight = spec["weight"].double != nil
        quota = spec["quota"]
    }
}
