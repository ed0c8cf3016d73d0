import JSON
import ObjectModel

/// What the server itself writes into `metadata`.
enum SystemMetadata {
    /// Fills in a new object's metadata; drops what a client must not set.
    static func initialize(_ tree: inout JSON, namespace: String, isNamespaced: Bool, tracksGeneration: Bool) {
        var metadata = tree["metadata"]
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink", "managedFields"] {
            metadata.removeMember(field)
        }
        if isNamespaced { metadata["namespace"] = .string(namespace) } else { metadata.removeMember("namespace") }
        metadata["uid"] = .string(NameGenerator.uuid())
        metadata["creationTimestamp"] = .string(Timestamp.now.rfc3339)
        if tracksGeneration { metadata["generation"] = 1 }
        tree["metadata"] = metadata
    }

    /// Carries over what an update cannot change.
    static func inherit(_ tree: inout JSON, from old: JSON) {
        let before = old["metadata"]
        for field in ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            let value = before[field]
            tree["metadata"].setMember(field, value)
        }
        for field in ["selfLink", "managedFields"] { tree["metadata"].removeMember(field) }
        if tree["metadata"]["namespace"].string == nil, let namespace = before["namespace"].string {
            tree["metadata"]["namespace"] = .string(namespace)
        }
    }

    /// Counts one more generation.
    static func bumpGeneration(_ tree: inout JSON) {
        tree["metadata"]["generation"] = JSON((tree["metadata"]["generation"].int ?? 0) + 1)
    }
}
