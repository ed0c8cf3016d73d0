import ContainerRuntime
import JSON
import ObjectModel

@testable import NodeAgent

/// A pod with one container `web`, changed as the test needs.
func makePod(
    spec: JSON = [:], containers: [JSON] = [["name": "web", "image": "web:1"]], metadata: JSON = [:], status: JSON = [:]
) -> Pod {
    var tree: JSON = [
        "apiVersion": "v1", "kind": "Pod",
        "metadata": ["name": "p", "namespace": "ns", "uid": "u-1", "resourceVersion": "1", "generation": 1],
        "spec": ["nodeName": "n1", "containers": .array(containers)], "status": status,
    ]
    for (key, value) in spec.members { tree["spec"][key] = value }
    for (key, value) in metadata.members { tree["metadata"][key] = value }
    return Pod(Object(tree))
}

let t0 = Timestamp(seconds: 1_800_000_000)

extension PodRuntime {
    static let sandboxID = "s1"
    /// A ready sandbox and these containers.
    static func ready(_ containers: ContainerRecord...) -> PodRuntime {
        PodRuntime(
            sandbox: SandboxRecord(id: sandboxID, attempt: 0, isReady: true, addresses: ["10.1.0.2"], createdAt: 1),
            containers: containers)
    }
}

extension ContainerRecord {
    /// A container of the fixture pod, ended or running, made from its spec so that the hash fits.
    static func of(
        _ pod: Pod, _ name: String, _ state: ContainerState, exit: Int = 0, attempt: Int = 0, finished: Timestamp = t0,
        sandbox: String = PodRuntime.sandboxID
    ) -> ContainerRecord {
        var record = ContainerRecord(
            id: "\(name)-\(attempt)", sandbox: sandbox, name: name, attempt: attempt,
            hash: pod.container(named: name)?.hash ?? "", state: state)
        record.createdAt = 1
        record.startedAt = (t0.microseconds - 60_000_000) * 1000
        if state == .exited {
            record.exitCode = exit
            record.finishedAt = finished.microseconds * 1000
            record.reason = exit == 0 ? "Completed" : "Error"
        }
        return record
    }
}
