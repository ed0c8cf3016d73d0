public import JSON
public import ObjectModel
import Schema

/// What a CustomResourceDefinition object says, read once. Immutable; a changed object is read anew.
public final class CustomDefinition: Sendable {
    /// How objects get from one version to another.
    public enum Conversion: Sendable {
        /// Only `apiVersion` changes.
        case none
        /// A webhook is asked (`WebhookClientConfig`); `reviewVersions` are those of the review that it understands.
        case webhook(clientConfig: JSON, reviewVersions: [String])
    }

    /// `boats.harbour.example.com`
    public let name: String
    public let uid: String
    public let groupResource: GroupResource
    public let isNamespaced: Bool
    /// All versions in the order of the definition, those that are not served included.
    public let versions: [CustomVersion]
    public let conversion: Conversion
    /// The definition is being deleted: nothing new can be written.
    public let isTerminating: Bool

    /// - Parameter object: a definition that passed validation.
    /// - Parameter previous: what it was before; versions that did not change are the same objects.
    public init(_ object: Object, previous: CustomDefinition? = nil) {
        let tree = object.tree
        let spec = tree["spec"]
        let names = CustomNames(served: tree)
        name = object.name
        uid = object.uid
        groupResource = GroupResource(group: spec["group"].string ?? "", resource: names.plural)
        isNamespaced = spec["scope"].string != "Cluster"
        isTerminating = object.metadata.isTerminating
        let webhook = spec["conversion"]["webhook"]
        if spec["conversion"]["strategy"].string == "Webhook" {
            conversion = .webhook(
                clientConfig: webhook["clientConfig"],
                reviewVersions: webhook["conversionReviewVersions"].elements.compactMap(\.string))
        } else {
            conversion = .none
        }
        let group = groupResource.group
        let (isNamespaced, isTerminating) = (isNamespaced, isTerminating)
        versions = spec["versions"].elements.map { version in
            let made = CustomVersion(
                version, group: group, names: names, isNamespaced: isNamespaced, isTerminating: isTerminating)
            let known = previous?.versions.first { $0.isSame(as: made) }
            return known ?? made
        }
    }

    /// The version that objects are stored in; the first one if none is marked.
    public var storage: CustomVersion? { versions.first(where: \.isStorage) ?? versions.first }
    public var served: [CustomVersion] { versions.filter(\.isServed) }
    public func version(_ name: String) -> CustomVersion? { versions.first { $0.definition.kind.version == name } }
}

/// The names of a custom kind.
public struct CustomNames: Sendable, Hashable {
    public var plural: String
    public var singular: String
    public var kind: String
    public var listKind: String
    public var shortNames: [String]
    public var categories: [String]

    /// Reads `spec.names` or `status.acceptedNames`.
    public init(_ json: JSON) {
        plural = json["plural"].string ?? ""
        singular = json["singular"].string ?? ""
        kind = json["kind"].string ?? ""
        listKind = json["listKind"].string ?? ""
        shortNames = json["shortNames"].elements.compactMap(\.string)
        categories = json["categories"].elements.compactMap(\.string)
    }

    /// The names that a definition is served under: the accepted ones, else those it asks for.
    init(served tree: JSON) {
        let accepted = CustomNames(tree["status"]["acceptedNames"])
        let wanted = CustomNames(tree["spec"]["names"])
        self = accepted.plural.isEmpty || accepted.kind.isEmpty ? wanted : accepted
        if singular.isEmpty { singular = wanted.singular }
        if listKind.isEmpty { listKind = wanted.listKind.isEmpty ? kind + "List" : wanted.listKind }
    }

    public var json: JSON {
        var json: JSON = ["plural": .string(plural), "kind": .string(kind)]
        json.setMember("singular", singular.isEmpty ? nil : .string(singular))
        json.setMember("shortNames", shortNames.isEmpty ? nil : JSON(shortNames))
        json.setMember("listKind", listKind.isEmpty ? nil : .string(listKind))
        json.setMember("categories", categories.isEmpty ? nil : JSON(categories))
        return json
    }
}
