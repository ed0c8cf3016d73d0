import ClusterClient
import JSON
import ObjectModel

extension ClusterClient {
    /// Writes an object's status when it differs, guarded by the version it was computed from.
    /// - Returns: the object as it is then.
    @discardableResult
    func writeStatus(_ resource: GroupVersionResource, _ object: Object, _ status: JSON) async throws -> Object {
        var tree = object.tree
        if tree["status"] == status { return object }
        tree["status"] = status
        return try await update(resource, tree, subresource: "status")
    }

    /// Deletes exactly this object; one that is gone already is success.
    /// - Returns: false when it was gone, or another object has its name now.
    @discardableResult
    func deleteExactly(
        _ resource: GroupVersionResource, _ key: ObjectKey, uid: String,
        propagation: DeleteOptions.Propagation? = nil, gracePeriodSeconds: Int? = nil
    ) async throws -> Bool {
        do {
            try await transport.delete(
                resource, key,
                options: DeleteOptions(gracePeriodSeconds: gracePeriodSeconds, uid: uid, propagation: propagation))
            return true
        } catch let error as StatusError where error.reason == .notFound || error.reason == .conflict {
            return false
        }
    }

    /// Removes a finalizer from exactly this object, if it has it.
    func removeFinalizer(_ finalizer: String, _ resource: GroupVersionResource, _ key: ObjectKey, uid: String)
        async throws
    {
        do {
            try await modify(resource, key) { tree in
                guard tree["metadata"]["uid"].string == uid else { return false }
                let left = tree["metadata"]["finalizers"].elements.filter { $0.string != finalizer }
                guard left.count != tree["metadata"]["finalizers"].elements.count else { return false }
                tree["metadata"].setMember("finalizers", left.isEmpty ? nil : .array(left))
                return true
            }
        } catch let error as StatusError where error.reason == .notFound {
            return
        }
    }
}

extension JSON {
    /// Sets a count, leaving zero out as the API's `omitempty` counts do.
    mutating func setCount(_ member: String, _ value: Int) {
        setMember(member, value == 0 ? nil : JSON(value))
    }
}

extension OwnerReference {
    /// A controlling reference to an object.
    init(controller object: Object) {
        self.init(
            apiVersion: object.kind.apiVersion, kind: object.kind.kind, name: object.name, uid: object.uid,
            controller: true, blockOwnerDeletion: true)
    }
}
