import ClusterClient
import JSON
import ObjectModel

/// Takes and gives up objects by their controller reference.
struct Claims: Sendable {
    let client: ClusterClient
    let ownerResource: GroupVersionResource
    let owner: Object

    /// Makes the owner the controller of an object nobody controls. The owner is read live first: a deleted one, or a
    /// new one of the same name, must not adopt.
    /// - Parameter finalizer: one that the object is to carry from now on.
    /// - Returns: false when the object is gone, terminating or controlled by somebody by now.
    func adopt(_ resource: GroupVersionResource, _ key: ObjectKey, uid: String, finalizer: String? = nil)
        async throws -> Bool
    {
        guard let live = try await client.find(ownerResource, owner.key), live.uid == owner.uid,
            !live.metadata.isTerminating
        else { return false }
        let reference = OwnerReference(controller: owner)
        let result = try await client.modify(resource, key) { tree in
            let metadata = ObjectMetadata(tree["metadata"])
            guard metadata.uid == uid, !metadata.isTerminating, metadata.controller == nil else { return false }
            var references = tree["metadata"]["ownerReferences"].elements.filter { $0["uid"].string != reference.uid }
            references.append(reference.json)
            tree["metadata"]["ownerReferences"] = .array(references)
            if let finalizer, !metadata.finalizers.contains(finalizer) {
                tree["metadata"]["finalizers"] = JSON(metadata.finalizers + [finalizer])
            }
            return true
        }
        return result?.metadata.controller?.uid == owner.uid
    }

    /// Gives an object up whose labels no longer match.
    /// - Parameter finalizer: one that goes with the owner.
    func release(_ resource: GroupVersionResource, _ key: ObjectKey, uid: String, finalizer: String? = nil)
        async throws
    {
        try await client.modify(resource, key) { [owner] tree in
            guard tree["metadata"]["uid"].string == uid else { return false }
            let references = tree["metadata"]["ownerReferences"].elements
            let left = references.filter { $0["uid"].string != owner.uid }
            guard left.count != references.count else { return false }
            tree["metadata"].setMember("ownerReferences", left.isEmpty ? nil : .array(left))
            if let finalizer {
                let kept = tree["metadata"]["finalizers"].elements.filter { $0.string != finalizer }
                tree["metadata"].setMember("finalizers", kept.isEmpty ? nil : .array(kept))
            }
            return true
        }
    }
}

/// Makes pods from templates and removes them, with the events that say so.
struct PodControl: Sendable {
    let client: ClusterClient
    let recorder: EventRecorder
    let component: String

    /// A pod as the template wants it, controlled by the owner. Its name is generated from the owner's.
    static func pod(from template: JSON, owner: Object) -> JSON {
        var metadata: JSON = ["namespace": .string(owner.namespace)]
        metadata["generateName"] = .string(prefix(owner.name))
        for member in ["labels", "annotations", "finalizers"] {
            let value = template["metadata"][member]
            if !value.isNull { metadata[member] = value }
        }
        metadata["ownerReferences"] = [OwnerReference(controller: owner).json]
        return ["apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]]
    }

    /// `web-`; a name too long for a generated one loses its dash, as the server cuts it anyway.
    static func prefix(_ owner: String) -> String {
        owner.utf8.count < 253 ? owner + "-" : owner
    }

    /// - Throws: `StatusError`; a failure is also an event on the owner, except while the namespace goes away.
    func create(_ pod: JSON, for owner: Object) async throws -> Object {
        do {
            let made = try await client.create(.pods, pod)
            recorder.record(
                EventRecorder.Reference(owner), .normal, reason: "SuccessfulCreate",
                message: "Created pod: \(made.name)", component: component)
            return made
        } catch let error as StatusError {
            if !error.isNamespaceTerminating {
                recorder.record(
                    EventRecorder.Reference(owner), .warning, reason: "FailedCreate",
                    message: "Error creating: \(error.message)", component: component)
            }
            throw error
        }
    }

    func delete(_ pod: PodView, for owner: Object) async throws {
        do {
            guard try await client.deleteExactly(.pods, pod.key, uid: pod.uid) else { return }
            recorder.record(
                EventRecorder.Reference(owner), .normal, reason: "SuccessfulDelete",
                message: "Deleted pod: \(pod.name)", component: component)
        } catch let error as StatusError {
            recorder.record(
                EventRecorder.Reference(owner), .warning, reason: "FailedDelete",
                message: "Error deleting: \(error.message)", component: component)
            throw error
        }
    }
}

/// Creates in batches of 1, 2, 4…: when the server refuses (quota, bad template), the first refusals cost one request,
/// not five hundred.
/// - Returns: how many were made, and the first error.
func slowStart(_ count: Int, _ create: @escaping @Sendable (Int) async throws -> Void) async -> (
    made: Int, error: (any Error)?
) {
    var made = 0
    var batch = min(count, 1)
    while batch > 0 {
        let start = made
        let (good, error): (Int, (any Error)?) = await withTaskGroup(of: Result<Void, any Error>.self) { group in
            for index in start..<(start + batch) {
                group.addTask {
                    do {
                        return .success(try await create(index))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            var good = 0
            var first: (any Error)?
            for await result in group {
                switch result {
                case .success: good += 1
                case .failure(let error): first = first ?? error
                }
            }
            return (good, first)
        }
        made += good
        if let error { return (made, error) }
        batch = min(2 * batch, count - made)
    }
    return (made, nil)
}
