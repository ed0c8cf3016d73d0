import ClusterClient
import ContainerRuntime
import JSON
import ObjectModel
import OrderedCollections

extension PodWorker {
    /// Carries out what `PodActions` wants started. Everything that fails is noted with the time to try again.
    func start(_ actions: PodActions) async {
        do {
            if actions.createSandbox {
                try await prepareDirectories()
                // The network and the volumes do not need each other.
                async let mounted: Void = setUpVolumes()
                async let sandbox: Void = makeSandbox()
                _ = try await (mounted, sandbox)
            } else if volumes == nil {
                try await prepareDirectories()
                try await setUpVolumes()
            }
            preparationFailures = 0
            retryAt["pod"] = nil
        } catch is CancellationError {
            return
        } catch {
            preparationFailures += 1
            let delay = Duration.milliseconds(min(500 << min(preparationFailures - 1, 8), 122_000))
            retryAt["pod"] = .now + delay
            check(after: delay)
            return
        }
        publishStatus()
        for name in actions.start {
            if Task.isCancelled || ending != nil { return }
            guard let container = pod.container(named: name) else { continue }
            await start(container)
        }
    }

    // MARK: Before the containers

    private func prepareDirectories() async throws {
        guard !isPrepared else { return }
        let directory = context.volumes.directory(of: uid)
        let logs = context.logs.directory(pod)
        let hosts = directory + "/containers"
        try await blocking {
            try Files.makeDirectories(hosts)
            try Files.makeDirectories(logs, mode: 0o755)
        }
        await context.cgroups.makePod(uid, QualityOfService(pod.spec), PodResources(allocatedPod.spec))
        isPrepared = true
    }

    private func setUpVolumes() async throws {
        do {
            volumes = try await context.volumes.setUp(pod, fields: context.fields(pod, addresses))
        } catch let error as VolumeError {
            context.event(pod, .warning, "FailedMount", error.description)
            throw error
        }
    }

    private func makeSandbox() async throws {
        let attempt = runtimeState.sandbox.map { $0.attempt + 1 } ?? 0
        do {
            var config = try context.configBuilder(pod).sandbox(attempt: attempt)
            config.runtimeHandler = try await runtimeHandler()
            if let old = runtimeState.sandbox {
                // Frees the old network before a new one is asked for.
                try await context.runtime.stopSandbox(old.id)
            }
            let (runtime, request) = (context.runtime, config)
            let id = try await context.sandboxGate.pass { try await runtime.runSandbox(request) }
            let status = try await context.runtime.sandboxStatus(id)
            generation += 1
            if let old = runtimeState.sandbox { runtimeState.oldSandboxes.append(old.id) }
            runtimeState.sandbox = SandboxRecord(
                id: id, attempt: attempt, isReady: status.isReady, addresses: status.addresses,
                createdAt: status.createdAt)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            needsRefresh = true
            try Task.checkCancellation()
            let cause = (error as? RuntimeError)?.message ?? "\(error)"
            context.event(pod, .warning, "FailedCreatePodSandBox", "Failed to create pod sandbox: \(cause)")
            logger.warning("the pod sandbox cannot be created", metadata: ["error": "\(cause)"])
            throw error
        }
    }

    private func runtimeHandler() async throws -> String {
        guard !pod.spec.runtimeClassName.isEmpty else { return "" }
        let resource = GroupVersionResource(group: "node.k8s.io", version: "v1", resource: "runtimeclasses")
        let object = try await context.client.find(resource, ObjectKey(name: pod.spec.runtimeClassName))
        guard let object else {
            throw ConfigurationError("runtimeclass.node.k8s.io \"\(pod.spec.runtimeClassName)\" not found")
        }
        return object.tree["handler"].string ?? ""
    }

    // MARK: One container

