import ClusterClient
import CustomResources
import JSON
import ObjectModel
import Schema
import Synchronization

/// Objects in versions that they are not stored in. Conversion by webhook is dear, and an object never changes: what was
/// converted once is kept for a while.
final class ConversionCache: Sendable {
    struct Key: Hashable {
        var uid: String
        var revision: Revision
        var kind: GroupVersionKind
    }
    private static let maximumObjects = 4096
    private let objects = Mutex<[Key: Object]>([:])

    subscript(key: Key) -> Object? {
        get { objects.withLock { $0[key] } }
        set {
            objects.withLock { objects in
                if objects.count >= Self.maximumObjects { objects.removeAll(keepingCapacity: true) }
                objects[key] = newValue
            }
        }
    }

    func removeAll() { objects.withLock { $0.removeAll() } }
}

extension Machinery {
    /// An object as a version of its resource has it; the same reference when it already is.
    func shown(_ object: Object, as resource: ResourceDefinition) async throws -> Object {
        if object.kind == resource.kind { return object }
        return try await shown([object], as: resource).first ?? object
    }

    func shown(_ objects: [Object], as resource: ResourceDefinition) async throws -> [Object] {
        guard let first = objects.first else { return objects }
        guard let definition = customDefinition(resource) else {
            return first.kind == resource.kind ? objects : VersionConversion.objects(objects, as: resource.kind)
        }
        if objects.allSatisfy({ $0.kind == resource.kind }) { return objects }
        guard let version = definition.version(resource.kind.version) else { throw StatusError.unserved() }
        var result = objects
        var missing: [Int] = []
        for (index, object) in objects.enumerated() where object.kind != resource.kind {
            if let known = customResources.converted[Self.key(object, resource.kind)] {
                result[index] = known
            } else {
                missing.append(index)
            }
        }
        // A review holds what a page of a list usually holds.
        var rest = missing[...]
        while !rest.isEmpty {
            let part = rest.prefix(500)
            rest = rest.dropFirst(500)
            let trees = try await convert(part.map { objects[$0].tree }, definition, to: version)
            for (index, tree) in zip(part, trees) {
                let object = Object(tree)
                result[index] = object
                // Only what is stored has a revision, and so a name for this state.
                if objects[index].metadata.resourceVersion > 0 {
                    customResources.converted[Self.key(objects[index], resource.kind)] = object
                }
            }
        }
        return result
    }

    private static func key(_ object: Object, _ kind: GroupVersionKind) -> ConversionCache.Key {
        ConversionCache.Key(uid: object.uid, revision: object.metadata.resourceVersion, kind: kind)
    }

    /// Events with objects as a version of their resource has them. Bookmarks only change their name.
    func shown(_ events: [WatchEvent], as resource: ResourceDefinition) async throws -> [WatchEvent] {
        if events.allSatisfy({ $0.object.kind == resource.kind }) { return events }
        let places = events.indices.filter { events[$0].kind != .bookmark }
        let objects = try await shown(places.map { events[$0].object }, as: resource)
        var result = events.map { event in
            event.kind == .bookmark
                ? WatchEvent(.bookmark, VersionConversion.object(event.object, as: resource.kind)) : event
        }
        for (place, object) in zip(places, objects) { result[place].object = object }
        return result
    }

    /// A tree as the store takes it.
    func storedForm(_ tree: JSON, _ cache: WatchCache) async throws -> JSON {
        let kind = cache.definition.kind
        if tree["apiVersion"].string == kind.apiVersion { return tree }
        guard let definition = registry.definition(of: cache.place), let version = definition.version(kind.version)
        else { return tree }
        return try await convert([tree], definition, to: version).first ?? tree
    }

    // MARK: Converting

    private func convert(_ trees: [JSON], _ definition: CustomDefinition, to version: CustomVersion) async throws
        -> [JSON]
    {
        let kind = version.definition.kind
        var result: [JSON]
        switch definition.conversion {
        case .none:
            result = trees.map { tree in
                var tree = tree
                tree["apiVersion"] = .string(kind.apiVersion)
                return tree
            }
        case .webhook(let clientConfig, let reviewVersions):
            result = try await ask(clientConfig, reviewVersions, trees, for: kind)
        }
        for index in result.indices {
            _ = version.prune(&result[index])
            version.applyDefaults(to: &result[index])
        }
        return result
    }

    /// Asks a conversion webhook (`ConversionReview` of apiextensions.k8s.io).
    private func ask(
        _ clientConfig: JSON, _ reviewVersions: [String], _ trees: [JSON], for kind: GroupVersionKind
    ) async throws -> [JSON] {
        func failure(_ why: String) -> StatusError {
            StatusError(
                code: 500, reason: .unknown, message: "conversion webhook for \(trees[0].kindText) failed: \(why)")
        }
        let reviewVersion = reviewVersions.first { $0 == "v1" || $0 == "v1beta1" } ?? "v1"
        let uid = NameGenerator.uuid()
        let review: JSON = [
            "kind": "ConversionReview", "apiVersion": .string("apiextensions.k8s.io/\(reviewVersion)"),
            "request": [
                "uid": .string(uid), "desiredAPIVersion": .string(kind.apiVersion), "objects": .array(trees),
            ],
        ]
        let answer: JSON
        do {
            answer = try await callWebhook(review, clientConfig: clientConfig, timeout: .seconds(30))
        } catch {
            throw failure(error.description)
        }
        let response = answer["response"]
        guard answer["kind"].string == "ConversionReview", response.object != nil else {
            throw failure("the answer is no ConversionReview with a response")
        }
        guard response["uid"].string == uid else {
            throw failure("expected response.uid=\"\(uid)\", got \"\(response["uid"].string ?? "")\"")
        }
        guard response["result"]["status"].string == "Success" else {
            throw failure(response["result"]["message"].string ?? "it says no reason")
        }
        let converted = response["convertedObjects"].elements
        guard converted.count == trees.count else {
            throw failure("expected \(trees.count) converted objects, got \(converted.count)")
        }
        var result: [JSON] = []
        for (tree, new) in zip(trees, converted) {
            guard new["apiVersion"].string == kind.apiVersion, new["kind"] == tree["kind"] else {
                throw failure("expected converted objects of \(kind), got \(new.kindText)")
            }
            let before = tree["metadata"]
            let after = new["metadata"]
            for field in ["name", "namespace", "uid"] where before[field] != after[field] {
                throw failure("metadata.\(field) must not change")
            }
            // Labels and annotations may change, nothing else of the metadata.
            var metadata = before
            for field in ["labels", "annotations"] { metadata.setMember(field, after[field]) }
            var object = new
            object["metadata"] = metadata
            result.append(object)
        }
        return result
    }
}

extension JSON {
    /// `group/version, Kind=Kind` of an object.
    fileprivate var kindText: String { "\(self["apiVersion"].string ?? ""), Kind=\(self["kind"].string ?? "")" }
}

extension StatusError {
    /// What is asked for is not served any more.
    static func unserved() -> StatusError {
        StatusError(code: 404, reason: .notFound, message: "the server could not find the requested resource")
    }
}
