import JSON
import Ledger
import MesosModel
import ObjectModel

/// What the scheduler reads of a Pod; made once per version.
final class PodView: Sendable {
    let key: ObjectKey
    let uid: String
    let revision: Revision
    let labels: [String: String]
    let schedulerName: String
    /// Empty until the pod is bound.
    let nodeName: String
    /// Succeeded or Failed: it holds nothing any more.
    let isFinished: Bool
    let isTerminating: Bool
    let isGated: Bool
    let mayPreempt: Bool
    /// Where victims are making room for it; empty for most.
    let nominatedNode: String
    /// When it was created, and when it was accepted by its node (both microseconds since 1970).
    let created: Int64
    let started: Int64
    /// What the PodScheduled condition says now, so that it is not written again.
    let scheduledReason: String
    let scheduledMessage: String
    let scheduledStatus: String
    /// Host ports that it was given; empty until it is bound.
    let assignedPorts: [Int]
    /// Everything that placement depends on, shared by the pods of one owner.
    let template: PodTemplate

    var priority: Int { template.priority }

    init(_ object: Object) {
        let tree = object.tree
        let spec = tree["spec"]
        let status = tree["status"]
        key = object.key
        uid = object.uid
        revision = object.metadata.resourceVersion
        labels = object.metadata.labels
        schedulerName = spec["schedulerName"].string ?? ""
        nodeName = spec["nodeName"].string ?? ""
        let phase = status["phase"].string ?? ""
        isFinished = phase == "Succeeded" || phase == "Failed"
        isTerminating = object.metadata.isTerminating
        isGated = !spec["schedulingGates"].elements.isEmpty
        mayPreempt = spec["preemptionPolicy"].string != "Never"
        nominatedNode = status["nominatedNodeName"].string ?? ""
        created = object.metadata.creationTimestamp?.microseconds ?? 0
        started = status["startTime"].string.flatMap { Timestamp($0)?.microseconds } ?? Int64.max
        let condition = status["conditions"].elements.first { $0["type"].string == "PodScheduled" } ?? JSON.null
        scheduledReason = condition["reason"].string ?? ""
        scheduledMessage = condition["message"].string ?? ""
        scheduledStatus = condition["status"].string ?? ""
        let annotations = tree["metadata"]["annotations"]
        assignedPorts = nodeName.isEmpty ? [] : PortRequest.assigned(annotations[PortRequest.assignedKey].string)
        template = PodTemplate(spec, metadata: object.metadata, annotations: annotations)
    }

    /// The host ports that it holds once it is bound.
    var hostPorts: [HostPort] { template.hostPorts(assigned: assignedPorts) }

    /// The share of the node that the pod holds.
    func boundClaim(on node: String, role: String) -> Claim {
        claim(.boundPod(uid: uid), node, hostPorts, role)
    }
    /// The share that it would hold with ports that were chosen for it.
    func assumedClaim(on node: String, ports: [Int], role: String) -> Claim {
        claim(.assumedPod(uid: uid), node, template.hostPorts(assigned: ports), role)
    }

    private func claim(_ owner: Claim.Owner, _ node: String, _ ports: [HostPort], _ role: String) -> Claim {
        var claim = Claim(owner, node: node, resources: template.requests, hostPorts: ports, role: role)
        claim.reserveUse = template.reserveUse
        claim.heedsGuarantees = template.heedsGuarantees
        return claim
    }
}

/// The part of a pod that decides where it may run. Pods with equal templates are evaluated once (equivalence classes).
struct PodTemplate: Sendable, Hashable {
    var namespace: String
    var priority: Int
    /// Effective requests with `pods` = 1 (sidecars, init containers and overhead counted as the kubelet does).
    var requests: ResourceVector
    /// Requests for scoring: containers that ask for nothing count as 100m and 200 MiB.
    var scoredMilliCPU: Int64
    var scoredMemory: Int64
    var nodeSelector: [String: String]
    /// Required node affinity; nil when there is none.
    var requiredNodes: [NodeSelectorTerm]?
    var preferredNodes: [Preferred<NodeSelectorTerm>]
    var tolerations: [Toleration]
    /// Ports that are given; ones to be chosen are in `portRequests` alone.
    var hostPorts: [HostPort]
    var portRequests: [PortRequest]
    /// Marathon's placement constraints; the label that says whose instances are counted is in `constraintGroup`.
    var constraints: [MarathonConstraint]
    var constraintGroup: String
    /// Normalised image names, for locality.
    var images: [String]
    var spread: [SpreadConstraint]
    var affinity: PodAffinityTerms
    var antiAffinity: PodAffinityTerms
    /// Names of the persistent volume claims.
    var volumeClaims: [String]
    /// Uid of the controller, for the default spreading; empty for bare pods.
    var owner: String
    /// How the pods stand to what is reserved for their role.
    var reserveUse = ReserveUse.first

