public import ClusterClient
import JSON
public import Logging
import MesosModel
import ObjectModel
public import ServiceLifecycle
import Synchronization

/// Where the ingress listens and what it needs from the cluster.
public struct IngressConfiguration: Sendable {
    /// 0: not served.
    public var httpPort: Int
    public var httpsPort: Int
    /// The address that is written into the status of ingresses.
    public var address: String
    /// A folder of its own for the balancer's files.
    public var directory: String
    /// Certificate and key for hosts without one of their own.
    public var certificate: String

    public init(httpPort: Int, httpsPort: Int, address: String, directory: String, certificate: String) {
        self.httpPort = httpPort
        self.httpsPort = httpsPort
        self.address = address
        self.directory = directory
        self.certificate = certificate
    }
}

/// Serves Kubernetes ingresses of the class `apus` and Marathon apps with labels of marathon-lb through HAProxy.
///
/// Every change of an object wakes the loop; it makes the whole plan anew and, when that differs from what runs, has
/// HAProxy take it up. Several changes within a moment are one.
public final class IngressService: Service {
    private static let ingressResource = GroupVersionResource(
        group: "networking.k8s.io", version: "v1", resource: "ingresses")
    private static let classResource = GroupVersionResource(
        group: "networking.k8s.io", version: "v1", resource: "ingressclasses")
    private static let className = "apus"

    private let configuration: IngressConfiguration
    private let client: ClusterClient
    private let logger: Logger
    private let process: BalancerProcess
    private let ingresses: Informer<IngressView>
    private let classes: Informer<IngressClassView>
    private let services: Informer<ServiceView>
    private let slices: Informer<Keyed<SliceView?>>
    private let secrets: Informer<Keyed<CertificateView?>>
    private let apps: Informer<Keyed<BalancedApp?>>
    private let instances: Informer<BalancedInstance>
    private let wake: AsyncStream<Void>
    private let poke: AsyncStream<Void>.Continuation

    public init(configuration: IngressConfiguration, client: ClusterClient, logger: Logger) {
        self.configuration = configuration
        self.client = client
        self.logger = logger
        process = BalancerProcess(directory: configuration.directory)
        (wake, poke) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        ingresses = Informer(Self.ingressResource, client: client, logger: logger) { IngressView($0) }
        classes = Informer(Self.classResource, client: client, logger: logger) { IngressClassView($0) }
        services = Informer(.services, client: client, logger: logger) { ServiceView($0) }
        slices = Informer(.endpointSlices, client: client, logger: logger) { Keyed(key: $0.key, view: SliceView($0)) }
        var tls = ListOptions()
        tls.fieldSelector = FieldSelector([.init(field: "type", value: "kubernetes.io/tls", isEqual: true)])
        secrets = Informer(.secrets, client: client, options: tls, logger: logger) {
            Keyed(key: $0.key, view: CertificateView($0))
        }
        apps = Informer(MesosNames.marathonApps, client: client, logger: logger) {
            Keyed(key: $0.key, view: BalancedApp($0))
        }
        var marathon = ListOptions()
        marathon.labelSelector = LabelSelector([.init(key: MesosNames.marathonAppLabel, op: .exists)])
        instances = Informer(.pods, client: client, options: marathon, logger: logger) { BalancedInstance($0) }
    }

