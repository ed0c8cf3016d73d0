import JSON
import ObjectModel

/// The document that a webhook is sent and that it answers (`admission.k8s.io/v1` and `v1beta1`).
enum AdmissionReview {
    static let versions = ["v1", "v1beta1"]

    /// What a webhook said.
    struct Answer: Sendable {
        /// The `Status` of a refusal; null when it gave none.
        var refusal: JSON?
        /// Operations of a JSON patch.
        var patch: JSON?
        var warnings: [String] = []
        var auditAnnotations: [(key: String, value: String)] = []
    }

    static func make(_ request: HookedRequest, as matched: MatchedVersion, version: String, uid: String) -> JSON {
        var body = request.attributes(matched, uid: uid)
        body["object"] = request.tree(request.object, as: matched.kind)
        body["oldObject"] = request.tree(request.oldObject, as: matched.kind)
        return ["kind": "AdmissionReview", "apiVersion": .string("admission.k8s.io/\(version)"), "request": body]
    }

    /// Checks an answer and takes it apart.
    static func read(_ json: JSON, version: String, uid: String, isMutating: Bool) throws(WebhookFailure) -> Answer {
        let expected = GroupVersionKind(group: "admission.k8s.io", version: version, kind: "AdmissionReview")
        let found = GroupVersionKind(
            apiVersion: json["apiVersion"].string ?? "", kind: json["kind"].string ?? "")
        // The older version's answers need not say what they are.
        if version == "v1" || !json["kind"].isNull || !json["apiVersion"].isNull, found != expected {
            throw WebhookFailure(
                "received invalid webhook response: expected webhook response of \(expected), got \(found)")
        }
        let response = json["response"]
        guard response.object != nil else { throw WebhookFailure("webhook response was absent") }
        if version == "v1", response["uid"].string != uid {
            throw WebhookFailure(
                "received invalid webhook response: expected response.uid=\"\(uid)\", got "
                    + "\"\(response["uid"].string ?? "")\"")
        }
        guard let isAllowed = response["allowed"].bool ?? (response["allowed"].isNull ? false : nil) else {
            throw WebhookFailure("received invalid webhook response: response.allowed is not a boolean")
        }
        var answer = Answer()
        // Headers carry them: many or long ones are cut.
        answer.warnings = response["warnings"].elements.prefix(64).compactMap(\.string)
        answer.auditAnnotations = response["auditAnnotations"].members.prefix(64).compactMap { key, value in
            value.string.map { (key, $0) }
        }
        if !isAllowed { answer.refusal = response["status"] }
        answer.patch = try patch(response, version: version, isMutating: isMutating)
        return answer
    }

    private static func patch(_ response: JSON, version: String, isMutating: Bool) throws(WebhookFailure) -> JSON? {
        let type = response["patchType"].string
        let text = response["patch"].string ?? ""
        if !isMutating {
            guard type == nil, text.isEmpty else {
                throw WebhookFailure(
                    "received invalid webhook response: a validating webhook must not return a patch")
            }
            return nil
        }
        if text.isEmpty {
            if type != nil, version == "v1" {
                throw WebhookFailure(
                    "received invalid webhook response: webhook returned response.patchType but not response.patch")
            }
            return nil
        }
        if version == "v1" || type != nil {
            guard let type else {
                throw WebhookFailure(
                    "received invalid webhook response: webhook returned response.patch but not response.patchType")
            }
            guard type == "JSONPatch" else {
                throw WebhookFailure(
                    "received invalid webhook response: webhook returned invalid response.patchType of \"\(type)\"")
            }
        }
        guard let bytes = Base64.decode(text.utf8), let patch = try? JSON.parse(bytes) else {
            throw WebhookFailure("received invalid webhook response: response.patch is not base64 of JSON")
        }
        return patch
    }

    /// What a refusal means to the client: the webhook's own code, reason and details, with a name before the message.
    static func denial(by webhook: String, _ status: JSON) -> StatusError {
        var error = StatusError(status: status)
        if error.code < 400 || status["code"].isNull { error.code = 400 }
        if error.code > 599 { error.code = 500 }
        let by = "admission webhook \"\(webhook)\" denied the request"
        if !error.message.isEmpty {
            error.message = "\(by): \(error.message)"
        } else if let reason = status["reason"].string, !reason.isEmpty {
            error.message = "\(by): \(reason)"
        } else {
            error.message = "\(by) without explanation"
        }
        return error
    }
}