    /// False for those without which the cluster does not work: they do not wait for guarantees of roles.
    var heedsGuarantees: Bool { namespace != "kube-system" && priority < Self.systemPriority }
    /// Of `system-cluster-critical`; that of `system-node-critical` is higher.
    private static let systemPriority = 2_000_000_000

    /// True when a node's fitness depends on that node alone.
    var isNodeLocal: Bool {
        spread.isEmpty && affinity.isEmpty && antiAffinity.isEmpty && volumeClaims.isEmpty
            && (constraints.isEmpty || constraints.allSatisfy { !$0.isCounting })
    }

    /// The only nodes that can be chosen, when the required affinity names them (pods of daemon sets).
    var pinnedNodes: [String]? {
        guard let requiredNodes, !requiredNodes.isEmpty else { return nil }
        var names: [String] = []
        for term in requiredNodes {
            guard let more = term.nodeNames else { return nil }
            names += more
        }
        return names
    }

    init(_ spec: JSON, metadata: ObjectMetadata, annotations: JSON) {
        namespace = metadata.namespace
        priority = spec["priority"].int ?? 0
        let sums = PodRequests(spec)
        requests = sums.requests
        scoredMilliCPU = sums.scoredMilliCPU
        scoredMemory = sums.scoredMemory
        nodeSelector = spec["nodeSelector"].stringMap
        let nodeAffinity = spec["affinity"]["nodeAffinity"]
        let required = nodeAffinity["requiredDuringSchedulingIgnoredDuringExecution"]
        requiredNodes = required.isNull ? nil : required["nodeSelectorTerms"].elements.map(NodeSelectorTerm.init)
        preferredNodes = nodeAffinity["preferredDuringSchedulingIgnoredDuringExecution"].elements.map {
            Preferred(weight: $0["weight"].int ?? 0, NodeSelectorTerm($0["preference"]))
        }
        tolerations = spec["tolerations"].elements.map(Toleration.init)
        owner = metadata.controller?.uid ?? ""
        spread = spec["topologySpreadConstraints"].elements.compactMap { SpreadConstraint($0, metadata) }
        affinity = PodAffinityTerms(spec["affinity"]["podAffinity"], metadata)
        antiAffinity = PodAffinityTerms(spec["affinity"]["podAntiAffinity"], metadata)
        volumeClaims = spec["volumes"].elements.compactMap { volume in
            if let claim = volume["persistentVolumeClaim"]["claimName"].string { return claim }
            return volume["ephemeral"].isNull ? nil : "\(metadata.name)-\(volume["name"].string ?? "")"
        }
        hostPorts = []
        portRequests = []
        constraints = []
        constraintGroup = ""
        images = []
        for container in spec["containers"].elements {
            if let image = container["image"].string { images.append(Self.normalizedImage(image)) }
        }
        for container in spec["initContainers"].elements {
            if let image = container["image"].string { images.append(Self.normalizedImage(image)) }
        }
        let sidecars = spec["initContainers"].elements.filter { $0["restartPolicy"].string == "Always" }
        for container in spec["containers"].elements + sidecars {
            for port in container["ports"].elements {
                guard let number = port["hostPort"].int, number > 0 else { continue }
                hostPorts.append(
                    HostPort(
                        address: port["hostIP"].string ?? "", transport: port["protocol"].string ?? "TCP", port: number)
                )
            }
        }
        // Tasks of frameworks say which reservations they use, and the master counts them.
        if metadata.labels[MesosNames.frameworkLabel] != nil, metadata.labels[MesosNames.marathonAppLabel] == nil {
            reserveUse = .none
        }
        if !annotations.members.isEmpty { read(annotations, labels: metadata.labels) }
    }

