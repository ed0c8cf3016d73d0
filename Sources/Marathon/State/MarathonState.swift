import ClusterClient
import JSON
import Logging
import MesosModel
import ObjectModel
import ServiceLifecycle

extension GroupVersionResource {
    static let controllerRevisions = Self(group: "apps", version: "v1", resource: "controllerrevisions")
}

/// A node as Marathon looks at it.
struct NodeView: Sendable {
    var name: String
    /// When it was lost; nil: it answers.
    var lostSince: Timestamp?
    var isSchedulable: Bool
    var region: String?
    var zone: String?
    /// The address under which its host ports are reached; empty: not known yet.
    var address: String
    /// `{cpus, mem, disk}` of the whole node, in Mesos's units.
    var amounts: [(name: String, value: Double)] = []
    /// Attributes as agents have them, all as texts.
    var attributes: [(name: String, text: String)] = []

    init(_ object: Object) {
        let tree = object.tree
        name = object.name
        let ready = tree["status"]["conditions"].elements.first { $0["type"].string == "Ready" }
        if ready?["status"].string == "Unknown" {
            lostSince = ready?["lastTransitionTime"].string.flatMap { Timestamp($0) } ?? .now
        }
        isSchedulable = tree["spec"]["unschedulable"].bool != true && ready?["status"].string == "True"
        region = object.metadata.labels["topology.kubernetes.io/region"]
        zone = object.metadata.labels["topology.kubernetes.io/zone"]
        address =
            tree["status"]["addresses"].elements.first { $0["type"].string == "InternalIP" }?["address"].string ?? ""
        let allocatable = tree["status"]["allocatable"]
        for (name, resource, unit) in [
            ("cpus", "cpu", 1.0), ("mem", "memory", 1_048_576), ("disk", "ephemeral-storage", 1_048_576),
        ] {
            guard let amount = allocatable[resource].string.flatMap({ Quantity($0) }) else { continue }
            let value =
                resource == "cpu" ? Double(amount.milliValue) / 1000 : (Double(amount.value) / unit).rounded(.down)
            amounts.append((name, value))
        }
        for (label, text) in object.metadata.labels.sorted(by: { $0.key < $1.key }) {
            guard label.hasPrefix(MesosNames.attributePrefix) else { continue }
            attributes.append((String(label.dropFirst(MesosNames.attributePrefix.count)), text))
        }
    }

    /// What of the node an offer would have held, as the queue shows offers that nobody used.
    func offer(agentID: String) -> JSON {
        [
            "id": .string("node-\(name)"), "hostname": .string(name), "agentId": .string(agentID),
            "resources": .array(
                amounts.map { ["name": .string($0.name), "role": "*", "scalar": .double($0.value)] }),
            "attributes": .array(attributes.map { ["name": .string($0.name), "text": .string($0.text)] }),
        ]
    }
}

/// Everything that Marathon knows: local copies of the objects that concern it, found by id.
final class MarathonState: Definitions {
    let apps: Informer<StoredSpec>
    let pods: Informer<StoredSpec>
    let groups: Informer<StoredGroup>
    let deployments: Informer<Deployment>
    let versions: Informer<StoredVersion>
    let instances: Informer<Instance>
    let nodes: Informer<NodeView>
    let claims: Informer<VolumeClaim>
    /// Ids that the Mesos window gave to nodes, by name of the node; it may not be served at all.
    private let agents: Informer<String>
    private let networks: Informer<Set<String>>
    private let appsByID: InformerIndex<StoredSpec, PathID>
    private let podsByID: InformerIndex<StoredSpec, PathID>
    private let appsByPort: InformerIndex<StoredSpec, Int>
    private let groupsByID: InformerIndex<StoredGroup, PathID>
    private let deploymentsBySpec: InformerIndex<Deployment, PathID>
    private let deploymentsByID: InformerIndex<Deployment, String>
    private let versionsByID: InformerIndex<StoredVersion, PathID>
    private let instancesBySpec: InformerIndex<Instance, PathID>
    private let instancesByID: InformerIndex<Instance, String>
    private let claimsBySpec: InformerIndex<VolumeClaim, PathID>

    init(client: ClusterClient, logger: Logger) {
        apps = Informer(MesosNames.marathonApps, client: client, logger: logger) { StoredSpec($0, kind: .app) }
        pods = Informer(MesosNames.marathonPods, client: client, logger: logger) { StoredSpec($0, kind: .pod) }
        groups = Informer(MesosNames.marathonGroups, client: client, logger: logger) { StoredGroup($0) }
        deployments = Informer(MesosNames.marathonDeployments, client: client, logger: logger) { Deployment($0) }
        let marked = ListOptions(
            labelSelector: LabelSelector([.init(key: MesosNames.marathonAppLabel, op: .exists)]))
        versions = Informer(.controllerRevisions, client: client, options: marked, logger: logger) { StoredVersion($0) }
        instances = Informer(.pods, client: client, options: marked, logger: logger) { Instance($0) }
        nodes = Informer(.nodes, client: client, logger: logger) { NodeView($0) }
        claims = Informer(.persistentVolumeClaims, client: client, options: marked, logger: logger) { VolumeClaim($0) }
        agents = Informer(MesosNames.agents, client: client, logger: logger) { $0.tree["spec"]["id"].string ?? "" }
        networks = Informer(
            .configMaps, client: client,
            namespace: "kube-system",
            options: ListOptions(
                fieldSelector: FieldSelector([
                    .init(field: "metadata.name", value: MarathonNames.networks, isEqual: true)
                ])),
            logger: logger
        ) { Set($0.tree["data"].members.keys) }
        appsByID = InformerIndex(apps) { [$0.spec.id] }
        podsByID = InformerIndex(pods) { [$0.spec.id] }
        appsByPort = InformerIndex(apps) { $0.servicePorts }
        groupsByID = InformerIndex(groups) { [$0.info.id] }
        deploymentsBySpec = InformerIndex(deployments) { Array($0.affected) }
        deploymentsByID = InformerIndex(deployments) { [$0.id] }
        versionsByID = InformerIndex(versions) { [$0.id] }
        instancesBySpec = InformerIndex(instances) { [$0.spec] }
        instancesByID = InformerIndex(instances) { [$0.id] + $0.tasks.map(\.id) }
        claimsBySpec = InformerIndex(claims) { [$0.spec] }
    }

