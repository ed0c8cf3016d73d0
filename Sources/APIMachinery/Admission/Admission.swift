import ClusterClient
import JSON
import ObjectModel
import Schema

/// A write on its way, as admission sees it.
struct AdmissionRequest: Sendable {
    enum Operation: Sendable {
        case create
        case update
        case delete
    }
    let operation: Operation
    /// The stored representation of the kind.
    let resource: ResourceDefinition
    let subresource: String?
    var key: ObjectKey
    /// The new state; mutating plugins change it. For a delete, the last state.
    var object: JSON
    /// The state before; nil for a create.
    let old: Object?
    let context: RequestContext
    /// The version that the client wrote.
    var writtenKind: GroupVersionKind
    /// The name of a new object was made by the server.
    var isNameGenerated = false
    var isPatch = false
    /// The kind of `Scale` when only that is written.
    var scaleKind: GroupVersionKind?
    /// Of a delete.
    var deleteOptions: DeleteOptions?

    init(
        operation: Operation, resource: ResourceDefinition, subresource: String?, key: ObjectKey, object: JSON,
        old: Object?, context: RequestContext, writtenKind: GroupVersionKind? = nil
    ) {
        self.operation = operation
        self.resource = resource
        self.subresource = subresource
        self.key = key
        self.object = object
        self.old = old
        self.context = context
        self.writtenKind = writtenKind ?? resource.kind
    }

    /// For example `pods` or `deployments.apps`.
    var place: GroupResource { resource.resource.groupResource }

    /// A whole new object of a resource.
    func creates(_ resource: GroupVersionResource) -> Bool {
        operation == .create && subresource == nil && place == resource.groupResource
    }

    func forbidden(_ why: String) -> StatusError { .forbidden(place, name: key.name, why) }
}

/// One admission plugin. What it does not care about it lets pass.
protocol AdmissionPlugin: Sendable {
    /// Changes or refuses a request before validation.
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws
    /// Refuses a request after validation.
    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws
}

extension AdmissionPlugin {
    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {}
    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {}
}

/// The plugins in the order in which Kubernetes runs them; resource quota is charged last.
struct AdmissionChain: Sendable {
    let plugins: [any AdmissionPlugin]

    static let standard = AdmissionChain(plugins: [
        NamespaceLifecycle(), LimitRanger(), ServiceAccountAdmission(), MirrorPodAdmission(), NodeRestriction(),
        TaintNodesByCondition(), PodSecurity(), PriorityAdmission(), PriorityClassAdmission(),
        DefaultTolerationSeconds(), DefaultStorageClass(), StorageObjectInUseProtection(),
        PersistentVolumeClaimResize(), RuntimeClassAdmission(), CertificateAdmission(), DefaultIngressClass(),
        RoleEscalation(),
    ])

    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        for plugin in plugins { try plugin.admit(&request, in: machinery) }
    }

    /// - Returns: what was charged to quotas, to be settled when the write is done or given up.
    func validate(_ request: AdmissionRequest, in machinery: Machinery) async throws -> QuotaCharge {
        for plugin in plugins { try plugin.validate(request, in: machinery) }
        try await machinery.dynamic.validate(request, in: machinery)
        return try machinery.quotas.charge(request)
    }
}
