public import APIMachinery
import AsyncHTTPClient
public import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Calls webhooks over HTTPS with connections that are kept and reused.
///
/// A webhook behind a service is connected to at one of its endpoints, while the certificate must be for
/// `NAME.NAMESPACE.svc`. There is one HTTP client per host, address and set of authorities; those that were not used
/// for longest are closed when there are too many.
public final class WebhookClient: WebhookCalling {
    /// How many destinations keep their connections.
    private static let maximumClients = 64
    /// What an answer may have at most: a review with a patch, or a page of converted objects.
    private static let maximumAnswerBytes = 32 << 20

    private struct Destination: Hashable {
        var host: String
        var address: String
        var authorities: [UInt8]
    }
    private struct Entry {
        var client: HTTPClient
        var lastUse: UInt64
    }
    private struct State {
        var entries: [Destination: Entry] = [:]
        var uses: UInt64 = 0
        var isClosed = false
    }
    private let state = Mutex(State())
    private let group: any EventLoopGroup
    private let logger: Logger

    public init(logger: Logger) {
        group = NIOSingletons.posixEventLoopGroup
        self.logger = logger
    }

    public func post(_ body: [UInt8], to target: WebhookTarget, timeout: Duration) async throws(WebhookFailure)
        -> [UInt8]
    {
        let deadline = NIODeadline.now() + TimeAmount(timeout)
        var addresses: [Machinery.Endpoint?] = target.addresses.shuffled()
        if addresses.isEmpty { addresses = [nil] }
        var failure = WebhookFailure("Post \"\(target.url)\": there is no address to connect to")
        // Several endpoints: one that cannot be connected to has not seen the request, so the next may.
        for address in addresses.prefix(3) {
            do {
                return try await post(body, to: target, at: address, deadline: deadline)
            } catch {
                failure = WebhookFailure("Post \"\(target.url)\": \(error.description)")
                guard error.mayTryNext, NIODeadline.now() < deadline else { throw failure }
            }
        }
        throw failure
    }

    private func post(
        _ body: [UInt8], to target: WebhookTarget, at address: Machinery.Endpoint?, deadline: NIODeadline
    ) async throws(CallProblem) -> [UInt8] {
        let client = try client(for: target, at: address?.address)
        let host = target.host.contains(":") ? "[\(target.host)]" : target.host
        var request = HTTPClientRequest(url: "https://\(host):\(address?.port ?? target.port)\(target.path)")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Accept", value: "application/json, */*")
        request.headers.add(name: "User-Agent", value: "kube-apiserver-admission")
        request.headers.add(name: "Host", value: target.port == 443 ? host : "\(host):\(target.port)")
        request.body = .bytes(body)
        let ready = request
        let place = "\(address?.address ?? target.host):\(address?.port ?? target.port)"
        // The client's own deadline ends with the head of the answer; this one covers the body too, by a timer of the
        // event loop, which is gone when the call is done.
        let work = Task { () throws -> [UInt8] in
            let response = try await client.execute(ready, deadline: deadline, logger: nil)
            let received = try await response.body.collect(upTo: Self.maximumAnswerBytes)
            let bytes = Array(received.readableBytesView)
            guard response.status == .ok else { throw CallProblem.status(Int(response.status.code), bytes) }
            return bytes
        }
        let timer = group.next().scheduleTask(deadline: deadline) { work.cancel() }
        defer { timer.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                work.cancel()
            }
        } catch {
            throw CallProblem(error, place: place, isLate: NIODeadline.now() >= deadline)
        }
    }

    // MARK: Clients

    private func client(for target: WebhookTarget, at address: String?) throws(CallProblem) -> HTTPClient {
        let destination = Destination(
            host: target.host, address: address ?? "", authorities: target.authorities)
        let known: HTTPClient? = state.withLock { state in
            state.uses += 1
            state.entries[destination]?.lastUse = state.uses
            return state.entries[destination]?.client
        }
        if let known { return known }
        let made = try makeClient(destination)
        let (chosen, extra): (HTTPClient?, [HTTPClient]) = state.withLock { state in
            if state.isClosed { return (nil, [made]) }
            if let other = state.entries[destination] { return (other.client, [made]) }
            state.entries[destination] = Entry(client: made, lastUse: state.uses)
            guard state.entries.count > Self.maximumClients,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            else { return (made, []) }
            state.entries.removeValue(forKey: oldest.key)
            return (made, [oldest.value.client])
        }
        for client in extra { Self.close(client, logger) }
        guard let chosen else { throw CallProblem("the server is shutting down") }
        return chosen
    }

    private func makeClient(_ destination: Destination) throws(CallProblem) -> HTTPClient {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if !destination.authorities.isEmpty {
            do {
                tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(destination.authorities))
            } catch {
                throw CallProblem("the caBundle holds no PEM certificates that can be read: \(error)")
            }
        }
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls, redirectConfiguration: .disallow)
        configuration.timeout.connect = .seconds(30)
        configuration.connectionPool.idleTimeout = .seconds(90)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        // A refused connection is told at once: the failure policy decides what then happens, not patience.
        configuration.connectionPool.retryConnectionEstablishment = false
        if !destination.address.isEmpty { configuration.dnsOverride = [destination.host: destination.address] }
        return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
    }

    private static func close(_ client: HTTPClient, _ logger: Logger) {
        client.shutdown { error in
            if let error {
                logger.debug("a webhook client closed with an error", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Closes all connections; later calls fail.
    public func shutdown() {
        let clients = state.withLock { state in
            state.isClosed = true
            defer { state.entries = [:] }
            return state.entries.values.map(\.client)
        }
        for client in clients { Self.close(client, logger) }
    }

    deinit { shutdown() }
}
