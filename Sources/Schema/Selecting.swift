import JSON
public import ObjectModel

/// Fields that may stand in field selectors, per kind, beside `metadata.name` and `metadata.namespace` of every kind.
private let selectableFields: [GroupResource: Set<String>] = {
    var fields: [GroupResource: Set<String>] = [:]
    func add(_ group: String, _ resource: String, _ names: String) {
        fields[GroupResource(group: group, resource: resource)] = Set(names.split(separator: " ").map(String.init))
    }
    add(
        "", "pods",
        "spec.nodeName spec.host spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
            + "status.phase status.podIP status.podIPs status.nominatedNodeName")
    add("", "nodes", "spec.unschedulable")
    add("", "namespaces", "status.phase")
    add("", "secrets", "type")
    add("", "services", "spec.clusterIP spec.type")
    add("", "replicationcontrollers", "status.replicas")
    add("batch", "jobs", "status.successful")
    let reference = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"]
    add(
        "", "events",
        reference.map { "involvedObject.\($0)" }.joined(separator: " ") + " reason reportingComponent source type")
    add(
        "events.k8s.io", "events",
        reference.map { "regarding.\($0)" }.joined(separator: " ") + " reason reportingController type")
    add("certificates.k8s.io", "certificatesigningrequests", "spec.signerName")
    add("resource.k8s.io", "resourceslices", "spec.nodeName spec.driver")
    return fields
}()

extension Catalog {
    /// The value of a selectable field; nil when this kind does not support it.
    /// For example `status.phase` of pods, `involvedObject.name` of events.
    public func selectableField(_ field: String, of object: Object, resource: GroupVersionResource) -> String? {
        switch field {
        case "metadata.name": return object.name
        case "metadata.namespace": return object.namespace
        default: break
        }
        guard supportsFieldSelector(field, resource: resource) else { return nil }
        let tree = object.tree
        if let custom = customKind(of: resource) { return text(custom.selectableValue(field, of: tree)) }
        switch (resource.resource, field) {
        case ("pods", "spec.host"): return text(tree["spec"]["nodeName"])
        case ("pods", "status.podIPs"):
            return tree["status"]["podIPs"].elements.compactMap { $0["ip"].string }.joined(separator: ",")
        case ("pods", "spec.hostNetwork"), ("nodes", "spec.unschedulable"):
            return value(field, in: tree).bool == true ? "true" : "false"
        case ("jobs", "status.successful"): return String(tree["status"]["succeeded"].int ?? 0)
        case ("replicationcontrollers", "status.replicas"): return String(tree["status"]["replicas"].int ?? 0)
        case ("events", "source"):
            let component = tree["source"]["component"].string ?? ""
            return component.isEmpty ? text(tree["reportingComponent"]) : component
        // Events of both groups are one kind in the store, with the names of the core group.
        case ("events", "reportingController"):
            return text(tree["reportingController"].isNull ? tree["reportingComponent"] : tree["reportingController"])
        case ("events", _) where field.hasPrefix("regarding."):
            let reference = tree["regarding"].isNull ? tree["involvedObject"] : tree["regarding"]
            return text(reference[String(field.dropFirst("regarding.".count))])
        default: return text(value(field, in: tree))
        }
    }

    /// Whether a field may stand in a field selector of this resource.
    public func supportsFieldSelector(_ field: String, resource: GroupVersionResource) -> Bool {
        if field == "metadata.name" || field == "metadata.namespace" { return true }
        if let custom = customKind(of: resource) { return custom.selectableFields.contains(field) }
        return selectableFields[resource.groupResource]?.contains(field) ?? false
    }

    private func customKind(of resource: GroupVersionResource) -> (any CustomKind)? {
        guard let kind = self.resource(resource)?.kind else { return nil }
        return custom(kind)
    }

    private func value(_ path: String, in tree: JSON) -> JSON {
        path.split(separator: ".").reduce(tree) { $0[String($1)] }
    }

    private func text(_ value: JSON) -> String {
        switch value {
        case .null: ""
        case .string(let text): text
        default: value.description
        }
    }
}
