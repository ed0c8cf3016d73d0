import ObjectModel

/// What a pod's claims ask of a node.
struct VolumeNeeds: Sendable {
    /// Per bound volume, where it can be reached from.
    var bound: [[NodeSelectorTerm]] = []
    /// Claims whose volume is chosen with the node, the greatest first.
    var delayed: [DelayedClaim] = []

    struct DelayedClaim: Sendable {
        var claim: ClaimView
        /// Free volumes that would do, the smallest first.
        var candidates: [VolumeView] = []
        /// Somebody can make a volume, on nodes that match these; nil for all.
        var isMade = false
        var topologies: [NodeSelectorTerm]?
        /// Another pod's binding under way decided already: this slot and no other.
        var assumedSlot: Int?
    }

    var isEmpty: Bool { bound.isEmpty && delayed.isEmpty }
}

/// What is to be written before a pod can be bound: per claim the chosen volume, nil: one is to be made.
typealias VolumePlan = [ObjectKey: String?]

extension SchedulerCore {
    enum VolumeAnswer {
        case needs(VolumeNeeds)
        /// No node can do; kube-scheduler's words.
        case blocked(String)
    }
    enum VolumeProblem {
        case affinity, nothingToBind

        /// kube-scheduler's words.
        var reason: String {
            switch self {
            case .affinity: "node(s) didn't match PersistentVolume's node affinity"
            case .nothingToBind: "node(s) didn't find available persistent volumes to bind"
            }
        }
    }
    /// A claim whose volume was decided but is not seen bound yet.
    struct AssumedClaim {
        var pod: String
        var slot: Int
        var volume: String?
    }

    /// VolumeBinding and VolumeRestrictions, as far as they do not depend on the node.
    func volumeNeeds(of pod: PodView) -> VolumeAnswer {
        var needs = VolumeNeeds()
        for name in pod.template.volumeClaims {
            guard let claim = claims[ObjectKey(namespace: pod.key.namespace, name: name)] else {
                return .blocked("persistentvolumeclaim \"\(name)\" not found")
            }
            if claim.isLost {
                return .blocked(
                    "persistentvolumeclaim \"\(name)\" bound to non-existent persistentvolume \"\(claim.volumeName)\"")
            }
            if claim.isTerminating { return .blocked("persistentvolumeclaim \"\(name)\" is being deleted") }
            if claim.isExclusive, isUsed(claim.key, except: pod.uid) {
                return .blocked(
                    "\(table.presentCount) node has pod using PersistentVolumeClaim with the same name and "
                        + "ReadWriteOncePod access mode")
            }
            if !claim.volumeName.isEmpty {
                if let nodes = volumes[claim.volumeName]?.nodes { needs.bound.append(nodes) }
                continue
            }
            guard let storageClass = classes[claim.storageClass], storageClass.isDelayed, claim.wantedVolume.isEmpty
            else { return .blocked("pod has unbound immediate PersistentVolumeClaims") }
            needs.delayed.append(delayed(claim, storageClass))
        }
        needs.delayed.sort { $0.claim.request > $1.claim.request }
        return .needs(needs)
    }

    private func isUsed(_ claim: ObjectKey, except uid: String) -> Bool {
        placed.values.contains {
            $0.pod.uid != uid && $0.pod.key.namespace == claim.namespace
                && $0.pod.template.volumeClaims.contains(claim.name)
        }
    }

    private func delayed(_ claim: ClaimView, _ storageClass: StorageClassView) -> VolumeNeeds.DelayedClaim {
        var result = VolumeNeeds.DelayedClaim(claim: claim)
        result.isMade = storageClass.makesVolumes
        result.topologies = storageClass.topologies
        if let assumed = assumedClaims[claim.key] {
            result.assumedSlot = assumed.slot
            return result
        }
        let taken = Set(assumedClaims.values.compactMap(\.volume))
        result.candidates = volumes.values.filter { $0.serves(claim) && !taken.contains($0.name) }
            .sorted { ($0.capacity, $0.name) < ($1.capacity, $1.name) }
        return result
    }

    /// Which volumes a node would give; nil with the reason when it cannot.
    func volumePlan(_ needs: VolumeNeeds, _ slot: Int) -> (plan: VolumePlan, problem: VolumeProblem?) {
        if needs.isEmpty { return ([:], nil) }
        guard let node = table.views[slot] else { return ([:], .affinity) }
        guard needs.bound.allSatisfy({ terms in terms.contains { $0.matches(node) } }) else {
            return ([:], .affinity)
        }
        var plan: VolumePlan = [:]
        var taken: Set<String> = []
        for delayed in needs.delayed {
            if let assumed = delayed.assumedSlot {
                guard assumed == slot else { return ([:], .nothingToBind) }
                plan.updateValue(assumedClaims[delayed.claim.key]?.volume, forKey: delayed.claim.key)
                continue
            }
            let selected = delayed.claim.selectedNode
            let found = delayed.candidates.first { volume in
                !taken.contains(volume.name) && volume.nodes?.contains { $0.matches(node) } ?? true
            }
            if selected.isEmpty, let found {
                taken.insert(found.name)
                plan.updateValue(found.name, forKey: delayed.claim.key)
            } else if delayed.isMade, selected.isEmpty || selected == node.name,
                delayed.topologies?.contains(where: { $0.matches(node) }) ?? true
            {
                plan.updateValue(nil, forKey: delayed.claim.key)
            } else {
                return ([:], .nothingToBind)
            }
        }
        return (plan, nil)
    }

    func matchesVolumes(_ needs: VolumeNeeds, _ slot: Int) -> Bool {
        volumePlan(needs, slot).problem == nil
    }

    // MARK: Decided, not yet seen

    func assume(_ plan: VolumePlan, for pod: PodView, _ slot: Int) {
        for (claim, volume) in plan where assumedClaims[claim] == nil {
            assumedClaims[claim] = AssumedClaim(pod: pod.uid, slot: slot, volume: volume)
        }
    }

    /// The pod's binding failed or the pod is gone.
    func forgetVolumes(of uid: String) {
        guard !assumedClaims.isEmpty else { return }
        assumedClaims = assumedClaims.filter { $0.value.pod != uid }
    }

    func set(_ key: ObjectKey, claim: ClaimView?, now: Instant) {
        claims[key] = claim
        if claim.map({ !$0.volumeName.isEmpty }) ?? true { assumedClaims[key] = nil }
        queue.move(.volumes, now: now) {
            $0.key.namespace == key.namespace && $0.template.volumeClaims.contains(key.name)
        }
    }

    func set(_ name: String, volume: VolumeView?, now: Instant) {
        volumes[name] = volume
        queue.move(.volumes, now: now) { _ in true }
    }

    func set(_ name: String, storageClass: StorageClassView?, now: Instant) {
        classes[name] = storageClass
        queue.move(.volumes, now: now) { _ in true }
    }
}
