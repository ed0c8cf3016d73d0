import ClusterClient
import ContainerRuntime
import JSON
import Logging
import ObjectModel
import Synchronization

/// What all parts of one agent share.
struct AgentContext: Sendable {
    let configuration: NodeAgent.Configuration
    let client: ClusterClient
    let runtime: any Runtime
    let images: ImageManager
    let cache: ObjectCache
    let volumes: VolumeManager
    let cgroups: CgroupManager
    let prober: Prober
    let fetcher: Fetcher
    let recorder: EventRecorder
    let services: Informer<ServiceView>
    let logs: LogFiles
    let facts: HostFacts
    let resolver: ResolverConfiguration
    let logger: Logger
    /// The pressures that pods are refused and the node's conditions are set by.
    let pressure = Mutable(NodePressure())
    /// What each pod that is not finished holds, by uid.
    let allocations = Mutable<[String: Allocation]>([:])
    let sandboxGate: StartGate

    /// What pods may use of the node.
    var allocatableMemory: Int {
        max(facts.memoryBytes - configuration.evictionThresholds.reservedMemory(capacity: facts.memoryBytes), 0)
    }
    var allocatableMilliCPU: Int { facts.cpus * 1000 }

    func configBuilder(_ pod: Pod) -> ContainerConfigBuilder {
        ContainerConfigBuilder(
            pod: pod, clusterID: configuration.clusterID, files: networkFiles(pod), resolver: resolver,
            cgroupParent: cgroups.path(pod.uid, QualityOfService(pod.spec)), logDirectory: logs.directory(pod),
            nodeMemory: facts.memoryBytes, lowestOOMScore: facts.lowestOOMScore, isCgroupV2: cgroups.version == .v2)
    }
    func networkFiles(_ pod: Pod) -> PodNetworkFiles {
        PodNetworkFiles(
            pod: pod, clusterDomain: configuration.clusterDomain, clusterDNS: configuration.clusterDNS,
            nodeHostname: facts.hostname)
    }
    func fields(_ pod: Pod, _ addresses: PodAddresses) -> DownwardFields {
        DownwardFields(
            pod: pod, addresses: addresses, nodeMilliCPU: allocatableMilliCPU, nodeMemory: allocatableMemory)
    }

    // MARK: Events

    func event(
        _ pod: Pod, _ kind: EventRecorder.Kind, _ reason: String, _ message: String, container: ContainerSpec? = nil
    ) {
        var path = ""
        if let container {
            let list =
                switch container.kind {
                case .regular: "containers"
                case .initial, .sidecar: "initContainers"
                case .ephemeral: "ephemeralContainers"
                }
            path = "spec.\(list){\(container.name)}"
        }
        recorder.record(EventRecorder.Reference(pod.object, fieldPath: path), kind, reason: reason, message: message)
    }
}

/// A value that the parts of one agent share.
final class Mutable<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) {
        self.value = Mutex(value)
    }
    func withLock<Result: Sendable>(_ body: @Sendable (inout Value) -> Result) -> Result {
        value.withLock { body(&$0) }
    }
}