    private func start(_ container: ContainerSpec) async {
        let previous = runtimeState.latest(container.name)
        let attempt = nextAttempt(container, previous)
        if let previous, previous.isExited {
            backoff.next(
                container.backoffKey, event: Timestamp(microseconds: previous.finishedAt / 1000), now: .now)
        }
        guard let sandbox = runtimeState.sandbox else { return }
        if let problem = imageProblem(container, sandbox: sandbox.id) {
            fail(container, "CreateContainerError", problem, retry: .seconds(60))
            return
        }
        guard let image = await image(for: container) else { return }
        if Task.isCancelled || ending != nil { return }
        let config: ContainerConfig
        let sandboxConfig: SandboxConfig
        do {
            config = try await self.config(container, attempt: attempt, image: image)
            sandboxConfig = try context.configBuilder(pod).sandbox(attempt: sandbox.attempt)
        } catch {
            fail(
                container, "CreateContainerConfigError", "\((error as? StatusError)?.message ?? "\(error)")",
                retry: .seconds(10))
            return
        }
        var record = ContainerRecord(
            id: "", sandbox: sandbox.id, name: container.name, attempt: attempt, hash: container.hash, state: .created)
        do {
            record.id = try await context.runtime.createContainer(
                sandbox: sandbox.id, config, sandboxConfig: sandboxConfig)
        } catch {
            if Task.isCancelled { return }
            needsRefresh = true
            fail(container, "CreateContainerError", error.message, retry: .seconds(5))
            return
        }
        record.createdAt = Timestamp.now.microseconds * 1000
        record.image = container.image
        record.imageReference = image.digests.first ?? image.id
        self.record(record)
        context.event(pod, .normal, "Created", "Created container: \(container.name)", container: container)
        if let failed = await fetch(container, record) {
            if failed.isExited {
                self.record(failed)
                waiting[container.name] = nil
                wake.yield()
            }
            return
        }
        do {
            try await context.runtime.startContainer(record.id)
        } catch {
            needsRefresh = true
            if Task.isCancelled { return }
            fail(container, "RunContainerError", error.message, retry: .seconds(1))
            return
        }
        context.event(pod, .normal, "Started", "Started container \(container.name)", container: container)
        if container.postStart != nil { hookPending.insert(record.id) }
        await noteStarted(record)
        waiting[container.name] = nil
        retryAt[container.name] = nil
        wake.yield()
        if let hook = container.postStart { await runPostStart(hook, container, record.id) }
    }

