/// API group, version and kind, for example `apps/v1, Kind=Deployment`. The core group is the empty string.
public struct GroupVersionKind: Hashable, Sendable, CustomStringConvertible {
    public var group: String
    public var version: String
    public var kind: String

    public init(group: String, version: String, kind: String) {
        self.group = group
        self.version = version
        self.kind = kind
    }
    /// From an object's `apiVersion` and `kind`.
    public init(apiVersion: String, kind: String) {
        let parts = apiVersion.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        self.group = parts.count == 2 ? String(parts[0]) : ""
        self.version = String(parts.last ?? "")
        self.kind = kind
    }
    /// `apps/v1`, or `v1` in the core group.
    public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
    public var description: String { "\(apiVersion), Kind=\(kind)" }
}

/// API group, version and resource (the plural in URLs), for example `apps/v1 deployments`.
public struct GroupVersionResource: Hashable, Sendable, CustomStringConvertible {
    public var group: String
    public var version: String
    public var resource: String

    public init(group: String, version: String, resource: String) {
        self.group = group
        self.version = version
        self.resource = resource
    }
    /// The same without the version.
    public var groupResource: GroupResource { GroupResource(group: group, resource: resource) }
    /// `apps/v1`, or `v1` in the core group.
    public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
    public var description: String { "\(apiVersion) \(resource)" }
}

/// API group and resource; prints as `deployments.apps`, or `pods` in the core group.
public struct GroupResource: Hashable, Sendable, CustomStringConvertible {
    public var group: String
    public var resource: String

    public init(group: String, resource: String) {
        self.group = group
        self.resource = resource
    }
    public var description: String { group.isEmpty ? resource : "\(resource).\(group)" }
}

/// Where an object lives within its kind. Cluster-scoped objects have an empty namespace.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var namespace: String
    public var name: String

    public init(namespace: String = "", name: String) {
        self.namespace = namespace
        self.name = name
    }
    /// Ordered as the store orders: by namespace, then name.
    public static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }
    /// `namespace/name`, or the name alone for cluster-scoped objects.
    public var description: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }
}

/// The store's global, ever-growing revision; an object's `resourceVersion` is the revision of its last write.
public typealias Revision = UInt64

extension GroupVersionResource {
    // Resources that several components name; the full tables are in the Schema module.
    public static let pods = Self(group: "", version: "v1", resource: "pods")
    public static let nodes = Self(group: "", version: "v1", resource: "nodes")
    public static let namespaces = Self(group: "", version: "v1", resource: "namespaces")
    public static let services = Self(group: "", version: "v1", resource: "services")
    public static let endpoints = Self(group: "", version: "v1", resource: "endpoints")
    public static let configMaps = Self(group: "", version: "v1", resource: "configmaps")
    public static let secrets = Self(group: "", version: "v1", resource: "secrets")
    public static let events = Self(group: "", version: "v1", resource: "events")
    public static let serviceAccounts = Self(group: "", version: "v1", resource: "serviceaccounts")
    public static let persistentVolumeClaims = Self(group: "", version: "v1", resource: "persistentvolumeclaims")
    public static let persistentVolumes = Self(group: "", version: "v1", resource: "persistentvolumes")
    public static let deployments = Self(group: "apps", version: "v1", resource: "deployments")
    public static let replicaSets = Self(group: "apps", version: "v1", resource: "replicasets")
    public static let statefulSets = Self(group: "apps", version: "v1", resource: "statefulsets")
    public static let daemonSets = Self(group: "apps", version: "v1", resource: "daemonsets")
    public static let jobs = Self(group: "batch", version: "v1", resource: "jobs")
    public static let leases = Self(group: "coordination.k8s.io", version: "v1", resource: "leases")
    public static let endpointSlices = Self(group: "discovery.k8s.io", version: "v1", resource: "endpointslices")
}
