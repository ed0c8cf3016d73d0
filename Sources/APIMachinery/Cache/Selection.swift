import ObjectModel
import Schema

/// What a list or watch asks for, prepared for quick evaluation against cached objects.
struct Selection: Sendable, Hashable {
    let namespace: String?
    let labels: LabelSelector
    /// Requirements besides name, namespace and node.
    private let otherFields: [FieldSelector.Requirement]
    /// `metadata.name=` when asked for.
    let name: String?
    /// `spec.nodeName=` of pods when asked for.
    let node: String?
    /// Two requirements that exclude each other: nothing can match.
    private let isImpossible: Bool
    private let catalog: Catalog
    private let resource: GroupVersionResource

    /// - Throws: 400 for a field this kind cannot be selected by.
    init(
        namespace: String?, labels: LabelSelector, fields: FieldSelector, resource: GroupVersionResource,
        catalog: Catalog
    ) throws(StatusError) {
        var namespace = namespace
        var name: String?
        var node: String?
        var others: [FieldSelector.Requirement] = []
        var isImpossible = false
        func narrow(_ slot: inout String?, to value: String) {
            if let known = slot, known != value { isImpossible = true } else { slot = value }
        }
        let isPods = resource.group.isEmpty && resource.resource == "pods"
        for requirement in fields.requirements {
            guard
                requirement.field == "metadata.name" || requirement.field == "metadata.namespace"
                    || catalog.supportsFieldSelector(requirement.field, resource: resource)
            else { throw .badRequest("field label not supported: \(requirement.field)") }
            switch requirement.field {
            case "metadata.name" where requirement.isEqual: narrow(&name, to: requirement.value)
            case "metadata.namespace" where requirement.isEqual && !requirement.value.isEmpty:
                narrow(&namespace, to: requirement.value)
            case "spec.nodeName" where requirement.isEqual && isPods, "spec.host" where requirement.isEqual && isPods:
                narrow(&node, to: requirement.value)
            default: others.append(requirement)
            }
        }
        self.namespace = namespace
        self.labels = labels
        self.name = name
        self.node = node
        self.otherFields = others
        self.isImpossible = isImpossible
        self.catalog = catalog
        self.resource = resource
    }

    /// The same question about the same resource.
    static func == (left: Selection, right: Selection) -> Bool {
        left.namespace == right.namespace && left.name == right.name && left.node == right.node
            && left.isImpossible == right.isImpossible && left.resource == right.resource
            && left.labels == right.labels && left.otherFields == right.otherFields
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(namespace)
        hasher.combine(name)
        hasher.combine(node)
        hasher.combine(labels)
        hasher.combine(otherFields)
    }

    /// True when everything (of the namespace) is asked for.
    var isEverything: Bool { labels.isEmpty && otherFields.isEmpty && name == nil && node == nil && !isImpossible }

    /// Whether an object is selected.
    /// - Parameter nodeName: `spec.nodeName` of a pod, known without parsing.
    func matches(_ object: Object, nodeName: String) -> Bool {
        if isImpossible { return false }
        let metadata = object.metadata
        if let namespace, metadata.namespace != namespace { return false }
        if let name, metadata.name != name { return false }
        if let node, nodeName != node { return false }
        if !labels.isEmpty, !labels.matches(metadata.labels) { return false }
        for requirement in otherFields {
            let value: String =
                switch requirement.field {
                case "metadata.name": metadata.name
                case "metadata.namespace": metadata.namespace
                case "spec.nodeName": nodeName
                default: catalog.selectableField(requirement.field, of: object, resource: resource) ?? ""
                }
            if (value == requirement.value) != requirement.isEqual { return false }
        }
        return true
    }
}
