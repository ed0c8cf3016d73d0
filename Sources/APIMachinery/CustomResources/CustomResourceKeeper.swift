import ClusterClient
import CustomResources
import JSON
import Logging
import ObjectModel
import Synchronization

/// Turns definitions of custom resources into served kinds, and keeps their conditions true.
///
/// A definition whose names nobody else has gets a cache, is published in the catalog, and only then called established:
/// whoever sees the condition finds the kind. A change of an established definition is in force before its writer is
/// answered. A definition that is deleted waits (by its finalizer) until all its objects are gone.
///
/// Names, readings of the catalog and caches follow the events of the store; everything that writes or waits is done
/// by one worker.
final class CustomResourceKeeper: Sendable {
    static let definitions = GroupResource(group: "apiextensions.k8s.io", resource: "customresourcedefinitions")
    private static let context = RequestContext(user: .system, fieldManager: "kube-apiserver", fieldValidation: .ignore)

    let converted = ConversionCache()
    private let registry: KindRegistry
    private let caches: CacheSet
    private let logger: Logger
    private let queue = WorkQueue<String>()
    /// The newest event that was heard of, which may not be readable yet.
    private let heard = Mutex<Revision>(0)
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(registry: KindRegistry, caches: CacheSet, logger: Logger) {
        self.registry = registry
        self.caches = caches
        self.logger = logger
    }

    /// Listens to the caches. Call before they start.
    func follow() {
        caches.readDefinitions { [weak self] objects in
            guard let self else { return [] }
            let served = objects.filter(Self.isEstablished).map { CustomDefinition($0) }
                .filter { !self.registry.isBuiltin($0.groupResource) }
            registry.replace(with: served)
            return served
        }
        caches.observe(Self.definitions) { [weak self] old, new in self?.note(old, new) }
    }

    /// Begins to work in the background.
    func start(_ machinery: Machinery) {
        // Until `stop`, the task and the machinery keep each other.
        let work = Task {
            await queue.run(workers: 1) { name in
                do {
                    try await self.reconcile(name, machinery)
                } catch {
                    self.logger.warning(
                        "a definition of custom resources is looked at again",
                        metadata: ["name": "\(name)", "error": "\(error)"])
                    throw error
                }
            }
        }
        task.withLock { $0 = work }
    }

    func stop() async {
        let work = task.withLock { task in
            defer { task = nil }
            return task
        }
        work?.cancel()
        queue.close()
        await work?.value
    }

    private static func isEstablished(_ object: Object) -> Bool { CustomKinds.isTrue("Established", object.tree) }

    /// Follows one change of a definition, before it can be read.
    private func note(_ old: Object?, _ new: Object?) {
        guard let object = new ?? old else { return }
        if let new {
            if let known = registry.definition(named: new.name) {
                let definition = CustomDefinition(new, previous: known)
                caches.change(definition)
                registry.publish(definition)
                converted.removeAll()
            }
        } else if let known = registry.definition(named: object.name) {
            registry.withdraw(known.groupResource)
            caches.drop(known.groupResource.description)
            converted.removeAll()
        }
        heard.withLock { $0 = max($0, object.metadata.resourceVersion) }
        queue.add(object.name)
        // Others may wait for a name that is free now.
        let group = object.tree["spec"]["group"]
        let cache = caches[Self.definitions]
        for other in cache?.all() ?? [] where other.name != object.name {
            let tree = other.tree
            if tree["spec"]["group"] == group, !CustomKinds.isTrue("NamesAccepted", tree) { queue.add(other.name) }
        }
    }

    // MARK: Work

    private func reconcile(_ name: String, _ machinery: Machinery) async throws {
        _ = await caches.gate.wait(for: heard.withLock { $0 })
        guard let cache = caches[Self.definitions], let object = cache.get(ObjectKey(name: name)) else { return }
        if object.metadata.isTerminating { return try await clean(object, machinery) }
        var tree = object.tree
        let isAccepted = NameCheck(cache.all(), of: object).accept(&tree)
        let wasEstablished = CustomKinds.isTrue("Established", tree)
        if isAccepted || wasEstablished {
            let definition = CustomDefinition(Object(tree), previous: registry.definition(named: name))
            guard !registry.isBuiltin(definition.groupResource) else {
                CustomKinds.setCondition(
                    &tree, "Established", false, reason: "OverlappingBuiltInResource",
                    message: "the resource is built in")
                return try await writeStatus(object, tree, machinery)
            }
            if registry.definition(of: definition.groupResource) == nil {
                try await caches.add(definition)
                registry.publish(definition)
            } else {
                try await caches.refresh(definition)
            }
            if !wasEstablished {
                CustomKinds.setCondition(
                    &tree, "Established", true, reason: "InitialNamesAccepted",
                    message: "the initial names have been accepted")
            }
        } else {
            CustomKinds.setCondition(
                &tree, "Established", false, reason: "NotAccepted", message: "not all names are accepted")
        }
        Self.noteApproval(&tree)
        try await writeStatus(object, tree, machinery)
    }

