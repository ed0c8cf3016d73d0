import ClusterClient
import JSON
import MesosModel
import ObjectModel

/// Keeps the volumes of resident apps: an instance that ended is started again as itself, where its data is.
struct Residency: Sendable {
    let state: MarathonState
    let client: ClusterClient

    /// Places for so many new instances: those whose volumes wait first, oldest first. Fewer when instances of a resident app are
    /// still ending: they come back where they were.
    /// - Parameter target: how many instances the app shall have.
    func places(_ spec: RunSpec, _ count: Int, target: Int) -> [Place] {
        guard spec.isResident else { return (0..<count).map { _ in Place(uuid: NameGenerator.uuid()) } }
        let namespace = MesosNames.namespace(ofRole: spec.role)
        let instances = state.instances(of: spec.id)
        let taken = Set(instances.filter { !$0.isTerminal }.map(\.uuid))
        var waiting: [String: (since: Timestamp, attempt: Int)] = [:]
        var wiped: Set<String> = []
        for claim in state.claims(of: spec.id) where claim.key.namespace == namespace {
            if claim.isTerminating { wiped.insert(claim.uuid) }
            let known = waiting[claim.uuid]
            waiting[claim.uuid] = (
                min(known?.since ?? claim.createdAt, claim.createdAt), max(known?.attempt ?? 0, claim.attempt)
            )
        }
        let found = waiting.filter { !taken.contains($0.key) && !wiped.contains($0.key) }.sorted {
            ($0.value.since, $0.key) < ($1.value.since, $1.key)
        }
        var places = found.prefix(count).map { Place(uuid: $0.key, attempt: $0.value.attempt + 1) }
        let known = Set(waiting.keys).union(taken).subtracting(wiped).count
        for _ in 0..<max(0, min(count - places.count, target - known)) {
            places.append(Place(uuid: NameGenerator.uuid()))
        }
        return places
    }

    /// Makes the claims of a place, or notes on them that it is started once more.
    func claim(_ spec: RunSpec, _ place: Place) async throws {
        for volume in spec.persistentVolumes {
            let claim = volume.claim(spec, place)
            do {
                try await client.create(.persistentVolumeClaims, claim)
            } catch let error as StatusError where error.reason == .alreadyExists {
                let key = ObjectKey(
                    namespace: MesosNames.namespace(ofRole: spec.role),
                    name: PersistentVolume.claimName(uuid: place.uuid, volume.index))
                try await client.modify(.persistentVolumeClaims, key) { tree in
                    let attempt = JSON.string(String(place.attempt))
                    guard tree["metadata"]["annotations"][MarathonNames.attemptAnnotation] != attempt else {
                        return false
                    }
                    tree["metadata"]["annotations"][MarathonNames.attemptAnnotation] = attempt
                    return true
                }
            }
        }
    }

    /// Gives up the volumes of some instances, or of all; they are gone when nothing uses them any more.
    func wipe(_ id: PathID, uuids: Set<String>? = nil) async throws {
        let claims = state.claims(of: id).filter { !$0.isTerminating && uuids?.contains($0.uuid) ?? true }
        try await forEachConcurrently(claims) { [client] claim in
            try await client.delete(.persistentVolumeClaims, claim.key, options: DeleteOptions(uid: claim.uid))
        }
        // No instance may be started on them meanwhile.
        let end = ContinuousClock.now + .seconds(5)
        while claims.contains(where: { state.claims[$0.key].map { !$0.isTerminating } ?? false }),
            ContinuousClock.now < end, !Task.isCancelled
        {
            try? await Task.sleep(for: .milliseconds(2))
        }
    }
}
