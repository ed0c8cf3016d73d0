import ClusterClient
import JSON
import ObjectModel

/// Brings the slices that one controller manages for one service to what they should be.
struct SliceWriter: Sendable {
    let client: ClusterClient
    /// Value of the managed-by label.
    let manager: String
    let writes: OwnWrites

    /// - Parameters:
    ///   - key: the service (also the key that `writes` are remembered under).
    ///   - owner: who owns the slices, the Service or the mirrored Endpoints.
    ///   - labels: of every slice, besides service name and manager.
    ///   - slices: the slices of this service, whoever manages them.
    func write(
        _ key: ObjectKey, owner: Object, labels: [String: String], desired: [SliceGroup: [SliceEndpoint]],
        slices: [Object]
    ) async throws {
        var labels = labels
        labels[EndpointLabels.serviceName] = key.name
        labels[EndpointLabels.managedBy] = manager
        let mine = slices.filter {
            $0.metadata.labels[EndpointLabels.managedBy] == manager && !$0.metadata.isTerminating
        }
        let byName = Dictionary(mine.map { ($0.name, $0) }) { first, _ in first }
        let existing = mine.map { slice in
            let tree = slice.tree
            return SlicePlan.Slice(
                name: slice.name,
                group: SliceGroup(
                    addressType: tree["addressType"].string ?? "",
                    ports: tree["ports"].elements.map(SlicePort.init).sorted()),
                endpoints: tree["endpoints"].elements.map(SliceEndpoint.init))
        }
        var touched: Set<String> = []
        for action in SlicePlan.actions(desired: desired, existing: existing) {
            switch action {
            case .create(let group, let endpoints):
                try await create(key, owner, labels, group, endpoints)
            case .update(let name, let endpoints):
                guard let slice = byName[name] else { continue }
                touched.insert(name)
                try await update(key, slice, labels, endpoints)
            case .delete(let name):
                guard let slice = byName[name] else { continue }
                touched.insert(name)
                try await client.deleteExactly(.endpointSlices, slice.key, uid: slice.uid)
                writes.deleted(slice.key, uid: slice.uid, for: key)
            }
        }
        for slice in mine where !touched.contains(slice.name) && slice.metadata.labels != labels {
            try await update(key, slice, labels, nil)
        }
    }

    private func create(
        _ key: ObjectKey, _ owner: Object, _ labels: [String: String], _ group: SliceGroup,
        _ endpoints: [SliceEndpoint]
    ) async throws {
        let manifest: JSON = [
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": [
                "generateName": .string("\(key.name)-"), "namespace": .string(key.namespace), "labels": JSON(labels),
                "annotations": [EndpointLabels.triggerTime: .string(Timestamp.now.rfc3339)],
                "ownerReferences": [OwnerReference(controller: owner).json],
            ],
            "addressType": .string(group.addressType), "endpoints": .array(endpoints.map(\.json)),
            "ports": .array(group.ports.map { $0.json(keepsEmptyName: true) }),
        ]
        do {
            writes.wrote(try await client.create(.endpointSlices, manifest), for: key)
        } catch let error as StatusError where error.isNamespaceTerminating {
            return
        }
    }

    private func update(
        _ key: ObjectKey, _ slice: Object, _ labels: [String: String], _ endpoints: [SliceEndpoint]?
    ) async throws {
        var tree = slice.tree
        if let endpoints { tree["endpoints"] = .array(endpoints.map(\.json)) }
        tree["metadata"]["labels"] = JSON(labels)
        tree["metadata"]["annotations"][EndpointLabels.triggerTime] = .string(Timestamp.now.rfc3339)
        writes.wrote(try await client.update(.endpointSlices, tree), for: key)
    }
}
