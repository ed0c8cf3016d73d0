import JSON
import ObjectModel
import Synchronization

/// What one write has taken out of quotas until it is seen in the caches, or given up.
struct QuotaCharge: Sendable {
    fileprivate let ledger: QuotaLedger?
    fileprivate let entries: [(quota: ObjectKey, amounts: [String: Quantity])]

    /// Ends the charge: the object is counted by itself now, or was never made. Call once.
    func settle() { ledger?.settle(self) }
}

/// Counts what every resource quota's namespace uses, exactly and without touching the store.
///
/// Usage follows the caches' events; writes in flight are held on top until their event came, so that concurrent
/// creates cannot exceed a quota together. `status` is written in the background (`recountQuotas`).
final class QuotaLedger: Sendable {
    private struct Tracked {
        var hard: [String: Quantity]
        var spec: JSON
        var used: [String: Quantity] = [:]
        var inFlight: [String: Quantity] = [:]
        var isStale = true
    }
    private struct State {
        var quotas: [String: [String: Tracked]] = [:]
    }
    private let state = Mutex(State())

    /// Starts counting with the events of all namespaced resources.
    func follow(_ caches: CacheSet) {
        let quotas = GroupResource(group: "", resource: "resourcequotas")
        for cache in caches.all where cache.definition.isNamespaced {
            let place = cache.place
            caches.observe(place) { [weak self, weak caches] old, new in
                guard let self, let caches else { return }
                if place == quotas { self.track(old, new, caches) }
                self.count(place, old, new)
            }
        }
    }

    private func track(_ old: Object?, _ new: Object?, _ caches: CacheSet) {
        guard let new else {
            guard let old else { return }
            state.withLock { state in
                state.quotas[old.namespace]?.removeValue(forKey: old.name)
                if state.quotas[old.namespace]?.isEmpty == true { state.quotas.removeValue(forKey: old.namespace) }
            }
            return
        }
        let spec = new.tree["spec"]
        let isKnown = state.withLock { $0.quotas[new.namespace]?[new.name]?.spec == spec }
        if isKnown { return }
        var tracked = Tracked(
            hard: spec["hard"].members.reduce(into: [:]) { $0[$1.key] = Quantity($1.value) }, spec: spec)
        for cache in caches.all where cache.definition.isNamespaced {
            for object in cache.all(namespace: new.namespace) where object.uid != new.uid {
                Self.add(QuotaUsage.of(cache.place, object.tree, spec: spec), to: &tracked)
            }
        }
        // The cache may show the new quota only after this event.
        let own = GroupResource(group: "", resource: "resourcequotas")
        Self.add(QuotaUsage.of(own, new.tree, spec: spec), to: &tracked)
        let made = tracked
        state.withLock { $0.quotas[new.namespace, default: [:]][new.name] = made }
    }

    private static func add(_ amounts: [String: Quantity], to tracked: inout Tracked, sign: Int = 1) {
        for (name, amount) in amounts where tracked.hard[name] != nil {
            let before = tracked.used[name] ?? .zero
            tracked.used[name] = sign > 0 ? before + amount : before - amount
            tracked.isStale = true
        }
    }

    private func count(_ place: GroupResource, _ old: Object?, _ new: Object?) {
        guard let namespace = (new ?? old)?.namespace, state.withLock({ $0.quotas[namespace] != nil }) else { return }
        let before = old?.tree
        let after = new?.tree
        state.withLock { state in
            for name in state.quotas[namespace]?.keys.map({ $0 }) ?? [] {
                guard var tracked = state.quotas[namespace]?[name] else { continue }
                // The quota itself was counted, or not, when it was tracked.
                if place.resource == "resourcequotas", (new ?? old)?.name == name { continue }
                if let before { Self.add(QuotaUsage.of(place, before, spec: tracked.spec), to: &tracked, sign: -1) }
                if let after { Self.add(QuotaUsage.of(place, after, spec: tracked.spec), to: &tracked) }
                state.quotas[namespace]?[name] = tracked
            }
        }
    }

    // MARK: Charging

