public import JSON
public import ObjectModel

/// What one window calls its definitions, and what it marks the Jobs and pods of theirs with.
public struct JobNames: Sendable {
    public let definitions: GroupVersionResource
    /// Label of Jobs and pods: the definition, safe for a label.
    public let label: String
    /// Annotation of the same: the definition's name as clients know it.
    public let annotation: String
    /// The name of a definition's object.
    public let objectName: @Sendable (String) -> String

    public init(
        definitions: GroupVersionResource, label: String, annotation: String,
        objectName: @escaping @Sendable (String) -> String = { $0 }
    ) {
        self.definitions = definitions
        self.label = label
        self.annotation = annotation
        self.objectName = objectName
    }

    /// Jobs have no role of their own: they are all of `*`.
    public static let namespace = "default"
    /// Annotation of pods that the scheduler reads: placement constraints in Marathon's words.
    public static let constraintsAnnotation = "marathon.apus.dev/constraints"

    /// Annotation of a Job: why it was ended.
    public var stopAnnotation: String { "\(definitions.group)/stop" }
    /// Annotation of a Job: its end is in the history.
    public var countedAnnotation: String { "\(definitions.group)/counted" }

    public func key(_ name: String) -> ObjectKey { ObjectKey(namespace: Self.namespace, name: objectName(name)) }

    /// The metadata of something that is made for a definition.
    /// - Parameter owner: the definition's object; nil for what nobody owns.
    public static func metadata(name: String, labels: JSON, annotations: JSON, owner: Object?) -> JSON {
        var metadata: JSON = [
            "name": .string(name), "namespace": .string(namespace), "labels": labels, "annotations": annotations,
        ]
        if let owner {
            let reference = OwnerReference(
                apiVersion: owner.kind.apiVersion, kind: owner.kind.kind, name: owner.name, uid: owner.uid)
            metadata["ownerReferences"] = [reference.json]
        }
        return metadata
    }
}
