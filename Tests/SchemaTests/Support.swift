import JSON
import ObjectModel
import Schema

/// JSON text written in a test.
func json(_ text: String) throws -> JSON { try JSON.parse(text) }

extension GroupVersionKind {
    static let pod = Self(group: "", version: "v1", kind: "Pod")
    static let service = Self(group: "", version: "v1", kind: "Service")
    static let configMap = Self(group: "", version: "v1", kind: "ConfigMap")
    static let secret = Self(group: "", version: "v1", kind: "Secret")
    static let node = Self(group: "", version: "v1", kind: "Node")
    static let namespace = Self(group: "", version: "v1", kind: "Namespace")
    static let deployment = Self(group: "apps", version: "v1", kind: "Deployment")
    static let statefulSet = Self(group: "apps", version: "v1", kind: "StatefulSet")
    static let job = Self(group: "batch", version: "v1", kind: "Job")
}

/// The object with the defaults of its kind.
func defaulted(_ text: String, _ kind: GroupVersionKind) throws -> JSON {
    var object = try json(text)
    Catalog.builtin.applyDefaults(to: &object, kind: kind)
    return object
}
