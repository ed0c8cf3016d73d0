import JSON
import ObjectModel
import Schema
import Synchronization

/// Admission that objects configure: webhooks and policies.
///
/// The configurations follow the watch caches, which see a write before its writer is answered: whoever was told that a
/// webhook was made finds it in force. A request costs one look at an empty box when nothing is configured.
final class DynamicAdmission: Sendable {
    /// All that is configured, ready to run, in the order of names.
    final class Hooks: Sendable {
        let mutating: [Webhook]
        let validating: [Webhook]

        init(mutating: [Webhook], validating: [Webhook]) {
            self.mutating = mutating
            self.validating = validating
        }
        var isEmpty: Bool { mutating.isEmpty && validating.isEmpty }
    }
    private struct State {
        var mutating: [String: [Webhook]] = [:]
        var validating: [String: [Webhook]] = [:]
        var hooks: Hooks?
        var isOpen = false
    }
    private let state = Mutex(State())

    static let group = "admissionregistration.k8s.io"

    /// What runs now; nil when nothing does.
    var hooks: Hooks? { state.withLock { $0.isOpen ? $0.hooks : nil } }

    /// Begins to run what is configured. Before that the server writes what every cluster has, which must not depend on
    /// webhooks that run in that cluster.
    func open() { state.withLock { $0.isOpen = true } }

    func follow(_ caches: CacheSet) {
        caches.observe(GroupResource(group: Self.group, resource: "mutatingwebhookconfigurations")) {
            [weak self] old, new in
            self?.change { $0.mutating.set(old, new, Self.webhooks) }
        }
        caches.observe(GroupResource(group: Self.group, resource: "validatingwebhookconfigurations")) {
            [weak self] old, new in
            self?.change { $0.validating.set(old, new, Self.webhooks) }
        }
    }

    private static func webhooks(_ configuration: Object) -> [Webhook] {
        configuration.tree["webhooks"].elements.enumerated().map { index, json in
            Webhook(json, configuration: configuration.name, index: index)
        }
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { state in
            body(&state)
            let hooks = Hooks(
                mutating: state.mutating.inOrder.flatMap { $0 }, validating: state.validating.inOrder.flatMap { $0 })
            state.hooks = hooks.isEmpty ? nil : hooks
        }
    }

    /// Objects that decide about admission are never subject to it: nobody could repair a configuration that refuses
    /// its own repair.
    static func isExempt(_ place: GroupResource) -> Bool {
        place.group == group && exempt.contains(place.resource)
    }
    private static let exempt: Set<String> = [
        "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
        "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
    ]
}

extension Dictionary where Key == String {
    fileprivate mutating func set(_ old: Object?, _ new: Object?, _ read: (Object) -> Value) {
        if let old, new == nil { removeValue(forKey: old.name) }
        if let new { self[new.name] = read(new) }
    }
    fileprivate var inOrder: [Value] { keys.sorted().compactMap { self[$0] } }
}
