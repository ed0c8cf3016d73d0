import ClusterClient
import ContainerRuntime
import JSON
import ObjectModel

/// Registers the node, renews its lease, and tells its condition.
actor NodeStatus {
    private static let leaseSeconds = 40
    private let context: AgentContext
    private var lastWritten: JSON?
    private var lastWrite: Timestamp?
    private var isRegistered = false
    private var images: [JSON] = []
    private var runtimeVersion = "containerd://unknown"

    init(context: AgentContext) {
        self.context = context
    }
    private var name: String { context.configuration.nodeName }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.runStatus() }
            group.addTask { await self.runLease() }
            await group.waitForAll()
        }
    }

    private func runStatus() async {
        var delay = Duration.milliseconds(200)
        while !Task.isCancelled {
            do {
                if !isRegistered { try await register() }
                try await tell()
                delay = .milliseconds(200)
                // A node that is not ready yet is looked at more often, so that it is ready soon.
                let isReady = lastWritten?["conditions"].elements.contains {
                    $0["type"].string == "Ready" && $0["status"].string == "True"
                }
                let told = context.pressure.withLock { $0 }
                let end = ContinuousClock.now + (isReady == true ? .seconds(10) : .milliseconds(500))
                // A pressure is told at once: pods must not come meanwhile.
                while !Task.isCancelled, ContinuousClock.now < end, context.pressure.withLock({ $0 }) == told {
                    try await Task.sleep(for: min(.seconds(1), max(end - .now, .milliseconds(1))))
                }
            } catch {
                if Task.isCancelled { return }
                context.logger.warning("the node status cannot be written", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: delay)
                delay = min(delay * 2, .seconds(10))
            }
        }
    }

    // MARK: Registration

    private var labels: [String: String] {
        let standard = [
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
            "kubernetes.io/arch": context.facts.architecture, "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": context.facts.architecture,
        ]
        return context.configuration.labels.merging(standard) { _, own in own }
    }

    private func register() async throws {
        let (name, cidr, labels) = (self.name, context.configuration.podCIDR, self.labels)
        let node: JSON = [
            "apiVersion": "v1", "kind": "Node",
            "metadata": [
                "name": .string(name), "labels": JSON(labels),
                "annotations": ["volumes.kubernetes.io/controller-managed-attach-detach": "true"],
            ],
            "spec": cidr.isEmpty ? [:] : ["podCIDR": .string(cidr), "podCIDRs": [.string(cidr)]],
        ]
        do {
            try await context.client.create(.nodes, node)
        } catch let error as StatusError where error.reason == .alreadyExists {
            try await context.client.modify(.nodes, ObjectKey(name: name)) { tree in
                let before = tree
                for (key, value) in labels { tree["metadata"]["labels"][key] = .string(value) }
                if tree["spec"]["podCIDR"].string == nil, !cidr.isEmpty {
                    tree["spec"]["podCIDR"] = .string(cidr)
                    tree["spec"]["podCIDRs"] = [.string(cidr)]
                }
                return tree != before
            }
        }
        if !isRegistered {
            let object = try await context.client.get(.nodes, ObjectKey(name: name))
            context.recorder.record(
                EventRecorder.Reference(
                    kind: GroupVersionKind(group: "", version: "v1", kind: "Node"), key: object.key, uid: name),
                .normal, reason: "Starting", message: "Starting kubelet.")
        }
        isRegistered = true
    }

    // MARK: Status

    /// Writes the status when something changed, and every five minutes.
    private func tell() async throws {
        let now = Timestamp.now
        let fresh = await build()
        if fresh == lastWritten, let lastWrite, now - lastWrite < .seconds(300) { return }
        let written = try await context.client.modify(.nodes, ObjectKey(name: name), subresource: "status") { tree in
            let old = tree["status"]
            var status = old.object == nil ? [:] : old
            for (member, value) in fresh.members where member != "conditions" { status[member] = value }
            let before = old["conditions"].elements
            var conditions = fresh["conditions"].elements.map { condition in
                var condition = condition
                let known = before.first { $0["type"] == condition["type"] }
                condition["lastHeartbeatTime"] = .string(now.rfc3339)
                let isSame = known.map { $0["status"] == condition["status"] } ?? false
                condition["lastTransitionTime"] =
                    isSame ? known?["lastTransitionTime"] ?? .string(now.rfc3339) : .string(now.rfc3339)
                return condition
            }
            let types = Set(conditions.compactMap { $0["type"].string })
            conditions += before.filter { !types.contains($0["type"].string ?? "") }
            status["conditions"] = .array(conditions)
            tree["status"] = status
            return true
        }
        guard written != nil else {
            // Somebody deleted the Node: come back as a new one.
            isRegistered = false
            lastWritten = nil
            throw StatusError.notFound(GroupResource(group: "", resource: "nodes"), name: name)
        }
        lastWritten = fresh
        lastWrite = now
    }

    private func build() async -> JSON {
        let facts = context.facts
        let ready = await readyCondition()
        await readImages()
        let directory = context.configuration.dataDirectory
        let disk = (try? await blocking { HostFacts.filesystem(directory) }) ?? (0, 0, 0, 0)
        var capacity: [String: String] = [
            "cpu": String(facts.cpus), "memory": "\(facts.memoryBytes / 1024)Ki",
            "ephemeral-storage": "\(disk.0 / 1024)Ki", "pods": String(context.configuration.maxPods),
        ]
        var allocatable = capacity
        allocatable["memory"] = "\(context.allocatableMemory / 1024)Ki"
        allocatable["ephemeral-storage"] = String(
            max(disk.0 - context.configuration.evictionThresholds.reservedDisk(capacity: disk.0), 0))
        for (name, bytes) in facts.hugepages {
            capacity[name] = Quantity.bytes(bytes).canonical
            allocatable[name] = capacity[name]
        }
        let status: JSON = [
            "capacity": JSON(capacity), "allocatable": JSON(allocatable),
            "conditions": .array(pressures() + [ready]),
            "addresses": [
                ["type": "InternalIP", "address": .string(context.configuration.nodeIP)],
                ["type": "Hostname", "address": .string(name)],
            ],
            "daemonEndpoints": ["kubeletEndpoint": ["Port": 10250]],
            "nodeInfo": [
                "machineID": .string(facts.machineID), "systemUUID": .string(facts.systemUUID),
                "bootID": .string(facts.bootID), "kernelVersion": .string(facts.kernelVersion),
                "osImage": .string(facts.osImage), "containerRuntimeVersion": .string(runtimeVersion),
                "kubeletVersion": .string(context.configuration.version), "kubeProxyVersion": "",
                "operatingSystem": "linux", "architecture": .string(facts.architecture),
                "swap": ["capacity": JSON(facts.swapBytes)],
            ],
            "images": .array(images),
            "runtimeHandlers": [
                ["name": "", "features": ["recursiveReadOnlyMounts": false, "userNamespaces": false]]
            ],
            "features": ["supplementalGroupsPolicy": false],
        ]
        return status
    }

    private func readyCondition() async -> JSON {
        var problems: [String] = []
        do {
            let version = try await context.runtime.version()
            runtimeVersion = "\(version.name)://\(version.version.drop { !$0.isNumber })"
            for condition in try await context.runtime.status() where !condition.isTrue {
                switch condition.type {
                case "NetworkReady":
                    problems.append(
                        "container runtime network not ready: NetworkReady=false reason:\(condition.reason) "
                            + "message:\(condition.message)")
                case "RuntimeReady":
                    problems.append(
                        "container runtime not ready: RuntimeReady=false reason:\(condition.reason) "
                            + "message:\(condition.message)")
                default: break
                }
            }
        } catch {
            problems.append("container runtime is down: \(error.message)")
        }
        return Self.condition(
            "Ready", problems.isEmpty, problems.isEmpty ? "KubeletReady" : "KubeletNotReady",
            problems.isEmpty
                ? "kubelet is posting ready status"
                : problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]")
    }

    private func pressures() -> [JSON] {
        let held = context.pressure.withLock { $0.conditions }
        func condition(_ type: String, _ bad: String, _ good: String, _ lacking: String, _ enough: String) -> JSON {
            let isHeld = held.contains(type)
            return Self.condition(type, isHeld, isHeld ? bad : good, "kubelet has \(isHeld ? lacking : enough)")
        }
        return [
            condition(
                "MemoryPressure", "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory",
                "insufficient memory available", "sufficient memory available"),
            condition(
                "DiskPressure", "KubeletHasDiskPressure", "KubeletHasNoDiskPressure", "disk pressure",
                "no disk pressure"),
            condition(
                "PIDPressure", "KubeletHasInsufficientPID", "KubeletHasSufficientPID", "insufficient PID available",
                "sufficient PID available"),
        ]
    }

    private static func condition(_ type: String, _ value: Bool, _ reason: String, _ message: String) -> JSON {
        [
            "type": .string(type), "status": value ? "True" : "False", "reason": .string(reason),
            "message": .string(message),
        ]
    }

    /// The fifty biggest images.
    private func readImages() async {
        guard let all = try? await context.runtime.images() else { return }
        images = all.sorted { ($0.sizeBytes, $0.id) > ($1.sizeBytes, $1.id) }.prefix(50).map { image in
            ["names": JSON(Array((image.digests + image.tags).prefix(5))), "sizeBytes": JSON(Int(image.sizeBytes))]
        }
    }

    // MARK: Lease

    private func runLease() async {
        while !Task.isCancelled {
            var wait = Duration.seconds(10)
            do {
                try await renew()
            } catch {
                if Task.isCancelled { return }
                context.logger.debug("the node lease cannot be renewed", metadata: ["error": "\(error)"])
                wait = .seconds(1)
            }
            try? await Task.sleep(for: wait)
        }
    }

    private func renew() async throws {
        let key = ObjectKey(namespace: "kube-node-lease", name: name)
        let now = JSON.string(Timestamp.now.rfc3339Micro)
        let found = try await context.client.modify(.leases, key) { tree in
            tree["spec"]["renewTime"] = now
            return true
        }
        if found != nil { return }
        guard let node = try await context.client.find(.nodes, ObjectKey(name: name)) else {
            throw StatusError.notFound(GroupResource(group: "", resource: "nodes"), name: name)
        }
        try await context.client.create(
            .leases,
            [
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": [
                    "name": .string(name), "namespace": "kube-node-lease",
                    "ownerReferences": [
                        ["apiVersion": "v1", "kind": "Node", "name": .string(name), "uid": .string(node.uid)]
                    ],
                ],
                "spec": [
                    "holderIdentity": .string(name), "leaseDurationSeconds": JSON(Self.leaseSeconds),
                    "renewTime": now,
                ],
            ])
    }
}
