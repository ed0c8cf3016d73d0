public import ClusterClient
public import Logging
import ObjectModel
public import ServiceLifecycle
import Synchronization

/// The node's service proxy: keeps an nftables table in step with services, endpoint slices and host ports.
///
/// Every change of an object marks its service dirty and wakes the loop; the loop recompiles what is dirty and hands the
/// difference to the kernel as one atomic transaction. The table stays when the process ends, so traffic flows on; the
/// next process replaces it in one transaction too. When a transaction fails, everything is written anew.
public final class ServiceProxy: Service {
    private let configuration: ServiceNetworkConfiguration
    private let logger: Logger
    private let services: Informer<ServiceView>
    private let slices: Informer<Keyed<SliceView?>>
    private let hostPorts: Informer<Keyed<HostPortView>>
    private let addresses: VirtualAddresses
    private let wake: AsyncStream<Void>
    private let poke: AsyncStream<Void>.Continuation

    private struct Shared {
        var dirty: Set<TableState.Owner> = []
        /// Slices of a service, by slice name.
        var slices: [ObjectKey: [ObjectKey: SliceView]] = [:]
        var serviceOfSlice: [ObjectKey: ObjectKey] = [:]
        var isProgrammed = false
    }
    private let shared = Mutex(Shared())

    public init(configuration: ServiceNetworkConfiguration, client: ClusterClient, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        (wake, poke) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        services = Informer(.services, client: client, logger: logger) { ServiceView($0) }
        slices = Informer(.endpointSlices, client: client, logger: logger) { Keyed(key: $0.key, view: SliceView($0)) }
        var own = ListOptions()
        own.fieldSelector = FieldSelector([
            .init(field: "spec.nodeName", value: configuration.nodeName, isEqual: true)
        ])
        hostPorts = Informer(.pods, client: client, options: own, logger: logger) {
            Keyed(key: $0.key, view: HostPortView($0))
        }
        addresses = VirtualAddresses(client: client, logger: logger)
    }

    /// True once the table was written for the first time.
    public var isProgrammed: Bool { shared.withLock { $0.isProgrammed } }

    public func run() async throws {
        try await HostNetwork.prepare(configuration)
        subscribe()
        try await withThrowingDiscardingTaskGroup { group in
            let informers = [services as any Service, slices, hostPorts] + addresses.services
            for informer in informers { group.addTask { try await informer.run() } }
            await services.waitUntilSynced()
            await slices.waitUntilSynced()
            await hostPorts.waitUntilSynced()
            poke.yield()
            await cancelWhenGracefulShutdown { await self.loop() }
            group.cancelAll()
        }
    }

    // MARK: What changed

    private func subscribe() {
        services.subscribe { [self] event in
            switch event {
            case .added(let view), .deleted(let view): mark(.service(view.key))
            case .modified(let old, let new): if old != new { mark(.service(new.key)) }
            }
        }
        slices.subscribe { [self] event in
            switch event {
            case .added(let slice): place(slice.view, key: slice.key)
            case .modified(_, let slice): place(slice.view, key: slice.key)
            case .deleted(let slice): place(nil, key: slice.key)
            }
        }
        hostPorts.subscribe { [self] event in
            switch event {
            case .added(let pod), .deleted(let pod): if !pod.view.ports.isEmpty { mark(.hostPorts(pod.key)) }
            case .modified(let old, let new): if old.view != new.view { mark(.hostPorts(new.key)) }
            }
        }
        addresses.subscribe { [self] changed in
            for vip in changed { mark(.virtualAddress(vip)) }
        }
    }

    /// Files a slice under its service (nil: the slice is gone) and marks the services that are affected.
    private func place(_ view: SliceView?, key: ObjectKey) {
        let affected: Set<ObjectKey> = shared.withLock { state in
            var affected: Set<ObjectKey> = []
            if let service = state.serviceOfSlice[key], service != view?.service {
                state.slices[service]?[key] = nil
                if state.slices[service]?.isEmpty == true { state.slices[service] = nil }
                affected.insert(service)
            }
            state.serviceOfSlice[key] = view?.service
            if let view, state.slices[view.service]?[key] != view {
                state.slices[view.service, default: [:]][key] = view
                affected.insert(view.service)
            }
            return affected
        }
        for service in affected { mark(.service(service)) }
    }

    private func mark(_ owner: TableState.Owner) {
        shared.withLock { _ = $0.dirty.insert(owner) }
        poke.yield()
    }

