import Ledger
import ObjectModel

/// The scheduler without clock, network or threads: it is told what exists and what time it is, and answers with
/// decisions.
///
/// It is level-triggered: `set` replaces what is known about one object, whatever was known before. Decisions are
/// assumed at once (the pod counts as placed) and confirmed or taken back by what is told later. One task owns it.
final class SchedulerCore {
    typealias Instant = ContinuousClock.Instant

    enum Decision {
        /// Bind the pod; tell `bindingFailed` if that does not work.
        case bind(PodView, node: String, ports: [Int])
        /// The same, after these claims were given their volumes.
        case bindVolumes(PodView, node: String, ports: [Int], VolumePlan)
        /// No node: say why.
        case unschedulable(PodView, message: String)
        /// No node, but deleting these pods makes room on one: nominate the pod and delete them.
        case preempt(PodView, node: String, victims: [PodView], message: String)
        /// The pod waits for its gates.
        case gated(PodView)
    }

    let ledger: Ledger
    let schedulerName: String
    var snapshot = LedgerSnapshot()
    var table = NodeTable()
    var terms = TopologyTerms()
    var queue = SchedulingQueue()
    var random: FastRandom

    /// Pods that hold a share of a node: bound, or assumed by us.
    struct Placed {
        var pod: PodView
        var slot: Int
        var isAssumed: Bool
        /// Host ports that were chosen for an assumed one.
        var ports: [Int] = []
        /// Failed attempts before, for the back-off when the binding fails.
        var attempts = 0
    }
    var placed: [String: Placed] = [:]
    /// The newest version of every pod that matters, by key.
    private var pods: [ObjectKey: PodView] = [:]
    /// Where preemption makes room, by pod uid.
    var nominations: [String: Int] = [:]
    /// Sizes of the groups that Marathon's constraints count, waiting pods included.
    var groupSizes: [ConstraintGroup: Int] = [:]
    /// Nominated pods for which offers were asked back, and nothing was said of it yet.
    var reclaiming: Set<String> = []
    var gatedToReport: [PodView] = []
    var claims: [ObjectKey: ClaimView] = [:]
    var volumes: [String: VolumeView] = [:]
    var budgets: [ObjectKey: BudgetView] = [:]
    /// Quotas of Mesos roles, by the names of their objects.
    var quotas: [String: RoleView] = [:]
    /// What was known of quotas when pods that they hold back were last looked at.
    var quotaEases: UInt64 = 0
    /// Placed pods per priority: whether preemption can help at all.
    var placedPriorities: [Int: Int] = [:]

    var classes: [String: StorageClassView] = [:]
    var assumedClaims: [ObjectKey: AssumedClaim] = [:]

    private var podClasses: [PodTemplate: PodClass] = [:]
    private var classUse: UInt64 = 0
    private static let maximumClasses = 256
    private var owners: [String: Int32] = [:]
    private var ownersAfterTidy = 0
    private var termsAfterRecount = 0

    /// - Parameter schedulerName: only pods that name it, or none, are placed.
    init(ledger: Ledger, schedulerName: String = "default-scheduler", seed: UInt64 = .random(in: 1...(.max))) {
        self.ledger = ledger
        self.schedulerName = schedulerName
        random = FastRandom(seed: seed)
    }

    // MARK: What exists

    /// A pod as it is now; nil: it does not exist.
    func set(_ key: ObjectKey, pod: PodView?, now: Instant) {
        if let old = pods[key], old.uid != pod?.uid { forget(old, now: now) }
        guard let pod, !pod.isFinished else {
            if let pod { forget(pod, now: now) }
            if let old = pods.removeValue(forKey: key) { countInGroup(old, nil) }
            return
        }
        let old = pods.updateValue(pod, forKey: key)
        countInGroup(old, pod)
        if !pod.nodeName.isEmpty {
            queue.remove(pod.uid)
            denominate(pod.uid)
            place(pod, on: pod.nodeName, now: now)
            return
        }
        if placed[pod.uid] != nil { return }  // Our binding is on its way.
        guard pod.schedulerName.isEmpty || pod.schedulerName == schedulerName, !pod.isTerminating else {
            queue.remove(pod.uid)
            denominate(pod.uid)
            return
        }
        if pod.isGated {
            queue.remove(pod.uid)
            if old?.isGated != true, pod.scheduledReason != "SchedulingGated" { gatedToReport.append(pod) }
            return
        }
        if !pod.nominatedNode.isEmpty, nominations[pod.uid] == nil { nominate(pod, pod.nominatedNode) }
        queue.add(pod, now: now)
        if let old, old.template != pod.template || old.labels != pod.labels { queue.activate(pod.uid) }
    }