    var services: [any Service] {
        [apps, pods, groups, deployments, versions, instances, nodes, claims, networks, agents]
    }

    func waitUntilSynced() async {
        await apps.waitUntilSynced()
        await pods.waitUntilSynced()
        await groups.waitUntilSynced()
        await deployments.waitUntilSynced()
        await versions.waitUntilSynced()
        await instances.waitUntilSynced()
        await nodes.waitUntilSynced()
        await claims.waitUntilSynced()
        await networks.waitUntilSynced()
    }

    // MARK: Definitions

    /// The stored definition of an app or pod; when it changed places, the newer one.
    func stored(_ id: PathID) -> StoredSpec? {
        (appsByID[id] + podsByID[id]).max {
            $0.object.metadata.resourceVersion < $1.object.metadata.resourceVersion
        }
    }
    /// All objects with an id: more than one while its role changes.
    func allStored(_ id: PathID) -> [StoredSpec] { appsByID[id] + podsByID[id] }

    /// The definition that counts: a change that is not taken up yet counts as what was before it.
    func spec(_ id: PathID) -> RunSpec? {
        guard let stored = stored(id) else { return nil }
        if stored.isAdopted { return stored.spec }
        guard let known = stored.knownVersion else { return nil }
        return version(id, known)?.spec
    }
    func group(_ id: PathID) -> GroupInfo? {
        groupsByID[id].first?.info ?? (id.isRoot ? GroupInfo(id: .root, version: Timestamp(seconds: 0).milliText) : nil)
    }
    func storedGroup(_ id: PathID) -> StoredGroup? { groupsByID[id].first }

    func specs(under id: PathID) -> [RunSpec] {
        if !id.isRoot, let exact = spec(id) { return [exact] }
        return (apps.all + pods.all).filter { id.contains($0.spec.id) }.compactMap {
            $0.isAdopted ? $0.spec : spec($0.spec.id)
        }
    }
    func groups(under id: PathID) -> [GroupInfo] {
        let found = groups.all.map(\.info).filter { id.contains($0.id) }
        guard id.isRoot, !found.contains(where: \.id.isRoot) else { return found }
        return found + [group(.root)].compactMap(\.self)
    }
    var networkNames: Set<String> { networks.all.reduce(Self.standardNetworks) { $0.union($1) } }
    func isServicePortTaken(_ port: Int) -> Bool { appsByPort.count(of: port) > 0 }

    // MARK: Versions

    /// Kept versions of an app or pod, newest first.
    func history(_ id: PathID) -> [StoredVersion] { versionsByID[id].sorted { $0.version > $1.version } }
    func version(_ id: PathID, _ version: String) -> StoredVersion? {
        versionsByID[id].first { $0.version == version && $0.spec != nil }
    }

    // MARK: What runs

    /// The agent on which an instance runs, as the Mesos window calls it; the node's name where nobody named it.
    func agentID(of instance: Instance) -> String {
        instance.agentID == instance.node ? agentID(ofNode: instance.node) : instance.agentID
    }
    /// The agent of a node, as the Mesos window calls it; the node's name where nobody named it.
    func agentID(ofNode name: String) -> String {
        let known = agents[ObjectKey(name: name)] ?? ""
        return known.isEmpty ? name : known
    }
    /// Where the host ports of an instance are reached.
    func host(of instance: Instance) -> String {
        guard instance.host == instance.node else { return instance.host }
        let known = nodes[ObjectKey(name: instance.node)]?.address ?? ""
        return known.isEmpty ? instance.host : known
    }

    func instances(of id: PathID) -> [Instance] { instancesBySpec[id] }
    /// Persistent volumes of an app's or pod's instances, also of those that do not run.
    func claims(of id: PathID) -> [VolumeClaim] { claimsBySpec[id] }
    /// By the id of an instance or of one of its tasks.
    func instance(_ id: String) -> Instance? { instancesByID[id].first }
    func deployments(of id: PathID) -> [Deployment] {
        deploymentsBySpec.count(of: id) == 0 ? [] : deploymentsBySpec[id].sorted { $0.version < $1.version }
    }
    func deployment(_ id: String) -> Deployment? { deploymentsByID[id].first }

    /// Waits (at most some seconds) until a local copy shows what a write returned.
    func show<View>(_ revision: Revision, in copy: Informer<View>) async {
        let end = ContinuousClock.now + .seconds(5)
        while copy.revision < revision, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Waits (at most some seconds) until a deployment that was deleted is gone here, too.
    func showRemoval(of deployment: Deployment) async {
        let end = ContinuousClock.now + .seconds(5)
        while deployments[deployment.object.key] != nil, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }
}
