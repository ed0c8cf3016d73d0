import ClusterClient
import JSON
import ObjectModel

/// Copies hand-made Endpoints of services without a selector into slices, which is all that proxies read.
struct EndpointMirroringController: Controller {
    /// Most addresses mirrored per subset.
    private static let capacity = 1000

    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let writes = OwnWrites()
    private let writer: SliceWriter

    init(_ context: ControllerContext) {
        self.context = context
        writer = SliceWriter(client: context.client, manager: EndpointLabels.mirroringController, writes: writes)
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 2, logger: context.logger(for: "endpointslicemirroring-controller"),
            prepare: {
                await informers.services.waitUntilSynced()
                await informers.endpoints.waitUntilSynced()
                await informers.endpointSlices.waitUntilSynced()
            },
            resync: { informers.endpoints.keys })
        self.loop = loop
        informers.endpoints.subscribe { event in
            if let endpoints = event.versions.new ?? event.versions.old { loop.queue.add(endpoints.key) }
        }
        informers.services.subscribe { event in
            if let service = event.versions.new ?? event.versions.old { loop.queue.add(service.key) }
        }
        informers.endpointSlices.subscribe { event in
            guard let slice = event.versions.new ?? event.versions.old,
                slice.metadata.labels[EndpointLabels.managedBy] == EndpointLabels.mirroringController,
                let service = slice.metadata.labels[EndpointLabels.serviceName]
            else { return }
            loop.queue.add(ObjectKey(namespace: slice.namespace, name: service))
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        let informers = context.informers
        guard writes.isVisible(for: key, in: informers.endpointSlices) else { return }
        let slices = informers.endpointSlicesByService[key].filter {
            $0.metadata.labels[EndpointLabels.managedBy] == EndpointLabels.mirroringController
        }
        guard let endpoints = informers.endpoints[key], let service = informers.services[key],
            service.selector.isEmpty, Self.isMirrored(endpoints)
        else {
            for slice in slices where !slice.metadata.isTerminating {
                try await context.client.deleteExactly(.endpointSlices, slice.key, uid: slice.uid)
            }
            return
        }
        try await writer.write(
            key, owner: endpoints, labels: endpoints.metadata.labels,
            desired: Self.groups(endpoints.tree["subsets"].elements.map(EndpointSubset.init)), slices: slices)
    }

    static func isMirrored(_ endpoints: Object) -> Bool {
        endpoints.metadata.labels[EndpointLabels.skipMirror] != "true"
            && endpoints.metadata.labels[EndpointLabels.endpointsManagedBy] == nil
            && endpoints.tree["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"].isNull
            && !endpoints.metadata.isTerminating
    }

    /// Endpoints of subsets, by family and ports.
    static func groups(_ subsets: [EndpointSubset]) -> [SliceGroup: [SliceEndpoint]] {
        var groups: [SliceGroup: [SliceEndpoint]] = [:]
        for subset in subsets {
            let all = subset.ready.map { ($0, true) } + subset.notReady.map { ($0, false) }
            for (address, isReady) in all.prefix(capacity) {
                let family = address.ip.utf8.contains(UInt8(ascii: ":")) ? "IPv6" : "IPv4"
                var endpoint = SliceEndpoint(addresses: [address.ip], isReady: isReady)
                endpoint.hostname = address.hostname
                endpoint.nodeName = address.nodeName
                endpoint.target = address.target
                groups[SliceGroup(addressType: family, ports: subset.ports.sorted()), default: []].append(endpoint)
            }
        }
        return groups
    }
}
