import JSON
import ObjectModel

/// Certificate signing requests: the server says who asks, and the request never changes.
enum CertificateKind {
    static func customize(_ rules: inout KindRules) {
        rules.hasVerdicts = true
        rules.prepareCreate = { request, context in
            let user = context.user
            request["status"] = [:]
            request["spec"]["username"] = .string(user.name)
            request["spec"].setMember("uid", user.uid.isEmpty ? nil : .string(user.uid))
            request["spec"].setMember("groups", user.groups.isEmpty ? nil : JSON(user.groups))
            let extra = user.extra.keys.sorted().reduce(into: JSON.null) { $0[$1] = JSON(user.extra[$1] ?? []) }
            request["spec"].setMember("extra", extra)
        }
        rules.prepareUpdate = { request, old in request["spec"] = old["spec"] }
        rules.validate = { request in
            let spec = request["spec"]
            var problems = Problems()
            problems.need("spec.request", spec["request"])
            if let request = spec["request"].string, !request.isEmpty, !holdsRequest(request) {
                problems.add(
                    .invalid("spec.request", .string(request), "PEM block type must be CERTIFICATE REQUEST"))
            }
            problems.need("spec.usages", spec["usages"])
            let signer = spec["signerName"].string ?? ""
            if signer.isEmpty {
                problems.add(.required("spec.signerName"))
            } else if !isQualified(signer) {
                problems.add(
                    .invalid(
                        "spec.signerName", .string(signer),
                        "must be a fully qualified domain and path of the form 'example.com/signer-name'"))
            }
            if signer == "kubernetes.io/legacy-unknown" {
                problems.add(
                    .invalid(
                        "spec.signerName", .string(signer), "the legacy signerName is not allowed via this API version")
                )
            }
            if let seconds = spec["expirationSeconds"].int, seconds < 600 {
                problems.add(
                    .invalid(
                        "spec.expirationSeconds", JSON(seconds),
                        "may not specify a duration less than 600 seconds (10 minutes)"))
            }
            return problems.list
        }
    }

    /// Whether Base64 text is a PEM block of the right type. Whoever signs it reads the rest.
    private static func holdsRequest(_ text: String) -> Bool {
        guard let bytes = Base64.decode(text.utf8) else { return false }
        let pem = String(decoding: bytes, as: UTF8.self)
        return ["BEGIN", "END"].allSatisfy { pem.contains("-----\($0) CERTIFICATE REQUEST-----") }
    }

    private static func isQualified(_ signer: String) -> Bool {
        let parts = signer.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count == 2 && parts[0].contains(".") && !parts[1].isEmpty
            && Names.dns1123SubdomainProblems(String(parts[0])).isEmpty
    }

    // MARK: Conditions

    static func isVerdict(_ condition: JSON) -> Bool {
        ["Approved", "Denied"].contains(condition["type"].string ?? "")
    }

    /// The verdicts of one list beside all other conditions of another, each with its times. One list keeps its order.
    static func conditions(verdicts: JSON, others: JSON, old: JSON) -> JSON {
        let list =
            verdicts == others
            ? others.elements : verdicts.elements.filter(isVerdict) + others.elements.filter { !isVerdict($0) }
        let now = JSON.string(Timestamp.now.rfc3339)
        return .array(
            list.map { condition in
                var condition = condition
                let before = old.elements.first { $0["type"] == condition["type"] }
                if condition["lastUpdateTime"].isNull { condition["lastUpdateTime"] = now }
                if condition["lastTransitionTime"].isNull {
                    let isSame = before?["status"] == condition["status"]
                    let known = before?["lastTransitionTime"] ?? .null
                    condition["lastTransitionTime"] = isSame && !known.isNull ? known : now
                }
                return condition
            })
    }

    /// Problems of verdicts: they stay, exclude each other, and are always true.
    static func verdictProblems(_ new: JSON, _ old: JSON) -> [FieldError] {
        let types = new["status"]["conditions"].elements.compactMap { $0["type"].string }
        var problems: [FieldError] = []
        for condition in old["status"]["conditions"].elements
        where isVerdict(condition) || condition["type"] == "Failed" {
            let type = condition["type"].string ?? ""
            if !types.contains(type) {
                problems.append(
                    .forbidden("status.conditions", "updates may not remove a condition of type \"\(type)\""))
            }
        }
        if types.contains("Approved"), types.contains("Denied") {
            problems.append(
                .invalid("status.conditions", "Denied", "Approved and Denied conditions are mutually exclusive"))
        }
        for (index, condition) in new["status"]["conditions"].elements.enumerated() {
            let type = condition["type"].string ?? ""
            guard ["Approved", "Denied", "Failed"].contains(type), condition["status"].string != "True" else {
                continue
            }
            problems.append(.notSupported("status.conditions[\(index)].status", condition["status"], ["True"]))
        }
        return problems
    }
}