    // MARK: The loop

    private func loop() async {
        let compiler = ServiceCompiler(nodeName: configuration.nodeName, podCIDR: configuration.podCIDR)
        var table: TableState?
        for await _ in wake {
            if Task.isCancelled { return }
            guard services.isSynced, slices.isSynced, hostPorts.isSynced else { continue }
            let dirty = shared.withLock { state in
                defer { state.dirty = [] }
                return state.dirty
            }
            do {
                table = try await program(dirty, table, compiler)
                shared.withLock { $0.isProgrammed = true }
            } catch is CancellationError {
                return
            } catch {
                logger.error(
                    "the service table could not be changed; writing it anew", metadata: ["error": "\(error)"])
                table = nil
                try? await Task.sleep(for: .seconds(1))
                poke.yield()
            }
        }
    }

    /// One transaction. A nil state means that nothing is known of the kernel's table: it is replaced.
    private func program(_ dirty: Set<TableState.Owner>, _ known: TableState?, _ compiler: ServiceCompiler)
        async throws -> TableState
    {
        var table = known ?? TableState()
        var script = NftablesScript(table: configuration.table)
        var owners = dirty
        if known == nil {
            script.replaceTable(podCIDR: configuration.podCIDR, serviceCIDR: configuration.serviceCIDR)
            owners = Set(services.keys.map { .service($0) }).union(hostPorts.keys.map { .hostPorts($0) })
                .union(addresses.all.map { .virtualAddress($0) })
        }
        var before: Set<Fragment.UDPEndpoint> = []
        var after: Set<Fragment.UDPEndpoint> = []
        var isElementFree = false
        for owner in owners.sorted(by: { "\($0)" < "\($1)" }) {
            before.formUnion(table.fragments[owner]?.udpEndpoints ?? [])
            isElementFree = table.set(owner, to: fragment(of: owner, compiler), script: &script) || isElementFree
            after.formUnion(table.fragments[owner]?.udpEndpoints ?? [])
        }
        if isElementFree {
            // Somebody may have waited for an address or port that was let go.
            for owner in table.fragments.keys.sorted(by: { "\($0)" < "\($1)" }) where !owners.contains(owner) {
                _ = table.set(owner, to: fragment(of: owner, compiler), script: &script)
            }
        }
        guard !script.isEmpty else { return table }
        try await HostCommand.run("nft", ["-f", "-"], input: script.text)
        logger.debug("service table changed", metadata: ["commands": "\(script.lines.count)"])
        await forgetConnections(gone: before.subtracting(after), new: known == nil ? [] : after.subtracting(before))
        return table
    }

    private func fragment(of owner: TableState.Owner, _ compiler: ServiceCompiler) -> Fragment? {
        switch owner {
        case .service(let key):
            guard let service = services[key] else { return nil }
            let known = shared.withLock { $0.slices[key] ?? [:] }
            return compiler.compile(service, slices: known.sorted { $0.key < $1.key }.map(\.value))
        case .hostPorts(let key):
            return hostPorts[key].map { compiler.compile(hostPorts: $0.view, key: key) }
        case .virtualAddress(let vip):
            return addresses.targets(of: vip).map { compiler.compile(vip, targets: $0) }
        }
    }

    /// UDP has no end of a connection: entries that point to endpoints that are gone, or that were made while there was
    /// no endpoint, would swallow packets until they expire.
    private func forgetConnections(gone: Set<Fragment.UDPEndpoint>, new: Set<Fragment.UDPEndpoint>) async {
        for entry in gone {
            _ = try? await HostCommand.run(
                "conntrack",
                [
                    "-D", "-f", "ipv4", "-p", "udp", "--orig-dst", entry.serviceAddress, "--orig-port-dst",
                    "\(entry.port)", "--dst-nat", entry.endpoint,
                ])
        }
        for (address, port) in Set(new.map { "\($0.serviceAddress) \($0.port)" }).map({ text in
            let words = text.split(separator: " ")
            return (String(words[0]), String(words[1]))
        }) {
            _ = try? await HostCommand.run(
                "conntrack",
                [
                    "-D", "-f", "ipv4", "-p", "udp", "--orig-dst", address, "--orig-port-dst", port, "--reply-src",
                    address,
                ])
        }
    }
}

/// A view with the key of the object it was made of.
struct Keyed<View: Sendable>: Sendable {
    var key: ObjectKey
    var view: View
}
