import JSON
import Ledger
import MesosModel
import ObjectModel

@testable import MesosMaster

/// The master's state with nodes, a ledger and frameworks, without any I/O: time moves when a test says so, and pods
/// become what a test says.
struct TestState {
    var state: MasterState
    let ledger = Ledger()
    private var streams: [String: FrameworkStream] = [:]
    private var inbox: [String: [JSON]] = [:]
    private var uids = 0

    /// Nodes `n0`, `n1`… with agents `S0`, `S1`….
    init(nodes: Int = 1, cpu: Int = 4, memoryGi: Int = 4, labels: [[String: String]] = []) {
        let configuration = Master.Configuration(
            address: "10.0.0.1", port: 5050, hostname: "m", version: "1.12.0", agentPort: 5051, volumesDirectory: "/v")
        state = MasterState(masterID: "m", configuration: configuration, ledger: ledger)
        ledger.markSynced()
        state.isRecovered = true
        for index in 0..<nodes {
            add(node: index, cpu: cpu, memoryGi: memoryGi, labels: index < labels.count ? labels[index] : [:])
        }
    }

    mutating func add(node index: Int, cpu: Int, memoryGi: Int, labels: [String: String] = [:]) {
        let allocatable: JSON = [
            "cpu": .string("\(cpu)"), "memory": .string("\(memoryGi)Gi"), "ephemeral-storage": "10Gi", "pods": "6000",
        ]
        let node = MasterNode(
            Object([
                "apiVersion": "v1", "kind": "Node",
                "metadata": [
                    "name": .string("n\(index)"),
                    "labels": .object(.init(uniqueKeysWithValues: labels.map { ($0, .string($1)) })),
                ],
                "status": [
                    "allocatable": allocatable, "addresses": [["type": "InternalIP", "address": "10.0.0.1"]],
                    "conditions": [["type": "Ready", "status": "True"]],
                ],
            ]))
        ledger.setNode(node.name, allocatable: ResourceVector(allocatable))
        state.agentObjects[node.name] = AgentObject(
            Object([
                "apiVersion": "mesos.apus.dev/v1", "kind": "Agent", "metadata": ["name": .string(node.name)],
                "spec": ["id": .string("S\(index)"), "state": "active", "reserved": [], "volumes": []],
            ]))
        state.set(node: node, named: node.name)
    }

    // MARK: Frameworks

    /// Subscribes a framework; an id makes it a failover.
    @discardableResult
    mutating func subscribe(
        roles: [String] = ["r"], capabilities: [String] = [], id: String? = nil, timeout: Double = 100,
        constraints: JSON = .null, principal: String? = nil, maximum: Int = 1 << 20
    ) -> String {
        var info: JSON = [
            "name": "test", "user": "root", "roles": JSON(roles), "failover_timeout": Message.double(timeout),
            "capabilities": .array(
                (["MULTI_ROLE", "RESERVATION_REFINEMENT"] + capabilities).map { ["type": .string($0)] }),
        ]
        if let id { info["id"] = Message.id(id) }
        let id = state.prepare(
            .init(info: info, suppressedRoles: [], constraints: constraints, principal: principal))
        let stream = FrameworkStream(id: "stream \(id) \(uids)", format: .json, maximum: maximum)
        uids += 1
        _ = state.attach(stream, to: id)
        streams[id] = stream
        inbox[id] = nil
        return id
    }

    func stream(of id: String) -> FrameworkStream? { streams[id] }

    /// Events that came since the last call, of one type.
    mutating func events(_ type: String, of id: String) -> [JSON] {
        let new = streams[id]?.take(atMost: .max).events ?? []
        let all = inbox[id, default: []] + new
        inbox[id] = all.filter { $0["type"].string != type }
        return all.filter { $0["type"].string == type }.map { $0[type.lowercased()] }
    }

    /// Runs a cycle and gives the offers that a framework got since it was last asked.
    mutating func offers(to id: String) -> [JSON] {
        state.allocate()
        return events("OFFERS", of: id).flatMap { $0["offers"].elements }
    }

    mutating func updates(of id: String) -> [JSON] { events("UPDATE", of: id).map { $0["status"] } }

    mutating func pass(_ seconds: Double) {
        state.now += .milliseconds(Int(seconds * 1000))
        state.seconds += seconds
    }

