import CEL
import JSON
import ObjectModel

/// One webhook of a `MutatingWebhookConfiguration` or a `ValidatingWebhookConfiguration`, read once.
struct Webhook: Sendable {
    /// Unique among all webhooks: configuration, name and place.
    let identity: String
    let name: String
    let clientConfig: JSON
    let criteria: MatchCriteria
    let conditions: MatchConditions
    let ignoresFailures: Bool
    let timeout: Duration
    /// It may be called for a dry run.
    let hasNoSideEffects: Bool
    /// The version of `AdmissionReview` to speak: the first of its list that is known here.
    let reviewVersion: String?
    let isReinvoked: Bool

    init(_ json: JSON, configuration: String, index: Int) {
        name = json["name"].string ?? ""
        identity = "\(configuration)/\(name)/\(index)"
        clientConfig = json["clientConfig"]
        criteria = MatchCriteria(json, rules: "rules")
        conditions = MatchConditions(json["matchConditions"])
        ignoresFailures = json["failurePolicy"].string == "Ignore"
        timeout = .seconds(min(max(json["timeoutSeconds"].int ?? 10, 1), 30))
        hasNoSideEffects = ["None", "NoneOnDryRun"].contains(json["sideEffects"].string ?? "")
        reviewVersion = json["admissionReviewVersions"].elements.compactMap(\.string).first {
            AdmissionReview.versions.contains($0)
        }
        isReinvoked = json["reinvocationPolicy"].string == "IfNeeded"
    }

    /// How to ask this webhook about a request; nil when it is not concerned.
    /// - Throws: 403 when its conditions fail and failures count; 404 when the namespace is not there.
    func match(_ request: HookedRequest, in machinery: Machinery) throws -> MatchedVersion? {
        guard let matched = try criteria.match(request, in: machinery) else { return nil }
        if conditions.isEmpty { return matched }
        switch conditions.evaluate(ExpressionScope.values(request, as: matched, in: machinery)) {
        case .matches: return matched
        case .differs: return nil
        case .failed(let why):
            if ignoresFailures { return nil }
            throw StatusError.forbidden(request.place, name: request.key.name, why)
        }
    }

    /// Asks the webhook.
    /// - Returns: nil when it could not be asked, and that does not matter.
    /// - Throws: what its refusal or failure means to the client.
    func call(
        _ request: HookedRequest, as matched: MatchedVersion, isMutating: Bool, in machinery: Machinery
    ) async throws -> AdmissionReview.Answer? {
        if request.isDryRun, !hasNoSideEffects {
            throw StatusError.badRequest("admission webhook \"\(name)\" does not support dry run")
        }
        let answer: AdmissionReview.Answer
        do {
            guard let reviewVersion else {
                throw WebhookFailure("webhook does not accept known AdmissionReview versions (v1, v1beta1)")
            }
            let uid = NameGenerator.uuid()
            let review = AdmissionReview.make(request, as: matched, version: reviewVersion, uid: uid)
            do {
                let json = try await machinery.callWebhook(review, clientConfig: clientConfig, timeout: timeout)
                answer = try AdmissionReview.read(
                    json, version: reviewVersion, uid: uid, isMutating: isMutating)
            } catch {
                throw WebhookFailure("failed to call webhook: \(error.description)")
            }
        } catch {
            try Task.checkCancellation()
            machinery.logger.warning(
                "an admission webhook could not be asked",
                metadata: ["webhook": "\(name)", "error": "\(error)", "ignored": "\(ignoresFailures)"])
            if ignoresFailures { return nil }
            throw StatusError.internalError("failed calling webhook \"\(name)\": \(error)")
        }
        for (key, value) in answer.auditAnnotations { request.context.annotate("\(name)/\(key)", value) }
        for warning in answer.warnings { request.context.warn(warning) }
        if let refusal = answer.refusal { throw AdmissionReview.denial(by: name, refusal) }
        return answer
    }
}
