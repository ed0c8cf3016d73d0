import ClusterClient
import HTTPWindow
import JSON
import Logging
import MesosModel
import ObjectModel

/// The pods that containers of the agent's API are: standalone ones, and those beside a task.
///
/// A pod outlives this process, and everybody sees it; see docs/decisions/0008. Only the programs of sessions are none.
struct ContainerPods: Sendable {
    static let maximumRunning = 512
    /// Ended containers that nobody removed; beyond these the oldest go.
    static let maximumEnded = 1000
    static let standalone = "standalone"
    static let nested = "nested"

    let caches: AgentCaches
    let facts: AgentFacts
    let client: ClusterClient

    func pod(_ path: ContainerPath) -> NodePod? { caches.podsByContainer[path].first }
    var all: [NodePod] { caches.pods.all.filter { $0.containerPath != nil } }

    // MARK: Making

    /// What a container's pod is made for.
    struct Wish: Sendable {
        var path: ContainerPath
        /// `Call.LaunchContainer`.
        var call: JSON
        /// The running container that it is beside; nil for a standalone one.
        var parent: NodePod?
    }

    /// Makes the pod and waits until its program runs.
    /// - Returns: false when there is such a container already.
    /// - Throws: `WindowError` 400 when it cannot be run, 503 when there are too many.
    func launch(_ wish: Wish) async throws -> Bool {
        if pod(wish.path) != nil { return false }
        guard all.lazy.filter({ !$0.isEnded }).count < Self.maximumRunning else {
            throw WindowError(503, "there are \(Self.maximumRunning) containers already")
        }
        let made: Object
        do {
            guard let object = try await create(try tree(wish), role: role(wish)) else { return false }
            made = object
        } catch let error as MesosError {
            throw WindowError(400, "The container '\(wish.path)' cannot be launched: \(error.message)")
        } catch let error as StatusError {
            // What admission refuses is the caller's wish, what fails beyond that is not.
            throw WindowError(
                (400..<500).contains(error.code) ? 400 : 503,
                "The container '\(wish.path)' cannot be launched: \(error)")
        }
        if let problem = try await outcome(of: made) {
            try? await deleteAndSee(made.key, uid: made.uid)
            throw WindowError(400, "The container '\(wish.path)' cannot be launched: \(problem)")
        }
        return true
    }

    private func role(_ wish: Wish) -> String {
        if let parent = wish.parent { return parent.annotations[MesosNames.roleAnnotation].string ?? "*" }
        for resource in wish.call["resources"].elements {
            if let role = resource["reservations"].elements.last?["role"].string ?? resource["role"].string {
                return role
            }
        }
        return "*"
    }

    private func tree(_ wish: Wish) throws -> JSON {
        var place = PodBuilder.Place(
            node: caches.node, agentID: facts.agentID ?? "", framework: [:], frameworkID: "", role: role(wish))
        place.hasStatusFinalizer = false
        let call = wish.call
        let networks = call["container"]["network_infos"].elements
        if wish.parent != nil, !networks.isEmpty || !call["container"]["docker"]["network"].isNull {
            throw MesosError(.invalid, "a nested container has its parent's network")
        }
        if call["container"]["mesos"]["image"].isNull, call["container"]["docker"].isNull,
            call["command"]["value"].isNull, call["command"]["arguments"].elements.isEmpty
        {
            throw MesosError(.invalid, "Expecting 'command' to be present")
        }
        let marker: JSON = [
            "name": .string(NestedContainer.markerName), "value": .string(PodBuilder.literal(wish.path.description)),
        ]
        var tree = try PodBuilder.pod(
            container: call, id: wish.path.description, environment: [marker], place: place)
        tree["metadata"]["annotations"][MesosNames.containerAnnotation] = .string(wish.path.json.description)
        tree["metadata"]["labels"][MesosNames.containerLabel] = .string(
            wish.parent == nil ? Self.standalone : Self.nested)
        if let parent = wish.parent {
            tree["metadata"]["namespace"] = .string(parent.key.namespace)
            tree["metadata"]["ownerReferences"] = [
                ["apiVersion": "v1", "kind": "Pod", "name": .string(parent.key.name), "uid": .string(parent.uid)]
            ]
            try join(&tree, parent)
        }
        return tree
    }

    /// Gives a pod its parent's network.
    private func join(_ tree: inout JSON, _ parent: NodePod) throws {
        guard !parent.usesHostNetwork else { return }
        guard tree["spec"]["runtimeClassName"].string == MesosNames.processRuntimeClass else {
            throw WindowError(
                501, "A nested container with an image needs a parent on the host's network: start a pod beside it")
        }
        tree["metadata"]["annotations"][MesosNames.networkOfAnnotation] = .string(
            parent.annotations[MesosNames.networkOfAnnotation].string ?? parent.uid)
    }

