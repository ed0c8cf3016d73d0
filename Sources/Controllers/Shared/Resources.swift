import ObjectModel

extension GroupVersionResource {
    static let replicationControllers = Self(group: "", version: "v1", resource: "replicationcontrollers")
    static let controllerRevisions = Self(group: "apps", version: "v1", resource: "controllerrevisions")
    static let clusterRoles = Self(group: "rbac.authorization.k8s.io", version: "v1", resource: "clusterroles")
    static let certificateRequests = Self(
        group: "certificates.k8s.io", version: "v1", resource: "certificatesigningrequests")
    static let storageClasses = Self(group: "storage.k8s.io", version: "v1", resource: "storageclasses")
    static let volumeAttributesClasses = Self(
        group: "storage.k8s.io", version: "v1", resource: "volumeattributesclasses")
    static let cronJobs = Self(group: "batch", version: "v1", resource: "cronjobs")
    static let autoscalers = Self(group: "autoscaling", version: "v2", resource: "horizontalpodautoscalers")
    static let podMetrics = Self(group: "metrics.k8s.io", version: "v1beta1", resource: "pods")
    static let podDisruptionBudgets = Self(group: "policy", version: "v1", resource: "poddisruptionbudgets")
}

extension GroupVersionKind {
    static let pod = Self(group: "", version: "v1", kind: "Pod")
    static let node = Self(group: "", version: "v1", kind: "Node")
    static let service = Self(group: "", version: "v1", kind: "Service")
    static let endpoints = Self(group: "", version: "v1", kind: "Endpoints")
    static let deployment = Self(group: "apps", version: "v1", kind: "Deployment")
    static let replicaSet = Self(group: "apps", version: "v1", kind: "ReplicaSet")
    static let replicationController = Self(group: "", version: "v1", kind: "ReplicationController")
    static let statefulSet = Self(group: "apps", version: "v1", kind: "StatefulSet")
    static let daemonSet = Self(group: "apps", version: "v1", kind: "DaemonSet")
    static let job = Self(group: "batch", version: "v1", kind: "Job")
}