    private func nextAttempt(_ container: ContainerSpec, _ previous: ContainerRecord?) -> Int {
        if let previous { return previous.attempt + 1 }
        // The runtime forgot (its data was lost): go on counting where the API is.
        for member in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
            for status in pod.status[member].elements where status["name"].string == container.name {
                if let id = status["containerID"].string, !id.isEmpty { return (status["restartCount"].int ?? 0) + 1 }
            }
        }
        return 0
    }

    private func noteStarted(_ created: ContainerRecord) async {
        var record = created
        record.state = .running
        record.startedAt = Timestamp.now.microseconds * 1000
        if let status = try? await context.runtime.containerStatus(record.id) {
            let (image, reference) = (record.image, record.imageReference)
            record.update(status)
            if record.image.isEmpty { record.image = image }
            if record.imageReference.isEmpty { record.imageReference = reference }
        }
        if record.state == .running {
            self.record(record)
        } else {
            // It ended already: the ordinary way of reading shows how.
            needsRefresh = true
            record.state = .running
            record.createdAt = 0
            self.record(record)
        }
    }

    private func runPostStart(_ hook: Handler, _ container: ContainerSpec, _ id: String) async {
        let problem = await context.prober.hook(
            hook, container: container, id: id, address: addresses.pod.first ?? "", timeout: .seconds(3600))
        hookPending.remove(id)
        guard let problem, !Task.isCancelled, ending == nil else {
            wake.yield()
            return
        }
        context.event(pod, .warning, "FailedPostStartHook", "PostStartHook failed: \(problem)", container: container)
        mustRestart.insert(id)
        stop(ContainerKill(id: id, name: container.name, reason: .hookFailed))
    }

    private func fail(_ container: ContainerSpec, _ reason: String, _ message: String, retry: Duration) {
        if waiting[container.name] != WaitingReason(reason: reason, message: message) {
            context.event(pod, .warning, "Failed", "Error: \(message)", container: container)
        }
        waiting[container.name] = WaitingReason(reason: reason, message: message)
        retryAt[container.name] = .now + retry
        check(after: retry)
        publishStatus()
    }

    // MARK: Image

    private func image(for container: ContainerSpec) async -> ImageStatus? {
        // Nothing to pull, and nothing to tell.
        if ProcessRuntime.isHost(container.image), let host = try? await context.runtime.image(container.image) {
            return host
        }
        let (pod, context) = (self.pod, self.context)
        let reporter = ImageManager.Reporter(
            normal: { context.event(pod, .normal, $0, $1, container: container) },
            warning: { context.event(pod, .warning, $0, $1, container: container) })
        let key = "image/\(container.image)"
        do {
            let image = try await context.images.ensure(
                container, secrets: try await registrySecrets(), reporter: reporter)
            imageBackoff.reset(key)
            return image
        } catch let failure as ImageFailure {
            let now = Timestamp.now
            imageBackoff.next(key, event: now, now: now)
            let delay = imageBackoff.delay(key)
            waiting[container.name] = WaitingReason(reason: failure.reason, message: failure.message)
            imageFailedAt[container.name] = now
            retryAt[container.name] = now + delay
            check(after: min(delay, .seconds(2)))
            publishStatus()
        } catch {
            if !Task.isCancelled { fail(container, "ErrImagePull", "\(error)", retry: .seconds(5)) }
        }
        return nil
    }

    private func registrySecrets() async throws -> RegistrySecrets {
        var result = RegistrySecrets()
        for name in pod.spec.imagePullSecrets {
            let reference = ObjectReference(
                resource: .secrets, key: ObjectKey(namespace: pod.namespace, name: name))
            if let object = try await context.cache.object(reference) {
                result.add(secret: object.tree)
            } else {
                context.event(
                    pod, .warning, "FailedToRetrieveImagePullSecret",
                    "Unable to retrieve some image pull secrets (\(name)); attempting to pull the image may not succeed."
                )
            }
        }
        return result
    }

    // MARK: Configuration

    private func config(_ container: ContainerSpec, attempt: Int, image: ImageStatus) async throws -> ContainerConfig {
        let environment = try await environment(container)
        let mounts = try await mounts(container, attempt: attempt, environment: environment)
        var target: String?
        if container.kind == .ephemeral, !container.targetContainerName.isEmpty {
            guard let record = runtimeState.latest(container.targetContainerName), record.isRunning else {
                throw ConfigurationError(
                    "unable to find target container \"\(container.targetContainerName)\"")
            }
            target = record.id
        }
        return try context.configBuilder(pod).container(
            allocatedPod.container(named: container.name) ?? container, attempt: attempt, image: image,
            environment: environment, mounts: mounts, target: target)
    }

    private func environment(_ container: ContainerSpec) async throws -> OrderedDictionary<String, String> {
        var objects: [ObjectReference: JSON] = [:]
        for reference in pod.references {
            if let object = try await context.cache.object(reference) { objects[reference] = object.tree }
        }
        let found = objects
        let namespace = pod.namespace
        let volumes = self.volumes ?? [:]
        let builder = EnvironmentBuilder(
            pod: pod, services: context.services.all, fields: context.fields(pod, addresses),
            configMap: {
                found[ObjectReference(resource: .configMaps, key: ObjectKey(namespace: namespace, name: $0))]
            },
            secret: { found[ObjectReference(resource: .secrets, key: ObjectKey(namespace: namespace, name: $0))] },
            file: { volume, path in
                volumes[volume].flatMap { Files.text("\($0.hostPath)/\(path)", limit: 65_536) }
            })
        return try builder.build(container)
    }

    private func mounts(
        _ container: ContainerSpec, attempt: Int, environment: OrderedDictionary<String, String>
    ) async throws -> [Mount] {
        var result: [Mount] = []
        let directory = context.volumes.directory(of: uid)
        for (index, json) in container.volumeMounts.enumerated() {
            let name = json["name"].string ?? ""
            guard let volume = volumes?[name] else { throw ConfigurationError("volume \"\(name)\" is not mounted") }
            var hostPath = volume.hostPath
            var part = json["subPath"].string ?? ""
            if let expression = json["subPathExpr"].string, !expression.isEmpty {
                part = try Expansion.expandStrictly(expression) { environment[$0] }
            }
            if !part.isEmpty {
                let (source, relative, isReadOnly) = (hostPath, part, volume.isReadOnly)
                let target = "\(directory)/volume-subpaths/\(name)/\(container.name)/\(index)"
                try await blocking {
                    try SubPath.prepare(volume: source, relative: relative, target: target, isReadOnly: isReadOnly)
                }
                hostPath = target
            } else {
                // A plain hostPath that does not exist is made as a directory, as container runtimes do.
                let path = hostPath
                try await blocking { if !Files.exists(path) { try Files.makeDirectories(path, mode: 0o755) } }
            }
            let propagation: Mount.Propagation =
                switch json["mountPropagation"].string {
                case "HostToContainer": .hostToContainer
                case "Bidirectional": .bidirectional
                default: .none
                }
            var path = json["mountPath"].string ?? ""
            if !path.hasPrefix("/") { path = "/" + path }
            result.append(
                Mount(
                    hostPath: hostPath, containerPath: path,
                    isReadOnly: volume.isReadOnly || json["readOnly"].bool == true, propagation: propagation))
        }
        try await addOwnFiles(container, attempt: attempt, directory, to: &result)
        return result
    }

    /// `/etc/hosts` and the file for the termination message.
    private func addOwnFiles(_ container: ContainerSpec, attempt: Int, _ directory: String, to mounts: inout [Mount])
        async throws
    {
        let hasHosts = mounts.contains { $0.containerPath == "/etc/hosts" }
        let hostsPath = directory + "/etc-hosts"
        let (files, addresses) = (context.networkFiles(pod), self.addresses.pod)
        let message = terminationFile(container, attempt: attempt)
        try await blocking {
            if !hasHosts {
                let text = files.hosts(addresses: addresses, nodeHosts: Files.text("/etc/hosts") ?? "")
                // Written in place: containers that run already have this very file mounted.
                if Files.text(hostsPath) != text { try Files.write(hostsPath, Array(text.utf8), mode: 0o644) }
            }
            if let slash = message.lastIndex(of: "/") { try Files.makeDirectories(String(message[..<slash])) }
            try Files.write(message, [], mode: 0o666)
        }
        if !hasHosts { mounts.append(Mount(hostPath: hostsPath, containerPath: "/etc/hosts")) }
        if !container.terminationMessagePath.isEmpty {
            mounts.append(Mount(hostPath: message, containerPath: container.terminationMessagePath))
        }
    }
}