    func set(_ name: String, node: NodeView?, now: Instant) {
        guard let node else {
            ledger.removeNode(name)
            if let slot = table.slots[name] {
                for pod in table.extras[slot].nominated { denominate(pod.uid) }
            }
            _ = table.remove(name)
            return
        }
        ledger.setNode(name, allocatable: node.allocatable, attributes: node.labels)
        if let slot = table.slots[name], let old = table.views[slot], old.isSame(as: node) { return }
        let slot = table.set(node)
        if let entry = ledger.node(name) { table.refresh(slot, from: entry) }
        wake(.node, slot: slot, now: now)
    }

    func set(_ name: String, namespaceLabels: [String: String]?, now: Instant) {
        guard terms.namespaces[name] != namespaceLabels else { return }
        let isNew = terms.namespaces[name] == nil
        terms.namespaces[name] = namespaceLabels
        // Which pods a namespace selector means may have changed; pods of a new namespace are not placed yet.
        if !isNew { recount() }
        queue.move(.podAffinity, now: now) { _ in true }
    }

    /// The Mesos role of a namespace; nil: there is no such namespace.
    func set(_ name: String, role: String?, now: Instant) {
        guard table.roles[name] != role else { return }
        let old = table.role(ofNamespace: name)
        table.set(role: role, ofNamespace: name)
        quotaEases = 0
        guard table.role(ofNamespace: name) != old else { return }
        for held in placed.values where held.pod.key.namespace == name && !held.isAssumed {
            ledger.set(held.pod.boundClaim(on: table.names[held.slot], role: table.role(ofNamespace: name)))
        }
    }

    func set(_ key: ObjectKey, budget: BudgetView?) {
        budgets[key] = budget
    }

    /// The binding of a decision did not work: the pod is free again, and tried after its back-off.
    func bindingFailed(_ pod: PodView, now: Instant) {
        guard let held = placed[pod.uid], held.isAssumed else { return }
        unplace(pod.uid, now: now)
        guard let current = pods[pod.key], current.uid == pod.uid, current.nodeName.isEmpty, !current.isTerminating
        else {
            return
        }
        queue.add(current, now: now)
        if var entry = queue[pod.uid] {
            queue.remove(pod.uid)
            entry.attempts = held.attempts
            queue.markFailed(entry, now: now)
        }
    }

    // MARK: Placement bookkeeping

    private func forget(_ pod: PodView, now: Instant) {
        queue.remove(pod.uid)
        denominate(pod.uid)
        unplace(pod.uid, now: now)
    }

    private func place(_ pod: PodView, on node: String, now: Instant) {
        if let held = placed[pod.uid] {
            if table.names[held.slot] == node {
                // Confirmed, or changed in place (labels, resize, deletion).
                ledger.set(pod.boundClaim(on: node, role: table.role(ofNamespace: pod.key.namespace)))
                let isSame =
                    held.pod.labels == pod.labels && held.pod.template == pod.template
                    && held.pod.isTerminating == pod.isTerminating
                if isSame {
                    placed[pod.uid] = Placed(pod: pod, slot: held.slot, isAssumed: false)
                    table.extras[held.slot].pods[pod.uid] = pod
                    return
                }
                settle(held.pod, held.slot, sign: -1)
                settle(pod, held.slot, sign: 1)
                placed[pod.uid] = Placed(pod: pod, slot: held.slot, isAssumed: false)
                wake([.podGone, .podPlaced], slot: held.slot, now: now)
                return
            }
            unplace(pod.uid, now: now)
        }
        let slot = table.slot(of: node)
        ledger.set(pod.boundClaim(on: node, role: table.role(ofNamespace: pod.key.namespace)))
        placed[pod.uid] = Placed(pod: pod, slot: slot, isAssumed: false)
        settle(pod, slot, sign: 1)
        wake(.podPlaced, slot: slot, now: now)
    }

    private func unplace(_ uid: String, now: Instant) {
        guard let held = placed.removeValue(forKey: uid) else { return }
        forgetVolumes(of: uid)
        ledger.remove(.pod(uid: uid))
        settle(held.pod, held.slot, sign: -1)
        refreshFromLedger()
        table.releaseIfUnused(held.slot)
        wake(.podGone, slot: held.slot, now: now)
    }

    /// Adds a pod to, or takes it out of, everything that is counted per node, except what the ledger counts.
    func settle(_ pod: PodView, _ slot: Int, sign: Int32) {
        terms.change(pod, slot: slot, sign: sign)
        let template = pod.template
        table.rows[slot].scoredExtraCPU += Int64(sign) * (template.scoredMilliCPU - template.requests.milliCPU)
        table.rows[slot].scoredExtraMemory += Int64(sign) * (template.scoredMemory - template.requests.memory)
        table.extras[slot].pods[pod.uid] = sign > 0 ? pod : nil
        placedPriorities[pod.priority, default: 0] += Int(sign)
        if placedPriorities[pod.priority] == 0 { placedPriorities[pod.priority] = nil }
        if !template.owner.isEmpty {
            let owner = ownerNumber(template.owner)
            let count = (table.extras[slot].owners[owner] ?? 0) + sign
            table.extras[slot].owners[owner] = count > 0 ? count : nil
        }
        table.touch(slot)
    }

