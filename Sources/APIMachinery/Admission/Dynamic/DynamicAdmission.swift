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
        /// Policies that have bindings, with these.
        let mutatingPolicies: [(policy: MutatingPolicy, bindings: [PolicyBinding])]
        let validatingPolicies: [(policy: ValidatingPolicy, bindings: [PolicyBinding])]

        fileprivate init(_ state: State) {
            mutating = state.mutating.inOrder.flatMap { $0 }
            validating = state.validating.inOrder.flatMap { $0 }
            mutatingPolicies = Self.bound(state.mutatingPolicies, state.mutatingBindings) { $0.frame.name }
            validatingPolicies = Self.bound(state.validatingPolicies, state.validatingBindings) { $0.frame.name }
        }

        private static func bound<Policy>(
            _ policies: [String: Policy], _ bindings: [String: PolicyBinding], _ name: (Policy) -> String
        ) -> [(policy: Policy, bindings: [PolicyBinding])] {
            let byPolicy = Dictionary(grouping: bindings.inOrder, by: \.policy)
            return policies.inOrder.compactMap { policy in byPolicy[name(policy)].map { (policy, $0) } }
        }

        var mutatesNothing: Bool { mutating.isEmpty && mutatingPolicies.isEmpty }
        var validatesNothing: Bool { validating.isEmpty && validatingPolicies.isEmpty }
    }
    fileprivate struct State {
        var mutating: [String: [Webhook]] = [:]
        var validating: [String: [Webhook]] = [:]
        var mutatingPolicies: [String: MutatingPolicy] = [:]
        var mutatingBindings: [String: PolicyBinding] = [:]
        var validatingPolicies: [String: ValidatingPolicy] = [:]
        var validatingBindings: [String: PolicyBinding] = [:]
        var hooks: Hooks?
        var isOpen = false
    }
    private let state = Mutex(State())
    /// Revisions at which validating policies changed, for whoever writes their status. The caches show a revision a moment
    /// after it was told here.
    let policyChanges: AsyncStream<Revision>
    private let policyWake: AsyncStream<Revision>.Continuation

    init() {
        (policyChanges, policyWake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    static let group = "admissionregistration.k8s.io"

    /// What runs now; nil when nothing does.
    var hooks: Hooks? { state.withLock { $0.isOpen ? $0.hooks : nil } }

    /// Begins to run what is configured. Before that the server writes what every cluster has, which must not depend on
    /// webhooks that run in that cluster.
    func open() { state.withLock { $0.isOpen = true } }

    func follow(_ caches: CacheSet) {
        follow(caches, "mutatingwebhookconfigurations") { $0.mutating.set($1, $2, Self.webhooks) }
        follow(caches, "validatingwebhookconfigurations") { $0.validating.set($1, $2, Self.webhooks) }
        follow(caches, "mutatingadmissionpolicies") { $0.mutatingPolicies.set($1, $2, MutatingPolicy.init) }
        follow(caches, "mutatingadmissionpolicybindings") { $0.mutatingBindings.set($1, $2, PolicyBinding.init) }
        follow(caches, "validatingadmissionpolicies") { $0.validatingPolicies.set($1, $2, ValidatingPolicy.init) }
        follow(caches, "validatingadmissionpolicybindings") { $0.validatingBindings.set($1, $2, PolicyBinding.init) }
    }

    private func follow(
        _ caches: CacheSet, _ resource: String,
        _ body: @escaping @Sendable (inout State, _ old: Object?, _ new: Object?) -> Void
    ) {
        caches.observe(GroupResource(group: Self.group, resource: resource)) { [weak self] old, new in
            // A new status says nothing new.
            if let old, let new, old.metadata.generation == new.metadata.generation, old.uid == new.uid,
                old.metadata.generation > 0
            {
                return
            }
            self?.change { body(&$0, old, new) }
            if let new, new.kind.kind == "ValidatingAdmissionPolicy" {
                self?.policyWake.yield(new.metadata.resourceVersion)
            }
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
            let hooks = Hooks(state)
            state.hooks = hooks.mutatesNothing && hooks.validatesNothing ? nil : hooks
        }
    }

    /// Objects that decide about admission are never sent to webhooks: nobody could repair a configuration that refuses
    /// its own repair.
    static func isExemptFromWebhooks(_ place: GroupResource) -> Bool {
        place.group == group
            && (isExemptFromPolicies(place) || place.resource == "mutatingwebhookconfigurations"
                || place.resource == "validatingwebhookconfigurations")
    }

    /// Policies have a say about webhook configurations, but not about policies.
    static func isExemptFromPolicies(_ place: GroupResource) -> Bool {
        place.group == group
            && (place.resource.hasSuffix("admissionpolicies") || place.resource.hasSuffix("admissionpolicybindings"))
    }
}

extension Dictionary where Key == String {
    fileprivate mutating func set(_ old: Object?, _ new: Object?, _ read: (Object) -> Value) {
        if let old, new == nil { removeValue(forKey: old.name) }
        if let new { self[new.name] = read(new) }
    }
    fileprivate var inOrder: [Value] { keys.sorted().compactMap { self[$0] } }
}