    /// Takes what a write adds out of all quotas that apply.
    /// - Throws: 403 when one would be exceeded, or needs amounts that are not stated.
    func charge(_ request: AdmissionRequest) throws -> QuotaCharge {
        let none = QuotaCharge(ledger: nil, entries: [])
        let isCounted = request.operation == .create || (request.operation == .update && request.subresource == nil)
        guard isCounted, request.resource.isNamespaced,
            state.withLock({ $0.quotas[request.key.namespace] != nil })
        else { return none }
        let place = request.place
        let before = request.old?.tree
        let result: Result<[(quota: ObjectKey, amounts: [String: Quantity])], StatusError> = state.withLock { state in
            var entries: [(quota: ObjectKey, amounts: [String: Quantity])] = []
            let quotas = state.quotas[request.key.namespace] ?? [:]
            for name in quotas.keys.sorted() {
                guard let tracked = quotas[name], QuotaUsage.applies(tracked.spec, place, request.object) else {
                    continue
                }
                if request.creates(.pods), let missing = QuotaUsage.missing(request.object, hard: tracked.hard) {
                    return .failure(request.forbidden("failed quota: \(name): must specify \(missing)"))
                }
                var delta: [String: Quantity] = [:]
                for (key, amount) in QuotaUsage.of(place, request.object, spec: tracked.spec)
                where tracked.hard[key] != nil {
                    delta[key] = amount
                }
                if let before {
                    for (key, amount) in QuotaUsage.of(place, before, spec: tracked.spec) {
                        if let now = delta[key] { delta[key] = now - amount }
                    }
                }
                delta = delta.filter { $0.value > .zero }
                let over = delta.keys.sorted().filter { key in
                    let used = (tracked.used[key] ?? .zero) + (tracked.inFlight[key] ?? .zero)
                    return used + (delta[key] ?? .zero) > (tracked.hard[key] ?? .zero)
                }
                if !over.isEmpty {
                    func text(_ amounts: (String) -> Quantity?) -> String {
                        over.map { "\($0)=\((amounts($0) ?? .zero).canonical)" }.joined(separator: ",")
                    }
                    return .failure(
                        request.forbidden(
                            "exceeded quota: \(name), requested: \(text { delta[$0] }), "
                                + "used: \(text { (tracked.used[$0] ?? .zero) + (tracked.inFlight[$0] ?? .zero) }), "
                                + "limited: \(text { tracked.hard[$0] })"))
                }
                if !delta.isEmpty {
                    entries.append((ObjectKey(namespace: request.key.namespace, name: name), delta))
                }
            }
            if request.context.isDryRun { return .success([]) }
            for (quota, amounts) in entries {
                for (key, amount) in amounts {
                    let before = state.quotas[quota.namespace]?[quota.name]?.inFlight[key] ?? .zero
                    state.quotas[quota.namespace]?[quota.name]?.inFlight[key] = before + amount
                }
            }
            return .success(entries)
        }
        return QuotaCharge(ledger: self, entries: try result.get())
    }

    fileprivate func settle(_ charge: QuotaCharge) {
        if charge.entries.isEmpty { return }
        state.withLock { state in
            for (quota, amounts) in charge.entries {
                for (key, amount) in amounts {
                    guard let before = state.quotas[quota.namespace]?[quota.name]?.inFlight[key] else { continue }
                    state.quotas[quota.namespace]?[quota.name]?.inFlight[key] = max(.zero, before - amount)
                }
            }
        }
    }

    /// Quotas whose written status is behind, with what it should say.
    func takeStale() -> [(ObjectKey, JSON)] {
        state.withLock { state in
            var result: [(ObjectKey, JSON)] = []
            for (namespace, quotas) in state.quotas {
                for (name, tracked) in quotas where tracked.isStale {
                    state.quotas[namespace]?[name]?.isStale = false
                    var hard: JSON = [:]
                    var used: JSON = [:]
                    for key in tracked.hard.keys.sorted() {
                        hard[key] = .string((tracked.hard[key] ?? .zero).canonical)
                        used[key] = .string((tracked.used[key] ?? .zero).canonical)
                    }
                    result.append((ObjectKey(namespace: namespace, name: name), ["hard": hard, "used": used]))
                }
            }
            return result
        }
    }

    /// Marks a quota whose status could not be written.
    func markStale(_ key: ObjectKey) {
        state.withLock { $0.quotas[key.namespace]?[key.name]?.isStale = true }
    }
}

extension Machinery {
    /// Writes the status of quotas whose usage changed, twice a second at most.
    func recountQuotas() async {
        guard let cache = caches[GroupResource(group: "", resource: "resourcequotas")] else { return }
        let context = RequestContext(user: .system, fieldManager: "kube-controller-manager", fieldValidation: .ignore)
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(500))
            for (key, status) in quotas.takeStale() {
                do {
                    _ = try await rewrite(cache, key, .status, context: context) { current in
                        var tree = current.tree
                        tree["status"] = status
                        return tree
                    }
                } catch let error as StatusError where error.reason == .notFound {
                    continue
                } catch {
                    quotas.markStale(key)
                    logger.debug(
                        "a quota's status could not be written", metadata: ["quota": "\(key)", "error": "\(error)"])
                }
            }
        }
    }
}