    public func run() async throws {
        guard BalancerProcess.isInstalled else {
            logger.error("the ingress is not served: haproxy is not installed (apt-get install haproxy)")
            try? await gracefulShutdown()
            return
        }
        let poke = poke
        ingresses.subscribe { _ in poke.yield() }
        classes.subscribe { _ in poke.yield() }
        services.subscribe { _ in poke.yield() }
        slices.subscribe { _ in poke.yield() }
        secrets.subscribe { _ in poke.yield() }
        apps.subscribe { _ in poke.yield() }
        instances.subscribe { _ in poke.yield() }
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                let informers: [any Service] = [
                    self.ingresses, self.classes, self.services, self.slices, self.secrets, self.apps, self.instances,
                ]
                for informer in informers { group.addTask { try? await informer.run() } }
                await self.classes.waitUntilSynced()
                await self.ingresses.waitUntilSynced()
                await self.services.waitUntilSynced()
                await self.slices.waitUntilSynced()
                await self.secrets.waitUntilSynced()
                await self.instances.waitUntilSynced()
                group.addTask { await self.watchProcess() }
                poke.yield()
                await self.loop()
            }
        }
    }

    /// Wakes the loop when the balancer ended without being told to.
    private func watchProcess() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(5))
            if Task.isCancelled { return }
            if process.runningProcess == nil { poke.yield() }
        }
    }

    // MARK: The loop

    private func loop() async {
        var applied: BalancerPlan?
        var certificates = CertificateTrials(process: process)
        for await _ in wake {
            // What changes together is applied together.
            try? await Task.sleep(for: .milliseconds(200))
            if Task.isCancelled { return }
            do {
                try await keepClass()
                let ours = ourIngresses()
                var plan = compiler(ours).plan()
                plan.listeners = usable(plan.listeners)
                plan.certificates = await certificates.accepted(plan.certificates, logger: logger)
                if plan != applied || process.runningProcess == nil {
                    try await process.apply(plan)
                    applied = plan
                    logger.debug("the ingress changed", metadata: ["routes": "\(plan.routes.count)"])
                }
                for ingress in ours { await announce(ingress) }
            } catch {
                if Task.isCancelled { return }
                logger.error("the ingress could not be changed; trying again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(2))
                poke.yield()
            }
        }
    }

    private func ourIngresses() -> [IngressView] {
        let own = Set(classes.all.filter(\.isOurs).map(\.name))
        let isDefault = classes.all.contains { $0.isOurs && $0.isDefault == true }
        return ingresses.all.filter { ingress in ingress.className.map(own.contains) ?? isDefault }
    }

    private func compiler(_ ours: [IngressView]) -> IngressCompiler {
        var byService: [ObjectKey: [SliceView]] = [:]
        if !ours.isEmpty {
            for slice in slices.all.sorted(by: { $0.key < $1.key }) {
                if let view = slice.view { byService[view.service, default: []].append(view) }
            }
        }
        var byApp: [String: [BalancedInstance]] = [:]
        for instance in instances.all where instance.isReady { byApp[instance.app, default: []].append(instance) }
        return IngressCompiler(
            httpPort: configuration.httpPort, httpsPort: configuration.httpsPort, ingresses: ours,
            service: { self.services[$0] }, slices: { byService[$0] ?? [] }, certificate: { self.secrets[$0]?.view },
            apps: apps.all.compactMap(\.view), instances: byApp, standardCertificate: configuration.certificate)
    }

    /// Leaves out ports that somebody else on this machine has: one of them would stop everything.
    private func usable(_ listeners: [BalancerPlan.Listener]) -> [BalancerPlan.Listener] {
        if listeners.isEmpty { return [] }
        let held = process.heldPorts
        return listeners.filter { listener in
            if held.contains(listener.port) || BalancerProcess.isFree(listener.port) { return true }
            logger.warning(
                "a port of a Marathon app is taken by another program; it is not balanced",
                metadata: ["port": "\(listener.port)", "backend": "\(listener.backend)"])
            return false
        }
    }

    // MARK: Writing

    /// Our class exists, and is the default one while there is no other.
    private func keepClass() async throws {
        let others = classes.all.contains { !$0.isOurs && $0.isDefault == true }
        guard let own = classes[ObjectKey(name: Self.className)] else {
            do {
                try await client.create(
                    Self.classResource,
                    [
                        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
                        "metadata": [
                            "name": .string(Self.className),
                            "annotations": [IngressClassView.defaultKey: .string(others ? "no" : "true")],
                        ],
                        "spec": ["controller": .string(IngressClassView.controller)],
                    ])
            } catch let error as StatusError where error.reason == .alreadyExists {}
            return
        }
        // "false" is what somebody decided; "no" is what we write when another class is the default.
        guard own.isOurs else { return }
        let wanted = others ? "no" : "true"
        try await client.modify(Self.classResource, ObjectKey(name: Self.className)) { tree in
            let now = tree["metadata"]["annotations"][IngressClassView.defaultKey].string
            if now == wanted || now == "false" { return false }
            tree["metadata"]["annotations"][IngressClassView.defaultKey] = .string(wanted)
            return true
        }
    }

    private func announce(_ ingress: IngressView) async {
        guard ingress.addresses != [configuration.address] else { return }
        do {
            try await client.patch(
                Self.ingressResource, ingress.key, .merge,
                ["status": ["loadBalancer": ["ingress": [["ip": .string(configuration.address)]]]]],
                subresource: "status")
        } catch {
            logger.debug(
                "an ingress's address could not be written",
                metadata: ["ingress": "\(ingress.key)", "error": "\(error)"])
        }
    }
}

/// Tries every certificate once: a bad one must not keep the others from being served.
private struct CertificateTrials {
    let process: BalancerProcess
    private var known: [String: Bool] = [:]

    init(process: BalancerProcess) {
        self.process = process
    }

    mutating func accepted(_ certificates: [BalancerPlan.Certificate], logger: Logger) async
        -> [BalancerPlan.Certificate]
    {
        var fresh: [String: Bool] = [:]
        var result: [BalancerPlan.Certificate] = []
        for certificate in certificates {
            let isGood: Bool
            if let answer = known[certificate.pem] {
                isGood = answer
            } else {
                isGood = await process.accepts(certificate.pem)
                if !isGood {
                    logger.warning(
                        "a TLS secret of an ingress holds no usable certificate and key; it is left out",
                        metadata: ["certificate": "\(certificate.file)"])
                }
            }
            fresh[certificate.pem] = isGood
            if isGood { result.append(certificate) }
        }
        known = fresh
        return result
    }
}
