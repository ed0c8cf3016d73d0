import JSON
import ObjectModel
import Schema

/// Which part of an object an update may change; the rest stays as it was, whatever the client sent.
enum UpdateScope: Hashable, Sendable {
    case object
    case status
    /// `namespaces/finalize`
    case finalize
    /// `certificatesigningrequests/approval`
    case approval
    /// `pods/ephemeralcontainers`
    case ephemeralContainers
    /// `pods/resize`
    case resize

    /// - Throws: 404 for a subresource the kind does not have (or that is no update).
    init(_ subresource: String?, of resource: ResourceDefinition) throws(StatusError) {
        guard let subresource else {
            self = .object
            return
        }
        guard resource.subresource(subresource) != nil else {
            throw StatusError(
                code: 404, reason: .notFound, message: "the server could not find the requested resource")
        }
        switch subresource {
        case "status": self = .status
        case "finalize": self = .finalize
        case "approval": self = .approval
        case "ephemeralcontainers": self = .ephemeralContainers
        case "resize": self = .resize
        default:
            throw .methodNotAllowed(
                "update is not supported on subresource \"\(subresource)\" of \(resource.resource.groupResource)")
        }
    }

    var subresource: String? {
        switch self {
        case .object: nil
        case .status: "status"
        case .finalize: "finalize"
        case .approval: "approval"
        case .ephemeralContainers: "ephemeralcontainers"
        case .resize: "resize"
        }
    }

    /// Whether defaults and the kind's own preparation apply.
    var touchesSpec: Bool {
        switch self {
        case .object, .ephemeralContainers, .resize: true
        case .status, .finalize, .approval: false
        }
    }

    /// The old object with only the part that this scope may change taken from the proposal.
    func confine(_ proposal: JSON, old: JSON, rules: KindRules) -> JSON {
        var result: JSON
        switch self {
        case .object:
            result = proposal
            if rules.hasStatus {
                let status = old["status"]
                result.setMember("status", status)
            }
            return result
        case .status:
            result = old
            result.setMember("status", proposal["status"])
            if rules.hasVerdicts {
                let before = old["status"]["conditions"]
                result["status"]["conditions"] = CertificateKind.conditions(
                    verdicts: before, others: proposal["status"]["conditions"], old: before)
            }
            Self.carry(rules.statusMetadata, of: proposal, into: &result)
        case .finalize:
            result = old
            let finalizers = proposal["spec"]["finalizers"]
            result["spec"].setMember("finalizers", finalizers.elements.isEmpty ? nil : finalizers)
        case .approval:
            result = old
            let conditions = proposal["status"]["conditions"]
            result["status"]["conditions"] = CertificateKind.conditions(
                verdicts: conditions, others: conditions, old: old["status"]["conditions"])
            Self.carry(["labels", "annotations", "finalizers"], of: proposal, into: &result)
        case .ephemeralContainers:
            result = old
            let containers = proposal["spec"]["ephemeralContainers"]
            result["spec"].setMember("ephemeralContainers", containers)
        case .resize:
            result = old
            for list in ["containers", "initContainers"] {
                let wanted = Dictionary(
                    proposal["spec"][list].elements.map { ($0["name"].string ?? "", $0) },
                    uniquingKeysWith: { a, _ in a })
                for index in old["spec"][list].elements.indices {
                    guard let new = wanted[old["spec"][list][index]["name"].string ?? ""] else { continue }
                    for field in ["resources", "resizePolicy"] {
                        result["spec"][list][index].setMember(field, new[field])
                    }
                }
            }
        }
        return result
    }

    private static func carry(_ fields: [String], of proposal: JSON, into result: inout JSON) {
        for field in fields {
            let value = proposal["metadata"][field]
            result["metadata"].setMember(field, value)
        }
    }

    /// Problems of the outcome.
    func validate(_ tree: JSON, old: JSON, rules: KindRules) -> [FieldError] {
        if let custom = rules.custom { return custom.problems(of: tree, old: old) }
        return switch self {
        case .object: rules.validate(tree) + rules.validateUpdate(tree, old)
        case .status: rules.validateStatus(tree, old)
        case .ephemeralContainers: PodUpdateValidation.ephemeralContainers(tree, old)
        case .resize: PodUpdateValidation.resize(tree, old)
        case .approval: CertificateKind.verdictProblems(tree, old)
        case .finalize: []
        }
    }
}
