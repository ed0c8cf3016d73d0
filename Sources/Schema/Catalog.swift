public import JSON
public import ObjectModel

/// All kinds and types that are served: the built-in tables now, custom resources beside them later. Immutable once made.
///
/// Everything kind-specific that is a fact and not behaviour comes from here: pruning, type checks, defaults, strategic
/// merge, printed columns, selectable fields, discovery and OpenAPI.
public final class Catalog: Sendable {
    /// The stable v1 kinds of Kubernetes, from the generated tables.
    public static let builtin = Catalog()

    init() {}

    /// All resources, in discovery order.
    public var resources: [ResourceDefinition] { fatalError("being written") }
    public func resource(_ resource: GroupVersionResource) -> ResourceDefinition? { fatalError("being written") }
    public func resource(for kind: GroupVersionKind) -> ResourceDefinition? { fatalError("being written") }
    /// API groups in discovery order with their served versions, preferred first; the core group is "".
    public var groups: [(group: String, versions: [String])] { fatalError("being written") }

    // MARK: Objects

    /// What `conform` found besides the object.
    public struct Findings: Sendable {
        /// Paths such as `spec.template.spec.containers[0].foo` of members the type does not have; they were dropped.
        public var unknownFields: [String] = []
        public init() {}
    }

    /// Checks the JSON types of every field against the kind's type, drops unknown members (reported), normalises
    /// quantities and times.
    /// - Throws: `StatusError` 400 in the API server's wording for a wrong type.
    public func conform(_ object: inout JSON, to kind: GroupVersionKind) throws -> Findings {
        fatalError("being written")
    }

    /// Fills in the kind's defaults, exactly those of the API server (replicas, strategies, probes, protocols, policies…).
    public func applyDefaults(to object: inout JSON, kind: GroupVersionKind) {
        fatalError("being written")
    }

    /// Applies a strategic merge patch with all its directives.
    public func strategicMerge(_ object: JSON, with patch: JSON, kind: GroupVersionKind) throws(PatchError) -> JSON {
        fatalError("being written")
    }

    // MARK: Selecting

    /// The value of a selectable field; nil when this kind does not support it.
    /// For example `status.phase` of pods, `involvedObject.name` of events.
    public func selectableField(_ field: String, of object: Object, resource: GroupVersionResource) -> String? {
        fatalError("being written")
    }
    /// Whether a field may stand in a field selector of this resource.
    public func supportsFieldSelector(_ field: String, resource: GroupVersionResource) -> Bool {
        fatalError("being written")
    }

    // MARK: Printing

    /// A `meta.k8s.io/v1 Table` of objects.
    /// - Parameters:
    ///   - includeObject: `Metadata`, `None` or `Object`, what goes into `rows[].object`.
    ///   - metadata: the list's metadata (resourceVersion, continue, remainingItemCount).
    ///   - now: what ages are counted from.
    public func table(
        of objects: [Object], resource: GroupVersionResource, includeObject: String, includeColumns: Bool,
        metadata: JSON, now: Timestamp
    ) -> JSON {
        fatalError("being written")
    }

    // MARK: OpenAPI

    /// Group-version paths of OpenAPI v3 (`api/v1`, `apis/apps/v1`) with the document of each.
    public func openAPIv3(_ path: String) -> JSON? { fatalError("being written") }
    /// All paths that `openAPIv3` knows.
    public var openAPIv3Paths: [String] { fatalError("being written") }
    /// The whole API as one OpenAPI 2.0 document.
    public func openAPIv2() -> JSON { fatalError("being written") }
}
