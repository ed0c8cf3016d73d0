public import ClusterClient
import JSON
public import ObjectModel
public import Schema

extension Machinery {
    public func delete(
        _ resource: ResourceDefinition, _ key: ObjectKey, options: DeleteOptions, context: RequestContext
    ) async throws -> DeleteResult {
        let cache = try stored(resource, verb: "delete")
        var result = try await remove(cache, key, options: options, kind: resource.kind, context: context)
        result.object = try await shown(result.object, as: resource)
        return result
    }

    public func deleteCollection(
        _ resource: ResourceDefinition, namespace: String?, list: ListOptions, options: DeleteOptions,
        context: RequestContext
    ) async throws -> ObjectList {
        let cache = try stored(resource, verb: "deletecollection")
        let found = try await self.list(resource, namespace: namespace, options: list)
        // Several at a time, so that their writes are committed together.
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            for object in found.items {
                if running >= 32 {
                    try await group.next()
                    running -= 1
                }
                running += 1
                group.addTask {
                    do {
                        _ = try await self.remove(
                            cache, object.key, options: options, kind: resource.kind, context: context)
                    } catch let error as StatusError where error.reason == .notFound {
                        return
                    }
                }
            }
            try await group.waitForAll()
        }
        return found
    }

    /// Deletes, or marks as being deleted while a grace period or finalizers hold the object.
    /// - Parameters:
    ///   - kind: the version that the client named; nil for the stored one.
    ///   - isAdmitted: admission was asked already, about what leads to this.
    func remove(
        _ cache: WatchCache, _ key: ObjectKey, options: DeleteOptions, kind: GroupVersionKind? = nil,
        isAdmitted: Bool = false, context: RequestContext
    ) async throws -> DeleteResult {
        let resource = cache.definition
        let group = resource.resource.groupResource
        let rules = kinds[cache.place]
        for _ in 0..<64 {
            guard let current = cache.get(key) else { throw StatusError.notFound(group, name: key.name) }
            try checkPreconditions(current, options, group)
            let tree = current.tree
            if !isAdmitted {
                var request = AdmissionRequest(
                    operation: .delete, resource: resource, subresource: nil, key: key, object: tree, old: current,
                    context: context, writtenKind: kind)
                request.deleteOptions = options
                try await admit(&request) { _ in }
                _ = try await admission.validate(request, in: self)
            }
            let decision = Deletion.decide(tree, options: options, rules: rules, isPod: cache.place == Self.pods)
            if rules.orphansByDefault, options.propagation == nil, cache.place.resource == "jobs" {
                context.warn(
                    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
                        + "them or set propagationPolicy=Orphan to suppress this warning")
            }
            do {
                switch decision {
                case .unchanged: return DeleteResult(object: current, isGone: false)
                case .now:
                    if context.isDryRun || options.isDryRun { return DeleteResult(object: current, isGone: true) }
                    return DeleteResult(object: try await commitDelete(cache, current), isGone: true)
                case .mark(let marked):
                    if context.isDryRun || options.isDryRun {
                        return DeleteResult(object: Object(marked), isGone: false)
                    }
                    return DeleteResult(object: try await commitUpdate(cache, current, marked), isGone: false)
                }
            } catch let conflict as WriteConflict {
                await catchUp(conflict)
                try Task.checkCancellation()
            }
        }
        throw StatusError.conflict(group, name: key.name)
    }

    private static let pods = GroupVersionResource.pods.groupResource

    func checkPreconditions(_ current: Object, _ options: DeleteOptions, _ group: GroupResource) throws {
        if let uid = options.uid, uid != current.uid {
            throw StatusError.conflict(
                group, name: current.name,
                "the UID in the precondition (\(uid)) does not match the UID in record (\(current.uid)). The object might "
                    + "have been deleted and then recreated")
        }
        if let revision = options.resourceVersion, revision != current.metadata.resourceVersion {
            throw StatusError.conflict(
                group, name: current.name,
                "the ResourceVersion in the precondition (\(revision)) does not match the ResourceVersion in record "
                    + "(\(current.metadata.resourceVersion)). The object might have been modified")
        }
    }
}