    // MARK: Pods

    /// Makes a launched pod what it would be on a node: the scheduler claims its share, and its containers are in a state.
    mutating func show(_ launch: MasterState.Launch, _ containers: JSON, phase: String = "Running") {
        guard let made = launch.pod else { return }
        var tree = made.tree
        let uid = "uid-\(made.key.name)"
        tree["metadata"]["uid"] = .string(uid)
        tree["status"]["phase"] = .string(phase)
        tree["status"]["containerStatuses"] = .array(
            tree["spec"]["containers"].elements.map { ["name": $0["name"], "state": containers] })
        let pod = MasterPod(Object(tree))
        if phase == "Running" || phase == "Pending" {
            ledger.set(Claim(.boundPod(uid: uid), node: pod.node, resources: pod.requests))
        } else {
            ledger.remove(.pod(uid: uid))
        }
        state.launched(launch, uid: uid)
        state.set(pod: pod, at: made.key)
    }
    mutating func run(_ launch: MasterState.Launch) {
        show(launch, ["running": ["startedAt": "2026-01-01T00:00:00Z"]])
    }
    mutating func end(_ launch: MasterState.Launch, status: Int = 0) {
        show(
            launch,
            [
                "terminated": [
                    "exitCode": JSON(status), "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
                ]
            ], phase: status == 0 ? "Succeeded" : "Failed")
    }

    /// A pod of Kubernetes's own, bound to a node.
    mutating func addPod(
        _ name: String, namespace: String = "default", node: Int = 0, cpu: String, claim: Claim? = nil
    ) {
        let pod = MasterPod(
            Object([
                "apiVersion": "v1", "kind": "Pod",
                "metadata": ["name": .string(name), "namespace": .string(namespace), "uid": .string(name)],
                "spec": [
                    "nodeName": .string("n\(node)"),
                    "containers": [["name": "c", "resources": ["requests": ["cpu": .string(cpu), "memory": "64Mi"]]]],
                ], "status": ["phase": "Running"],
            ]))
        ledger.set(claim ?? Claim(.boundPod(uid: name), node: pod.node, resources: pod.requests))
        state.set(pod: pod, at: pod.key)
    }

    /// The same pod is gone.
    mutating func remove(_ name: String, namespace: String) {
        ledger.remove(.pod(uid: name))
        if let pod = state.otherPods[ObjectKey(namespace: namespace, name: name)] { state.set(gone: pod) }
    }

    mutating func setRole(_ role: String, weight: Double = 1, quota: JSON = .null) {
        state.set(
            role: RoleObject(
                Object([
                    "apiVersion": "mesos.apus.dev/v1", "kind": "Role", "metadata": ["name": .string(role)],
                    "spec": ["role": .string(role), "weight": Message.double(weight), "quota": quota],
                ])), named: role)
    }
}

/// Messages in short.
enum Make {
    static func scalar(_ name: String, _ value: Double, reservedFor role: String? = nil) -> JSON {
        var resource: JSON = ["name": .string(name), "type": "SCALAR", "scalar": ["value": Message.double(value)]]
        if let role { resource["reservations"] = [["type": "DYNAMIC", "role": .string(role)]] }
        return resource
    }
    static func task(_ id: String, agent: String = "S0", cpus: Double = 1, mem: Double = 32) -> JSON {
        [
            "name": .string(id), "task_id": Message.id(id), "agent_id": Message.id(agent),
            "command": ["value": "true"], "resources": [scalar("cpus", cpus), scalar("mem", mem)],
        ]
    }
    static func launch(_ tasks: [JSON]) -> JSON { ["type": "LAUNCH", "launch": ["task_infos": .array(tasks)]] }

    static func volume(_ id: String, role: String, mb: Double) -> JSON {
        var disk = scalar("disk", mb, reservedFor: role)
        disk["disk"] = [
            "persistence": ["id": .string(id)], "volume": ["container_path": "data", "mode": "RW"],
        ]
        return disk
    }
    static func id(_ offer: JSON) -> String { offer["id"]["value"].string ?? "" }
    static func resources(_ offer: JSON) -> Resources {
        (try? Resources(offer["resources"]).unallocated) ?? Resources()
    }
}
