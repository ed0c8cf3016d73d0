import JSON
import ObjectModel
import Schema

/// A policy or its binding does not fit the cluster or the request.
struct PolicyProblem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) {
        self.description = description
    }
}

extension Machinery {
    /// The objects that a binding names as parameters of its policy; one null when there are none to name.
    func parameters(_ kind: GroupVersionKind?, _ reference: JSON, _ request: HookedRequest) throws -> [JSON] {
        guard let kind, reference.object != nil else { return [.null] }
        guard let resource = catalog.resource(for: kind), let cache = cache(resource.resource) else {
            throw PolicyProblem("failed to find resource referenced by paramKind: '\(kind)'")
        }
        var namespace = reference["namespace"].string ?? ""
        if resource.isNamespaced {
            if namespace.isEmpty { namespace = request.key.namespace }
            if namespace.isEmpty {
                throw PolicyProblem(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
            }
        } else if !namespace.isEmpty {
            throw PolicyProblem("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        }
        let found: [Object]
        if let name = reference["name"].string, !name.isEmpty {
            found = cache.get(ObjectKey(namespace: namespace, name: name)).map { [$0] } ?? []
        } else {
            let selector = (try? LabelSelector(labelSelector: reference["selector"])) ?? nil ?? LabelSelector()
            found = cache.all(namespace: namespace).filter { selector.matches($0.metadata.labels) }
        }
        if found.isEmpty, reference["parameterNotFoundAction"].string == "Deny" {
            throw PolicyProblem("no params found for policy binding with `Deny` parameterNotFoundAction")
        }
        return found.map { VersionConversion.tree($0.tree, as: kind) }
    }
}
