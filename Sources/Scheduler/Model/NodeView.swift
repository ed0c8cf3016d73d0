import JSON
import Ledger
import ObjectModel

/// What the scheduler reads of a Node; made once per version.
final class NodeView: Sendable {
    let name: String
    let uid: String
    let labels: [String: String]
    let taints: [Taint]
    let isUnschedulable: Bool
    let allocatable: ResourceVector
    /// Size in bytes of every image on the node, by each of its names.
    let images: [String: Int64]

    init(_ object: Object) {
        let tree = object.tree
        name = object.name
        uid = object.uid
        labels = object.metadata.labels
        taints = tree["spec"]["taints"].elements.map(Taint.init)
        isUnschedulable = tree["spec"]["unschedulable"].bool ?? false
        let status = tree["status"]
        allocatable = ResourceVector(status["allocatable"].isNull ? status["capacity"] : status["allocatable"])
        var images: [String: Int64] = [:]
        for image in status["images"].elements {
            let size = Int64(min(max(image["sizeBytes"].int ?? 0, 0), 1 << 40))
            for name in image["names"].elements.compactMap(\.string) { images[name] = size }
        }
        self.images = images
    }

    /// True when nothing that placement depends on differs; heartbeats change a node without that.
    func isSame(as other: NodeView) -> Bool {
        uid == other.uid && labels == other.labels && taints == other.taints
            && isUnschedulable == other.isUnschedulable && allocatable == other.allocatable && images == other.images
    }
}

/// A mark on a node that keeps pods away.
struct Taint: Sendable, Hashable {
    var key: String
    var value: String
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    var effect: String

    init(key: String, value: String = "", effect: String) {
        self.key = key
        self.value = value
        self.effect = effect
    }
    init(_ json: JSON) {
        self.init(
            key: json["key"].string ?? "", value: json["value"].string ?? "", effect: json["effect"].string ?? "")
    }
}

/// A pod's consent to a taint.
struct Toleration: Sendable, Hashable {
    /// Empty with `exists`: every taint.
    var key: String
    var isExists: Bool
    var value: String
    /// Empty: every effect.
    var effect: String

    init(key: String = "", isExists: Bool = false, value: String = "", effect: String = "") {
        self.key = key
        self.isExists = isExists
        self.value = value
        self.effect = effect
    }
    init(_ json: JSON) {
        self.init(
            key: json["key"].string ?? "", isExists: json["operator"].string == "Exists",
            value: json["value"].string ?? "", effect: json["effect"].string ?? "")
    }

    func tolerates(_ taint: Taint) -> Bool {
        if !effect.isEmpty, effect != taint.effect { return false }
        if !key.isEmpty, key != taint.key { return false }
        return isExists || (!key.isEmpty && value == taint.value)
    }
}

/// One alternative of a node selector: everything in it must hold.
struct NodeSelectorTerm: Sendable, Hashable {
    var expressions: [LabelSelector.Requirement]
    /// On `metadata.name`, the only field there is.
    var fields: [LabelSelector.Requirement]

    init(expressions: [LabelSelector.Requirement] = [], fields: [LabelSelector.Requirement] = []) {
        self.expressions = expressions
        self.fields = fields
    }
    init(_ json: JSON) {
        expressions = json["matchExpressions"].elements.compactMap(Self.requirement)
        fields = json["matchFields"].elements.compactMap(Self.requirement)
    }

    private static func requirement(_ json: JSON) -> LabelSelector.Requirement? {
        guard let op = LabelSelector.Requirement.Operator(rawValue: json["operator"].string ?? "") else { return nil }
        return LabelSelector.Requirement(
            key: json["key"].string ?? "", op: op, values: json["values"].elements.compactMap(\.string))
    }

    /// An empty term matches no node.
    func matches(_ node: NodeView) -> Bool {
        if expressions.isEmpty && fields.isEmpty { return false }
        return expressions.allSatisfy { $0.matches(node.labels) }
            && fields.allSatisfy { $0.matches([$0.key: $0.key == "metadata.name" ? node.name : ""]) }
    }

    /// The only nodes that the term can match, when it names them.
    var nodeNames: [String]? {
        fields.first { $0.key == "metadata.name" && $0.op == .in }?.values
    }
}
