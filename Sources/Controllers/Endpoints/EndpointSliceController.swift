import ClusterClient
import JSON
import ObjectModel

/// Makes the endpoint slices of services with a selector.
struct EndpointSliceController: Controller {
    private let context: ControllerContext
    private let loop: ReconcileLoop
    private let writes = OwnWrites()
    private let writer: SliceWriter

    init(_ context: ControllerContext) {
        self.context = context
        writer = SliceWriter(client: context.client, manager: EndpointLabels.sliceController, writes: writes)
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 4, logger: context.logger(for: "endpointslice-controller"),
            prepare: {
                await informers.services.waitUntilSynced()
                await informers.endpointSlices.waitUntilSynced()
                await informers.pods.waitUntilSynced()
                await informers.nodes.waitUntilSynced()
            },
            resync: { informers.services.keys })
        self.loop = loop
        Self.follow(informers, loop.queue)
        informers.endpointSlices.subscribe { event in
            guard let slice = event.versions.new ?? event.versions.old,
                slice.metadata.labels[EndpointLabels.managedBy] == EndpointLabels.sliceController,
                let service = slice.metadata.labels[EndpointLabels.serviceName]
            else { return }
            loop.queue.add(ObjectKey(namespace: slice.namespace, name: service))
        }
        // Zones show in endpoints; a node that gets one late concerns every service.
        informers.nodes.subscribe { event in
            guard let new = event.versions.new, let old = event.versions.old else { return }
            guard Self.zone(of: new) != Self.zone(of: old) else { return }
            for key in informers.services.keys { loop.queue.add(key) }
        }
    }

    /// Enqueues the services that a change of a service or pod concerns.
    static func follow(_ informers: SharedInformers, _ queue: WorkQueue<ObjectKey>) {
        informers.services.subscribe { event in
            if let service = event.versions.new ?? event.versions.old { queue.add(service.key) }
        }
        informers.pods.subscribe { event in
            let (old, new) = event.versions
            if let old, let new, !EndpointSelection.isRelevant(old: old, new: new) { return }
            guard let pod = new ?? old else { return }
            for service in informers.servicesByNamespace[pod.namespace] {
                let concerns = [old, new].contains { $0.map { service.selects($0.labels) } ?? false }
                if concerns { queue.add(service.key) }
            }
        }
    }

    static func zone(of node: Object) -> String? {
        node.metadata.labels["topology.kubernetes.io/zone"]
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        let informers = context.informers
        guard writes.isVisible(for: key, in: informers.endpointSlices) else { return }
        guard let service = informers.services[key] else {
            // The garbage collector removes the slices; doing it here too stops traffic sooner.
            try await removeAll(key)
            writes.forget(key)
            return
        }
        if service.isExternalName { return try await removeAll(key) }
        guard !service.selector.isEmpty, !service.object.metadata.isTerminating else { return }
        let desired = EndpointSelection.groups(
            of: service, pods: informers.podsByNamespace[key.namespace],
            zone: { informers.nodes[ObjectKey(name: $0)].flatMap(Self.zone) })
        var labels = service.object.metadata.labels
        labels[EndpointLabels.headless] = service.isHeadless ? "" : nil
        try await writer.write(
            key, owner: service.object, labels: labels, desired: desired,
            slices: informers.endpointSlicesByService[key])
    }

    private func removeAll(_ key: ObjectKey) async throws {
        for slice in context.informers.endpointSlicesByService[key]
        where slice.metadata.labels[EndpointLabels.managedBy] == EndpointLabels.sliceController
            && !slice.metadata.isTerminating
        {
            try await context.client.deleteExactly(.endpointSlices, slice.key, uid: slice.uid)
        }
    }
}
