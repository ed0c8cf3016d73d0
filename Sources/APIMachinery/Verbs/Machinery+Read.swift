public import ClusterClient
public import ObjectModel
public import Schema

extension Machinery: APIBackend {
    public func get(_ resource: ResourceDefinition, _ key: ObjectKey, resourceVersion: String) async throws -> Object {
        let cache = try stored(resource, verb: "get")
        if let revision = try parseRevision(resourceVersion), revision > 0 { try await waitUntilVisible(revision) }
        guard let object = cache.get(key) else {
            throw StatusError.notFound(resource.resource.groupResource, name: key.name)
        }
        return try await shown(object, as: resource)
    }

    public func getAtOnce(_ resource: ResourceDefinition, _ key: ObjectKey) -> Object? {
        guard resource.hasVerb("get"), let object = cached(resource.resource, key) else { return nil }
        if object.kind == resource.kind { return object }
        return customDefinition(resource) == nil ? VersionConversion.object(object, as: resource.kind) : nil
    }

    public func list(_ resource: ResourceDefinition, namespace: String?, options: ListOptions) async throws
        -> ObjectList
    {
        let cache = try stored(resource, verb: "list")
        try checkListOptions(options)
        let late = try convertedSelection(options.fieldSelector, resource, cache)
        let selection = try Selection(
            namespace: namespace, labels: options.labelSelector, fields: late?.storedFields ?? options.fieldSelector,
            resource: resource.resource, catalog: catalog)
        let limit = options.limit.flatMap { $0 > 0 ? $0 : nil }
        if let text = options.continueToken, !text.isEmpty {
            return try await continued(try ContinueToken(text), cache, resource, selection, late, limit: limit)
        }
        var past: Revision?
        if let revision = try parseRevision(options.resourceVersion), revision > 0 {
            try await waitUntilVisible(revision)
            // With a limit and no match rule, a revision means exactly that one, as it always did.
            if options.resourceVersionMatch == "Exact" || (options.resourceVersionMatch.isEmpty && limit != nil) {
                past = revision
            }
        }
        let page = try await page(cache, selection, after: nil, limit: limit, at: past)
        return try await answer(page, resource, late, firstPage: .now)
    }

    private func continued(
        _ token: ContinueToken, _ cache: WatchCache, _ resource: ResourceDefinition, _ selection: Selection,
        _ late: ConvertedSelection?, limit: Int?
    ) async throws -> ObjectList {
        if token.revision > 0 { try await waitUntilVisible(token.revision) }
        do {
            // However quiet the cluster is: clients rely on pages that nobody asks for any more to end.
            if token.revision > 0, let first = token.firstPage, .now > first + configuration.compactionInterval {
                throw StatusError.expired("the continue token is too old")
            }
            let page = try await page(
                cache, selection, after: token.last, limit: limit, at: token.revision == 0 ? nil : token.revision)
            return try await answer(page, resource, late, firstPage: token.firstPage)
        } catch var error as StatusError where error.reason == .expired && token.revision > 0 {
            error.message =
                "the continue token is too old for a consistent list: list again without it, or go on with the token "
                + "of this response, which may skip or repeat what changed in between"
            error.continueToken = ContinueToken(revision: 0, last: token.last).text
            throw error
        }
    }

    /// With a selection that comes after the conversion a page may have fewer items than the limit, as clients expect.
    private func answer(
        _ page: CachePage, _ resource: ResourceDefinition, _ late: ConvertedSelection?, firstPage: Timestamp?
    ) async throws -> ObjectList {
        let items = try await shown(page.objects, as: resource)
        return ObjectList(
            items: late.map { items.filter($0.matches) } ?? items, resourceVersion: page.revision,
            continueToken: page.next.map {
                ContinueToken(revision: page.revision, last: $0, firstPage: firstPage).text
            },
            remainingItemCount: page.next == nil || late != nil ? nil : page.remaining)
    }

    /// One page from the cache, or from the store when the cache does not reach back that far.
    private func page(
        _ cache: WatchCache, _ selection: Selection, after: ObjectKey?, limit: Int?, at past: Revision?
    ) async throws -> CachePage {
        do {
            return try cache.list(selection, after: after, limit: limit, at: past, applied: caches.gate.applied)
        } catch {
            guard let past else { throw StatusError.internalError("\(error)") }
            let entries: [CacheEntry]
            do {
                entries = try await caches.past(of: cache, at: past)
            } catch {
                throw StatusError.expired("The resourceVersion for the provided list is too old.")
            }
            var page = CachePage(objects: [], revision: past)
            for entry in entries where after.map({ $0 < entry.object.key }) ?? true {
                guard selection.matches(entry.object, nodeName: entry.node) else { continue }
                if let limit, page.objects.count == limit {
                    page.next = page.objects.last?.key
                    break
                }
                page.objects.append(entry.object)
            }
            return page
        }
    }

