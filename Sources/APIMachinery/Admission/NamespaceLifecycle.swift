import ObjectModel

/// Nothing is created in a namespace that is not there or is going; three namespaces never go.
struct NamespaceLifecycle: AdmissionPlugin {
    private static let protected: Set<String> = ["default", "kube-system", "kube-public"]

    func admit(_ request: inout AdmissionRequest, in machinery: Machinery) throws {
        if request.operation == .delete, request.place == GroupVersionResource.namespaces.groupResource,
            Self.protected.contains(request.key.name)
        {
            throw request.forbidden("this namespace may not be deleted")
        }
        guard request.operation == .create, request.resource.isNamespaced else { return }
        let name = request.key.namespace
        guard let namespace = machinery.cached(.namespaces, ObjectKey(name: name)) else {
            throw StatusError.notFound(GroupVersionResource.namespaces.groupResource, name: name)
        }
        guard namespace.metadata.isTerminating else { return }
        var error = request.forbidden(
            "unable to create new content in namespace \(name) because it is being terminated")
        error.causes = [
            .init(
                reason: "NamespaceTerminating", message: "namespace \(name) is being terminated",
                field: "metadata.namespace")
        ]
        throw error
    }
}