    private mutating func read(_ annotations: JSON, labels: [String: String]) {
        portRequests = PortRequest.parse(annotations[PortRequest.requestKey].string)
        for request in portRequests where request.port > 0 {
            for transport in request.transports { hostPorts.append(HostPort(transport: transport, port: request.port)) }
        }
        constraints = MarathonConstraint.parse(annotations[MarathonConstraint.annotation].string)
        if let accepted = annotations[Self.acceptedRolesKey].string,
            let roles = (try? JSON.parse(accepted))?.elements.compactMap(\.string), !roles.isEmpty
        {
            reserveUse = roles.allSatisfy { $0 == "*" } ? .none : roles.contains("*") ? .first : .only
        }
        if !constraints.isEmpty { constraintGroup = labels[MarathonConstraint.groupLabel] ?? "" }
    }

    /// Annotation: Marathon's `acceptedResourceRoles`, a list in JSON.
    private static let acceptedRolesKey = "marathon.apus.dev/accepted-resource-roles"

    /// A name without tag or digest means `:latest`.
    private static func normalizedImage(_ image: String) -> String {
        let last = image.utf8.split(separator: UInt8(ascii: "/")).last ?? Substring(image).utf8
        return last.contains(UInt8(ascii: ":")) || image.utf8.contains(UInt8(ascii: "@")) ? image : image + ":latest"
    }
}

/// Something with a weight from 1 to 100.
struct Preferred<Term: Sendable & Hashable>: Sendable, Hashable {
    var weight: Int
    var term: Term

    init(weight: Int, _ term: Term) {
        self.weight = weight
        self.term = term
    }
}

/// A pod's requests: per resource the larger of what its containers and sidecars need together and what any init
/// container needs beside the sidecars started before it, plus overhead; pod-level requests take the sum's place.
struct PodRequests {
    var requests = ResourceVector()
    var scoredMilliCPU: Int64 = 0
    var scoredMemory: Int64 = 0

    private static let defaultMilliCPU: Int64 = 100
    private static let defaultMemory: Int64 = 200 << 20

    init(_ spec: JSON) {
        var running = Self.Sum()
        for container in spec["containers"].elements { running.add(container["resources"]) }
        var sidecars = Self.Sum()
        var peak = Self.Sum()
        for container in spec["initContainers"].elements {
            if container["restartPolicy"].string == "Always" {
                sidecars.add(container["resources"])
                running.add(container["resources"])
                peak.maximize(sidecars)
            } else {
                var alone = sidecars
                alone.add(container["resources"])
                peak.maximize(alone)
            }
        }
        running.maximize(peak)
        let podLevel = spec["resources"]
        if !podLevel.isNull {
            let total = Self.effective(podLevel)
            for name in ["cpu", "memory"] where total[name] > 0 { running.requests[name] = total[name] }
            if total.milliCPU > 0 { running.milliCPU = total.milliCPU }
            if total.memory > 0 { running.memory = total.memory }
        }
        let overhead = ResourceVector(spec["overhead"])
        requests = running.requests + overhead
        requests.pods = 1
        scoredMilliCPU = running.milliCPU + overhead.milliCPU
        scoredMemory = running.memory + overhead.memory
    }

    /// Requests, where unset the limits.
    private static func effective(_ resources: JSON) -> ResourceVector {
        var result = ResourceVector(resources["requests"])
        let asked = resources["requests"]
        for (name, value) in resources["limits"].members where asked[name].isNull {
            guard let quantity = Quantity(value) else { continue }
            result[name] = ResourceVector.amount(of: quantity, name)
        }
        return result
    }

    private struct Sum {
        var requests = ResourceVector()
        var milliCPU: Int64 = 0
        var memory: Int64 = 0

        mutating func add(_ resources: JSON) {
            let one = PodRequests.effective(resources)
            requests += one
            milliCPU += one.milliCPU == 0 ? PodRequests.defaultMilliCPU : one.milliCPU
            memory += one.memory == 0 ? PodRequests.defaultMemory : one.memory
        }
        mutating func maximize(_ other: Sum) {
            requests = requests.maximum(other.requests)
            milliCPU = max(milliCPU, other.milliCPU)
            memory = max(memory, other.memory)
        }
    }
}