/// What a delete does to an object. Pure.
enum Deletion {
    enum Decision: Equatable {
        /// Nothing holds it.
        case now
        /// It stays, marked as being deleted.
        case mark(JSON)
        /// It is being deleted already, and this asks for nothing more.
        case unchanged
    }

    static func decide(_ tree: JSON, options: DeleteOptions, rules: KindRules, isPod: Bool) -> Decision {
        var marked = tree
        var finalizers = finalizers(tree, options: options, rules: rules)
        if let cleanup = rules.cleanupFinalizer, tree["metadata"]["deletionTimestamp"].string == nil,
            !finalizers.contains(cleanup)
        {
            finalizers.append(cleanup)
        }
        marked["metadata"].setMember("finalizers", finalizers.isEmpty ? nil : JSON(finalizers))
        let isMarked = tree["metadata"]["deletionTimestamp"].string != nil
        let grace = isPod ? gracePeriod(tree, options) : 0
        let holdsSpec = rules.hasSpecFinalizers && !tree["spec"]["finalizers"].elements.isEmpty
        if isMarked {
            let running = tree["metadata"]["deletionGracePeriodSeconds"].int ?? 0
            // A second delete may only shorten the time; not to say a period asks for no change.
            let isShorter = isPod && options.gracePeriodSeconds != nil && grace < running
            if isShorter {
                shorten(&marked, tree, from: running, to: grace)
            }
            let left = isShorter ? grace : running
            if left == 0, finalizers.isEmpty, !holdsSpec { return .now }
            return marked == tree ? .unchanged : .mark(marked)
        }
        if finalizers.isEmpty, grace == 0, !holdsSpec { return .now }
        marked["metadata"]["deletionTimestamp"] = .string((Timestamp.now + .seconds(grace)).rfc3339)
        marked["metadata"]["deletionGracePeriodSeconds"] = JSON(grace)
        if rules.hasSpecFinalizers { marked["status"]["phase"] = "Terminating" }
        // Namespaces have no generation; others count the deletion as a change.
        if let generation = tree["metadata"]["generation"].int {
            marked["metadata"]["generation"] = JSON(generation + 1)
        }
        rules.prepareDelete(&marked)
        return .mark(marked)
    }

    private static func shorten(_ marked: inout JSON, _ tree: JSON, from running: Int, to grace: Int) {
        marked["metadata"]["deletionGracePeriodSeconds"] = JSON(grace)
        let deadline = tree["metadata"]["deletionTimestamp"].string.flatMap { Timestamp($0) } ?? .now
        marked["metadata"]["deletionTimestamp"] = .string((deadline + .seconds(grace - running)).rfc3339)
    }

    /// Seconds a pod may take: what the request says, else what the pod says, else 30; none for a pod that runs nowhere.
    private static func gracePeriod(_ pod: JSON, _ options: DeleteOptions) -> Int {
        let isMarked = pod["metadata"]["deletionTimestamp"].string != nil
        let isPlaced = !(pod["spec"]["nodeName"].string ?? "").isEmpty
        let isOver = ["Succeeded", "Failed"].contains(pod["status"]["phase"].string ?? "")
        if !isMarked, !isPlaced || isOver { return 0 }
        let seconds = options.gracePeriodSeconds ?? pod["spec"]["terminationGracePeriodSeconds"].int ?? 30
        return seconds < 0 ? 1 : seconds
    }

    /// The finalizers with those that the propagation policy asks for.
    private static func finalizers(_ tree: JSON, options: DeleteOptions, rules: KindRules) -> [String] {
        let known = tree["metadata"]["finalizers"].elements.compactMap(\.string)
        if rules.ignoresPropagation { return known }
        var rest = known
        var wanted: String?
        switch options.propagation {
        case .foreground: wanted = "foregroundDeletion"
        case .orphan: wanted = "orphan"
        case .background: wanted = nil
        case nil:
            // What an earlier request asked for stays; else the kind's own habit.
            if known.contains("foregroundDeletion") || known.contains("orphan") { return known }
            wanted = rules.orphansByDefault ? "orphan" : nil
        }
        rest.removeAll { ($0 == "foregroundDeletion" || $0 == "orphan") && $0 != wanted }
        if let wanted, !rest.contains(wanted) { rest.append(wanted) }
        return rest
    }
}
