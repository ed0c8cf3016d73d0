import HeapModule

/// Why a pod could not be placed, as a set of plugins; decides which later events are worth another try.
struct RejectedBy: OptionSet, Sendable, Hashable {
    let rawValue: UInt16
    static let nodeUnschedulable = RejectedBy(rawValue: 1)
    static let taints = RejectedBy(rawValue: 2)
    static let nodeAffinity = RejectedBy(rawValue: 4)
    static let ports = RejectedBy(rawValue: 8)
    static let fit = RejectedBy(rawValue: 16)
    static let volumes = RejectedBy(rawValue: 32)
    static let spread = RejectedBy(rawValue: 64)
    static let podAffinity = RejectedBy(rawValue: 128)
    /// No node at all.
    static let noNodes = RejectedBy(rawValue: 256)
    /// A quota of a Mesos role: no node was asked.
    static let quota = RejectedBy(rawValue: 512)

    /// What a change of a node can cure.
    static let node: RejectedBy = [
        .nodeUnschedulable, .taints, .nodeAffinity, .ports, .fit, .volumes, .spread, .podAffinity, .noNodes,
    ]
    /// What a pod that leaves a node can cure.
    static let podGone: RejectedBy = [.ports, .fit, .spread, .podAffinity]
    /// What a pod that was placed can cure.
    static let podPlaced: RejectedBy = [.spread, .podAffinity]
}

/// Pods that wait for a node: ready ones by priority and age, ones that back off, and ones that nothing can help until
/// the cluster changes. Knows no clock: every call is told the time.
struct SchedulingQueue {
    typealias Instant = ContinuousClock.Instant

    struct Entry {
        var pod: PodView
        /// Failed attempts; decides the back-off.
        var attempts = 0
        var rejectedBy: RejectedBy = []
        fileprivate(set) var state: State
        fileprivate var backoffUntil: Instant
        fileprivate var since: Instant
        /// Changes with every move, so that overtaken heap items are known.
        fileprivate var stamp: UInt64
    }
    enum State { case active, backoff, unschedulable }

    private struct Ready: Comparable {
        var priority: Int
        var stamp: UInt64
        var uid: String
        /// The greatest is scheduled first: higher priority, then earlier.
        static func < (left: Ready, right: Ready) -> Bool {
            left.priority != right.priority ? left.priority < right.priority : left.stamp > right.stamp
        }
    }
    private struct Waiting: Comparable {
        var until: Instant
        var stamp: UInt64
        var uid: String
        static func < (left: Waiting, right: Waiting) -> Bool {
            left.until != right.until ? left.until < right.until : left.stamp < right.stamp
        }
    }

    static let initialBackoff: Duration = .seconds(1)
    static let maximumBackoff: Duration = .seconds(10)
    /// A pod never stays unschedulable for longer without another try: hints may be wrong.
    static let flushAfter: Duration = .seconds(300)

    private(set) var entries: [String: Entry] = [:]
    private var ready: Heap<Ready> = []
    private var waiting: Heap<Waiting> = []
    private(set) var unschedulable: Set<String> = []
    private var stamp: UInt64 = 0
    private var lastFlush: Instant?

    /// Pods that could be tried now.
    var activeCount: Int { entries.count - unschedulable.count - backoffCount }
    private(set) var backoffCount = 0

    subscript(uid: String) -> Entry? { entries[uid] }

    /// Puts a pod in; one that is in already only gets its newer version.
    mutating func add(_ pod: PodView, now: Instant) {
        if entries[pod.uid] != nil {
            entries[pod.uid]?.pod = pod
            return
        }
        entries[pod.uid] = Entry(pod: pod, state: .active, backoffUntil: now, since: now, stamp: 0)
        makeActive(pod.uid)
    }

    mutating func remove(_ uid: String) {
        guard let entry = entries.removeValue(forKey: uid) else { return }
        if entry.state == .backoff { backoffCount -= 1 }
        unschedulable.remove(uid)
    }

    /// The next pod, taken out of the queue; put it back with `markUnschedulable` or `markFailed` when it found no node.
    mutating func pop(now: Instant) -> Entry? {
        releaseBackoff(now: now)
        while let item = ready.popMax() {
            guard let entry = entries[item.uid], entry.stamp == item.stamp else { continue }
            entries.removeValue(forKey: item.uid)
            return entry
        }
        return nil
    }