    /// - Returns: nil when there is a pod of that name.
    private func create(_ tree: JSON, role: String) async throws -> Object? {
        let isMissing: Bool
        do {
            return try await client.create(.pods, tree)
        } catch let error as StatusError {
            if error.reason == .alreadyExists { return nil }
            guard error.reason == .notFound else { throw error }
            isMissing = true
        }
        if isMissing {
            var metadata: JSON = ["name": tree["metadata"]["namespace"]]
            metadata["annotations"] = [MesosNames.roleAnnotation: .string(role)]
            _ = try await client.create(
                .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": metadata])
        }
        // The namespace's service account comes a moment later.
        let end = ContinuousClock.now + .seconds(10)
        while true {
            do {
                return try await client.create(.pods, tree)
            } catch let error as StatusError {
                if error.reason == .alreadyExists { return nil }
                if ContinuousClock.now > end { throw error }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Reasons to wait after which the original does not try again.
    private static let hopeless: Set<String> = [
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError",
        "CreateContainerError", "RunContainerError", "CrashLoopBackOff",
    ]
    private static let neverRan: Set<String> = [
        "FetchFailed", "StartError", "ContainerCannotRun", "CreateContainerError",
    ]

    /// Waits until a pod's program has begun.
    /// - Returns: why it did not; nil when it did.
    private func outcome(of made: Object) async throws -> String? {
        var wasSeen = false
        let patience = ContinuousClock.now + .seconds(30)
        while true {
            if let pod = caches.pods[made.key], pod.uid == made.uid {
                wasSeen = true
                let container = pod.containers.first
                if container?.isRunning == true { return nil }
                if let end = container?.terminated {
                    return Self.neverRan.contains(end.reason) ? "\(end.reason): \(end.message)" : nil
                }
                if let wait = container?.waiting, Self.hopeless.contains(wait.reason) {
                    return "\(wait.reason): \(wait.message)"
                }
                if pod.isEnded {
                    let status = pod.object.tree["status"]
                    return status["message"].string ?? status["reason"].string ?? "the node refused it"
                }
                if pod.isTerminating { return "it was deleted" }
            } else if wasSeen {
                return "it was deleted"
            } else if ContinuousClock.now > patience {
                return "the node does not see it"
            }
            try await Task.sleep(for: .milliseconds(15))
        }
    }

    // MARK: Ending

    func delete(_ key: ObjectKey, uid: String, graceSeconds: Int = 0) async throws {
        var options = DeleteOptions(uid: uid)
        options.gracePeriodSeconds = graceSeconds
        do {
            try await client.delete(.pods, key, options: options)
        } catch let error as StatusError where error.reason == .notFound || error.reason == .conflict {
            // Gone, or another one by now.
        }
    }

    /// Forgets an ended container and what was nested in it.
    func remove(_ pod: NodePod, _ path: ContainerPath) async throws {
        for other in all where other.containerPath?.isInside(path) == true {
            try await delete(other.key, uid: other.uid)
        }
        try await deleteAndSee(pod.key, uid: pod.uid)
    }

    /// Deletes a container's pod; its id is free when this returns.
    private func deleteAndSee(_ key: ObjectKey, uid: String) async throws {
        try await delete(key, uid: uid)
        let end = ContinuousClock.now + .seconds(10)
        while caches.pods[key]?.uid == uid, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    // MARK: Keeping in step

    /// Ends nested containers whose parent has ended, and forgets the oldest of too many ended ones. May be repeated.
    func tidy(_ parent: (ContainerPath) -> (pod: NodePod, container: NodeContainer)?) async throws {
        var ended: [NodePod] = []
        for pod in all {
            guard let path = pod.containerPath else { continue }
            if let above = path.parent {
                let found = parent(above)
                let isOver =
                    found.map { $0.pod.isEnded || $0.pod.isTerminating || $0.container.terminated != nil } ?? true
                if isOver {
                    if !pod.isTerminating { try await delete(pod.key, uid: pod.uid, graceSeconds: 1) }
                    continue
                }
            }
            if pod.isEnded { ended.append(pod) }
        }
        guard ended.count > Self.maximumEnded else { return }
        ended.sort { $0.object.metadata.resourceVersion < $1.object.metadata.resourceVersion }
        for pod in ended.dropLast(Self.maximumEnded) { try await delete(pod.key, uid: pod.uid) }
    }
}

/// Lets `ContainerPods` tidy up after every change of a pod that may matter.
struct ContainerKeeper: Sendable {
    let calls: ContainerCalls
    let logger: Logger
    private let wakeUps: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// Before the caches run.
    init(calls: ContainerCalls, logger: Logger) {
        self.calls = calls
        self.logger = logger
        (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        let (wake, caches) = (wake, calls.caches)
        caches.pods.subscribe { event in
            let pod =
                switch event {
                case .added(let pod), .modified(_, let pod), .deleted(let pod): pod
                }
            // Most pods are nobody's parent: then there is little to look through.
            if pod.containerPath != nil || pod.isEnded || pod.isTerminating { wake.yield() }
            if case .deleted = event { wake.yield() }
        }
    }

    /// After the caches were filled.
    func run() async {
        wake.yield()
        for await _ in wakeUps {
            if Task.isCancelled { return }
            do {
                try await calls.pods.tidy { calls.main($0) }
            } catch {
                if Task.isCancelled { return }
                logger.warning("containers cannot be tidied; trying again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
                wake.yield()
            }
        }
    }
}