    // MARK: Watch

    public func watch(_ resource: ResourceDefinition, namespace: String?, query: WatchQuery) async throws
        -> WatchSubscription
    {
        let cache = try stored(resource, verb: "watch")
        try checkWatchQuery(query)
        let late = try convertedSelection(query.fieldSelector, resource, cache)
        let selection = try Selection(
            namespace: namespace, labels: query.labelSelector, fields: late?.storedFields ?? query.fieldSelector,
            resource: resource.resource, catalog: catalog)
        let revision = try parseRevision(query.resourceVersion) ?? 0
        if revision > 0, query.sendInitialEvents == true { try await waitUntilVisible(revision) }
        let start: WatchCache.WatchStart =
            switch (query.sendInitialEvents, revision) {
            case (true?, _): query.allowBookmarks ? .everythingThenBookmark : .everything
            case (nil, 0): .everything
            case (false?, 0): .after(caches.gate.applied)
            // A revision that is yet to come is waited for: nothing up to it is told.
            default: .after(revision)
            }
        if let late, case .after(let known) = start {
            let past = known < caches.gate.applied ? known : nil
            let page = try await page(cache, selection, after: nil, limit: nil, at: past)
            late.begin(with: try await shown(page.objects, as: resource))
        }
        let watcher: Watcher
        do {
            watcher = try cache.watch(
                selection, from: start, allowBookmarks: query.allowBookmarks, applied: caches.gate.applied)
        } catch {
            throw StatusError.expired("too old resource version: \(revision) (\(error.oldest))")
        }
        return WatchSubscription(
            channel: watcher.channel, kind: resource.kind, showsAll: late != nil,
            shown: { [self] events in
                let shown = try await shown(events, as: resource)
                return late?.filter(shown) ?? shown
            }, cancel: { cache.unwatch(watcher) })
    }

    // MARK: Revisions and parameters

    /// - Returns: nil for an empty text.
    /// - Throws: 400 for anything but a decimal number.
    func parseRevision(_ text: String) throws -> Revision? {
        if text.isEmpty { return nil }
        guard let revision = Revision(text), text.utf8.first != UInt8(ascii: "+") else {
            throw StatusError.badRequest(
                "resourceVersion: Invalid value: \"\(text.prefix(64))\": it is no decimal number")
        }
        return revision
    }

    /// Waits for a revision of which a client says that it exists.
    /// - Throws: 504 after three seconds.
    func waitUntilVisible(_ revision: Revision) async throws {
        if await caches.gate.wait(for: revision, timeout: .seconds(3)) { return }
        try Task.checkCancellation()
        var error = StatusError.timeout(
            "Too large resource version: \(revision), current: \(caches.gate.applied)")
        error.causes = [.init(reason: "ResourceVersionTooLarge", message: "Too large resource version")]
        error.retryAfterSeconds = 1
        throw error
    }

    private func checkListOptions(_ options: ListOptions) throws {
        let hasToken = !(options.continueToken ?? "").isEmpty
        if !options.resourceVersionMatch.isEmpty {
            let field = "resourceVersionMatch"
            var problems: [FieldError] = []
            if hasToken { problems.append(.forbidden(field, "it may not stand beside continue")) }
            if options.resourceVersion.isEmpty {
                problems.append(
                    .forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
            }
            if !["Exact", "NotOlderThan"].contains(options.resourceVersionMatch) {
                problems.append(
                    .notSupported(field, .string(options.resourceVersionMatch), ["Exact", "NotOlderThan", ""]))
            } else if options.resourceVersionMatch == "Exact", options.resourceVersion == "0" {
                problems.append(
                    .forbidden(field, "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\""))
            }
            try throwListOptions(problems)
        }
        if hasToken, !options.resourceVersion.isEmpty, options.resourceVersion != "0" {
            throw StatusError.badRequest("specifying resource version is not allowed when using continue")
        }
    }

    private func checkWatchQuery(_ query: WatchQuery) throws {
        var problems: [FieldError] = []
        let field = "resourceVersionMatch"
        if query.sendInitialEvents != nil {
            if query.resourceVersionMatch != "NotOlderThan" {
                problems.append(
                    .forbidden(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
            }
        } else if !query.resourceVersionMatch.isEmpty {
            problems.append(
                .forbidden(field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
        }
        try throwListOptions(problems)
    }

    private func throwListOptions(_ problems: [FieldError]) throws {
        if problems.isEmpty { return }
        throw StatusError.invalid(
            GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "ListOptions"), name: "", problems)
    }
}