    /// Back to the unschedulable pool, until an event that can cure one of the reasons.
    mutating func markUnschedulable(_ entry: Entry, by reasons: RejectedBy, now: Instant) {
        var entry = entry
        entry.attempts += 1
        entry.rejectedBy = reasons
        entry.since = now
        entry.backoffUntil = now + Self.backoff(attempts: entry.attempts)
        entry.state = .unschedulable
        entry.stamp = nextStamp()
        entries[entry.pod.uid] = entry
        unschedulable.insert(entry.pod.uid)
    }

    /// Back off after a failure that has nothing to do with the cluster's state, such as a failed write.
    mutating func markFailed(_ entry: Entry, now: Instant) {
        var entry = entry
        entry.attempts += 1
        entry.backoffUntil = now + Self.backoff(attempts: entry.attempts)
        entries[entry.pod.uid] = entry
        makeWaiting(entry.pod.uid)
    }

    /// Back to the active queue at once: the pod only lost a race.
    mutating func putBack(_ entry: Entry) {
        entries[entry.pod.uid] = entry
        makeActive(entry.pod.uid)
    }

    /// A pod's own change (labels, tolerations, gates…) is worth a try at once.
    mutating func activate(_ uid: String) {
        guard let entry = entries[uid], entry.state != .active else { return }
        leave(entry.state, uid)
        makeActive(uid)
    }

    /// An event may have cured something: moves the pods it can help out of the pool.
    /// - Parameter helps: whether this pod can profit, asked only for pods that a plugin of `reasons` rejected.
    mutating func move(_ reasons: RejectedBy, now: Instant, helps: (PodView) -> Bool) {
        for uid in unschedulable {
            guard let entry = entries[uid], !entry.rejectedBy.isDisjoint(with: reasons), helps(entry.pod) else {
                continue
            }
            leave(.unschedulable, uid)
            if entry.backoffUntil > now { makeWaiting(uid) } else { makeActive(uid) }
        }
    }

    /// The same, asking the pods of the highest priority first, and of these the oldest: for what only some can get.
    mutating func moveInOrder(_ reasons: RejectedBy, now: Instant, helps: (PodView) -> Bool) {
        let waiting = unschedulable.compactMap { entries[$0] }.filter { !$0.rejectedBy.isDisjoint(with: reasons) }
            .sorted { ($1.pod.priority, $0.pod.created, $0.stamp) < ($0.pod.priority, $1.pod.created, $1.stamp) }
        for entry in waiting where helps(entry.pod) {
            leave(.unschedulable, entry.pod.uid)
            if entry.backoffUntil > now { makeWaiting(entry.pod.uid) } else { makeActive(entry.pod.uid) }
        }
    }

    /// Moves pods that waited too long. Call now and then.
    mutating func flush(now: Instant) {
        for uid in unschedulable {
            guard let entry = entries[uid], entry.since + Self.flushAfter <= now else { continue }
            leave(.unschedulable, uid)
            makeActive(uid)
        }
        releaseBackoff(now: now)
    }

    /// When `pop` or `flush` can next have something new without an event; nil: never.
    func nextWake() -> Instant? {
        var next = waiting.min?.until
        if !unschedulable.isEmpty, let oldest = unschedulable.compactMap({ entries[$0]?.since }).min() {
            let flush = oldest + Self.flushAfter
            next = next.map { min($0, flush) } ?? flush
        }
        return next
    }

    static func backoff(attempts: Int) -> Duration {
        let doubled = initialBackoff * (1 << min(max(attempts - 1, 0), 10))
        return min(doubled, maximumBackoff)
    }

    // MARK: Moves

    private mutating func nextStamp() -> UInt64 {
        stamp += 1
        return stamp
    }

    private mutating func leave(_ state: State, _ uid: String) {
        if state == .backoff { backoffCount -= 1 }
        if state == .unschedulable { unschedulable.remove(uid) }
    }

    private mutating func makeActive(_ uid: String) {
        guard var entry = entries[uid] else { return }
        entry.state = .active
        entry.stamp = nextStamp()
        entries[uid] = entry
        ready.insert(Ready(priority: entry.pod.priority, stamp: entry.stamp, uid: uid))
    }

    private mutating func makeWaiting(_ uid: String) {
        guard var entry = entries[uid] else { return }
        entry.state = .backoff
        entry.stamp = nextStamp()
        entries[uid] = entry
        backoffCount += 1
        waiting.insert(Waiting(until: entry.backoffUntil, stamp: entry.stamp, uid: uid))
    }

    private mutating func releaseBackoff(now: Instant) {
        while let item = waiting.min, item.until <= now {
            waiting.removeMin()
            guard let entry = entries[item.uid], entry.stamp == item.stamp else { continue }
            leave(.backoff, item.uid)
            makeActive(item.uid)
        }
    }
}