    private func ownerNumber(_ uid: String) -> Int32 {
        if let number = owners[uid] { return number }
        let number = Int32(truncatingIfNeeded: owners.count)
        owners[uid] = number
        return number
    }

    func nominate(_ pod: PodView, _ node: String) {
        denominate(pod.uid)
        guard let slot = table.slots[node] else { return }
        nominations[pod.uid] = slot
        table.extras[slot].nominated.append(pod)
        table.updateFlag(slot)
        table.touch(slot)
        ledger.set(Claim(.nominatedPod(uid: pod.uid), node: node, resources: pod.template.requests))
    }

    /// - Parameter isCommitting: the ledger is about to turn the room into the pod's own.
    func denominate(_ uid: String, isCommitting: Bool = false) {
        guard let slot = nominations.removeValue(forKey: uid) else { return }
        if !isCommitting { ledger.remove(.nomination(uid: uid)) }
        reclaiming.remove(uid)
        table.extras[slot].nominated.removeAll { $0.uid == uid }
        table.updateFlag(slot)
        table.touch(slot)
    }

    /// Copies what the ledger says about nodes that changed. Not while decisions are charged but uncommitted.
    func refreshFromLedger() {
        for index in ledger.update(&snapshot) {
            guard let node = snapshot.nodes[index], let slot = table.slots[node.name] else { continue }
            table.refresh(slot, from: node)
        }
    }

    /// Somebody else let go of a share of a node.
    func released(on name: String, now: Instant) {
        refreshFromLedger()
        guard let slot = table.slots[name] else { return }
        for uid in reclaiming where nominations[uid] == slot {
            if let entry = queue[uid], couldFit(entry.pod, slot, .fit) { queue.activate(uid) }
        }
        wake([.fit, .ports], slot: slot, now: now)
    }

    /// Something about a node changed: tries the waiting pods again that fit it by itself.
    private func wake(_ reasons: RejectedBy, slot: Int, now: Instant) {
        guard !queue.unschedulable.isEmpty else { return }
        refreshFromLedger()
        var known: [PodTemplate: Bool] = [:]
        queue.move(reasons, now: now) { pod in
            if let answer = known[pod.template] { return answer }
            let answer = couldFit(pod, slot, reasons)
            known[pod.template] = answer
            return answer
        }
    }

    /// A pod placed or gone on one node can open another node of the same domain, so those rules are not asked here.
    private func couldFit(_ pod: PodView, _ slot: Int, _ reasons: RejectedBy) -> Bool {
        if !pod.template.isNodeLocal, !reasons.isDisjoint(with: [.podAffinity, .spread]) { return true }
        guard let node = table.views[slot], NodeFilters.rejection(pod.template, node).isEmpty else { return false }
        return NodeFit.problems(pod.template, table, slot, excluding: pod.uid).isEmpty
    }

    /// Counts all terms afresh.
    private func recount() {
        let namespaces = terms.namespaces
        terms = TopologyTerms()
        terms.namespaces = namespaces
        for held in placed.values { terms.change(held.pod, slot: held.slot, sign: 1) }
        termsAfterRecount = terms.count
    }

    /// Forgets the rules and owners of pods that are long gone. Not while a pass is under way.
    func tidy() {
        if terms.count > 2 * termsAfterRecount + 8192 { recount() }
        guard owners.count > 2 * ownersAfterTidy + 8192 else { return }
        owners = [:]
        podClasses = [:]
        for slot in table.extras.indices { table.extras[slot].owners = [:] }
        for held in placed.values where !held.pod.template.owner.isEmpty {
            table.extras[held.slot].owners[ownerNumber(held.pod.template.owner), default: 0] += 1
        }
        ownersAfterTidy = owners.count
    }

    /// The kept results for a template, up to date.
    func podClass(_ template: PodTemplate) -> PodClass {
        classUse += 1
        if let found = podClasses[template] {
            found.lastUse = classUse
            found.update(table, random: &random)
            return found
        }
        if podClasses.count >= Self.maximumClasses {
            // Forget the older half at once: finding the oldest each time would cost a scan per pod.
            let uses = podClasses.values.map(\.lastUse).sorted()
            let median = uses[uses.count / 2]
            podClasses = podClasses.filter { $0.value.lastUse > median }
        }
        let isSpreadByDefault = !template.owner.isEmpty && template.spread.isEmpty
        let made = PodClass(template, owner: isSpreadByDefault ? ownerNumber(template.owner) : -1)
        made.lastUse = classUse
        made.update(table, random: &random)
        podClasses[template] = made
        return made
    }
}