    /// Groups of Kubernetes itself say whether somebody reviewed the kind.
    private static func noteApproval(_ tree: inout JSON) {
        guard DefinitionValidation.isProtected(tree["spec"]["group"].string ?? "") else { return }
        let value = tree["metadata"]["annotations"][DefinitionValidation.approvalAnnotation].string ?? ""
        let isApproved = value.hasPrefix("https://")
        CustomKinds.setCondition(
            &tree, "KubernetesAPIApprovalPolicyConformant", isApproved,
            reason: isApproved ? "ApprovedAnnotation" : "UnapprovedAnnotation",
            message: isApproved ? "approved in \(value)" : "not approved: \"\(value)\"")
    }

    private func writeStatus(_ object: Object, _ tree: JSON, _ machinery: Machinery) async throws {
        guard tree["status"] != object.tree["status"], let cache = caches[Self.definitions] else { return }
        do {
            _ = try await machinery.rewrite(cache, object.key, .status, context: Self.context) { _ in tree }
        } catch let error as StatusError where error.reason == .notFound || error.reason == .conflict {
            // A newer version has an event of its own.
            if error.reason == .conflict { queue.add(object.name) }
        }
    }

    /// Deletes the objects of a definition that is being deleted, then lets the definition go.
    private func clean(_ object: Object, _ machinery: Machinery) async throws {
        guard object.metadata.finalizers.contains(CustomKinds.finalizer), let definitions = caches[Self.definitions]
        else { return }
        var tree = object.tree
        if let served = registry.definition(named: object.name), let cache = caches[served.groupResource] {
            CustomKinds.setCondition(
                &tree, "Terminating", true, reason: "InstanceDeletionInProgress",
                message: "CustomResource deletion is in progress")
            try await writeStatus(object, tree, machinery)
            for instance in cache.all() where !instance.metadata.isTerminating {
                do {
                    _ = try await machinery.remove(
                        cache, instance.key, options: DeleteOptions(), context: Self.context)
                } catch let error as StatusError where error.reason == .notFound {
                    continue
                }
            }
            if cache.count > 0 {
                // Finalizers hold some; whoever put them there needs time.
                queue.add(object.name, after: .milliseconds(200))
                return
            }
        }
        do {
            _ = try await machinery.rewrite(definitions, object.key, .object, context: Self.context) { current in
                var tree = current.tree
                let left = tree["metadata"]["finalizers"].elements.filter { $0.string != CustomKinds.finalizer }
                tree["metadata"].setMember("finalizers", left.isEmpty ? nil : .array(left))
                return tree
            }
        } catch let error as StatusError where error.reason == .notFound {
            return
        }
    }
}

/// Whether the names of a definition are free in its group.
struct NameCheck {
    private let others: [CustomNames]

    init(_ all: [Object], of object: Object) {
        let group = object.tree["spec"]["group"]
        others = all.compactMap { other in
            guard other.uid != object.uid else { return nil }
            let tree = other.tree
            return tree["spec"]["group"] == group ? CustomNames(tree["status"]["acceptedNames"]) : nil
        }
    }

    /// Sets the accepted names and what is said of them.
    /// - Returns: whether all names are accepted.
    func accept(_ tree: inout JSON) -> Bool {
        let wanted = CustomNames(tree["spec"]["names"])
        var accepted = CustomNames(tree["status"]["acceptedNames"])
        let words = Set(others.flatMap { [$0.plural, $0.singular] + $0.shortNames }.filter { !$0.isEmpty })
        let kinds = Set(others.flatMap { [$0.kind, $0.listKind] }.filter { !$0.isEmpty })
        var conflict: (reason: String, name: String)?
        func take(_ reason: String, _ names: [String], _ taken: Set<String>, _ set: (inout CustomNames) -> Void) {
            if let name = names.first(where: taken.contains) {
                conflict = (reason, name)
            } else {
                set(&accepted)
            }
        }
        take("PluralConflict", [wanted.plural], words) { $0.plural = wanted.plural }
        take("SingularConflict", [wanted.singular], words) { $0.singular = wanted.singular }
        take("ShortNamesConflict", wanted.shortNames, words) { $0.shortNames = wanted.shortNames }
        take("KindConflict", [wanted.kind], kinds) { $0.kind = wanted.kind }
        take("ListKindConflict", [wanted.listKind], kinds) { $0.listKind = wanted.listKind }
        accepted.categories = wanted.categories
        tree["status"]["acceptedNames"] = accepted.json
        if let conflict {
            CustomKinds.setCondition(
                &tree, "NamesAccepted", false, reason: conflict.reason,
                message: "\"\(conflict.name)\" is already in use")
        } else {
            CustomKinds.setCondition(
                &tree, "NamesAccepted", true, reason: "NoConflicts", message: "no conflicts found")
        }
        return conflict == nil
    }
}
