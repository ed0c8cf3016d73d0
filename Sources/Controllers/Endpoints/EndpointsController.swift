import ClusterClient
import JSON
import ObjectModel

/// Makes the old Endpoints object of services with a selector.
struct EndpointsController: Controller {
    private let context: ControllerContext
    private let loop: ReconcileLoop

    init(_ context: ControllerContext) {
        self.context = context
        let informers = context.informers
        let loop = ReconcileLoop(
            workers: 4, logger: context.logger(for: "endpoint-controller"),
            prepare: {
                await informers.services.waitUntilSynced()
                await informers.endpoints.waitUntilSynced()
                await informers.pods.waitUntilSynced()
            },
            resync: { informers.services.keys })
        self.loop = loop
        EndpointSliceController.follow(informers, loop.queue)
        informers.endpoints.subscribe { event in
            if let endpoints = event.versions.new ?? event.versions.old { loop.queue.add(endpoints.key) }
        }
    }

    func run() async {
        await loop.run { try await reconcile($0) }
    }

    private func reconcile(_ key: ObjectKey) async throws {
        let informers = context.informers
        let current = informers.endpoints[key]
        guard let service = informers.services[key] else {
            // Only what this controller made: hand-made Endpoints may come before their service.
            if let current, current.metadata.labels[EndpointLabels.endpointsManagedBy] != nil {
                try await context.client.deleteExactly(.endpoints, key, uid: current.uid)
            }
            return
        }
        guard !service.selector.isEmpty, !service.isExternalName, !service.object.metadata.isTerminating else { return }
        let (subsets, isCut) = EndpointSubsets.compute(of: service, pods: informers.podsByNamespace[key.namespace])
        var labels = service.object.metadata.labels
        labels[EndpointLabels.headless] = service.isHeadless ? "" : nil
        labels[EndpointLabels.endpointsManagedBy] = EndpointLabels.endpointsController
        var tree: JSON
        if let current {
            tree = current.tree
            let isSame =
                current.metadata.labels == labels
                && tree["subsets"].elements.map(EndpointSubset.init) == subsets
                && (tree["metadata"]["annotations"][EndpointLabels.overCapacity].string != nil) == isCut
            if isSame { return }
        } else {
            tree = [
                "apiVersion": "v1", "kind": "Endpoints",
                "metadata": ["name": .string(key.name), "namespace": .string(key.namespace)],
            ]
        }
        tree["metadata"]["labels"] = JSON(labels)
        tree["metadata"]["annotations"][EndpointLabels.triggerTime] = .string(Timestamp.now.rfc3339)
        if isCut {
            tree["metadata"]["annotations"][EndpointLabels.overCapacity] = "truncated"
        } else {
            tree["metadata"]["annotations"].removeMember(EndpointLabels.overCapacity)
        }
        tree.setMember("subsets", subsets.isEmpty ? nil : .array(subsets.map(\.json)))
        if current == nil {
            do {
                try await context.client.create(.endpoints, tree)
            } catch let error as StatusError where error.isNamespaceTerminating {
                return
            }
        } else {
            try await context.client.update(.endpoints, tree)
        }
    }
}
