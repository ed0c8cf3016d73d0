public import JSON

/// Speaks HTTPS to webhooks: posts a review, gives the answer back. `Webhooks.WebhookClient` implements it.
public protocol WebhookCalling: Sendable {
    /// POSTs a JSON document.
    /// - Parameter timeout: for the whole call, connecting included.
    /// - Returns: the body of the answer, if its HTTP status is 200.
    func post(_ body: [UInt8], to target: WebhookTarget, timeout: Duration) async throws(WebhookFailure) -> [UInt8]
}

/// Where a webhook is, resolved from a `clientConfig` (`WebhookClientConfig` of admissionregistration.k8s.io and
/// apiextensions.k8s.io).
public struct WebhookTarget: Sendable, Hashable {
    /// The host and the name that its certificate must have: `NAME.NAMESPACE.svc` for a service.
    public var host: String
    /// The port in the URL.
    public var port: Int
    /// Path and query, beginning with `/`.
    public var path: String
    /// Where to connect to, in any order; empty: to the host itself.
    public var addresses: [Machinery.Endpoint]
    /// PEM of the authorities that may sign its certificate; empty: those that the machine trusts.
    public var authorities: [UInt8]
    /// As the URL was written, for messages.
    public var url: String

    public init(
        host: String, port: Int, path: String, addresses: [Machinery.Endpoint], authorities: [UInt8], url: String
    ) {
        self.host = host
        self.port = port
        self.path = path
        self.addresses = addresses
        self.authorities = authorities
        self.url = url
    }
}

/// Why a webhook could not be asked.
public struct WebhookFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// For example `Post "https://hook.default.svc:443/?timeout=10s": context deadline exceeded`.
    public let description: String
    public init(_ description: String) {
        self.description = description
    }
}

extension Machinery {
    /// Asks a webhook that a configuration object names; for admission and for the conversion of custom resources.
    /// - Parameters:
    ///   - review: an `AdmissionReview` or a `ConversionReview`.
    ///   - clientConfig: a `WebhookClientConfig`.
    /// - Returns: the answered review.
    public func callWebhook(_ review: JSON, clientConfig: JSON, timeout: Duration) async throws(WebhookFailure)
        -> JSON
    {
        guard let caller = configuration.webhooks else {
            throw WebhookFailure("this server does not call webhooks")
        }
        let target = try webhookTarget(clientConfig, timeout: timeout)
        let answer = try await caller.post(review.encoded(), to: target, timeout: timeout)
        do {
            return try JSON.parse(answer)
        } catch {
            throw WebhookFailure("Post \"\(target.url)\": the answer is not JSON: \(error)")
        }
    }
}
