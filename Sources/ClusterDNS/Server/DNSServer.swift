public import ClusterClient
public import HTTPWindow
public import Logging
import NIOCore
import NIOPosix
import ObjectModel
public import ServiceLifecycle
import Synchronization

/// Where and for which domain DNS is served.
public struct DNSConfiguration: Sendable {
    /// Address to listen on (UDP and TCP).
    public var address: String
    public var port: Int
    /// For example `cluster.local`.
    public var domain: String
    /// Text of the machine's resolv.conf: who is asked for all other names.
    public var hostResolvers: String
    /// What Mesos names say besides tasks; nil: there are no Mesos names.
    public var mesos: MesosNamesConfiguration?

    public init(address: String, port: Int, domain: String, hostResolvers: String) {
        self.address = address
        self.port = port
        self.domain = domain
        self.hostResolvers = hostResolvers
    }
}

/// Names of Mesos tasks, as Mesos-DNS gives them, beside those of the cluster.
public struct MesosNamesConfiguration: Sendable {
    /// The domain, for example `mesos`.
    public var domain: String
    /// Address of the master, of Marathon and of this server: what `leader.mesos` is.
    public var address: String
    public var masterPort: Int
    public var agentPort: Int
    /// Port of the HTTP API, for its own configuration page.
    public var httpPort: Int
    /// Of Apus.
    public var version: String

    public init(
        domain: String = "mesos", address: String, masterPort: Int = 5050, agentPort: Int = 5051, httpPort: Int = 8123,
        version: String
    ) {
        self.domain = domain
        self.address = address
        self.masterPort = masterPort
        self.agentPort = agentPort
        self.httpPort = httpPort
        self.version = version
    }
}

/// The cluster's DNS server: names of services and pods from the informers, everything else from the machine's
/// resolvers.
public final class DNSServer: Service {
    private let configuration: DNSConfiguration
    private let logger: Logger
    private let services: Informer<ServiceRecordView>
    private let slices: Informer<SliceRecordView>
    private let zone: ClusterZone
    private let mesos: MesosZone?
    private let mesosInformers: MesosInformers?
    private let group = MultiThreadedEventLoopGroup.singleton
    private let resolver: Resolver
    /// Questions being passed on; more than this are answered with a failure.
    private let forwarded = Atomic<Int>(0)
    private let listening = Atomic<Bool>(false)
    private static let maximumForwarded = 1000

    public init(configuration: DNSConfiguration, client: ClusterClient, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        zone = ClusterZone(domain: configuration.domain)
        mesos = configuration.mesos.map {
            MesosZone(
                .init(
                    domain: $0.domain, address: $0.address, masterPort: UInt16(clamping: $0.masterPort),
                    agentPort: UInt16(clamping: $0.agentPort)))
        }
        mesosInformers = configuration.mesos.map { _ in MesosInformers(client: client, logger: logger) }
        resolver = Resolver(
            configuration: configuration.hostResolvers, excluding: configuration.address,
            group: MultiThreadedEventLoopGroup.singleton)
        services = Informer(.services, client: client, logger: logger) { ServiceRecordView($0) }
        slices = Informer(.endpointSlices, client: client, logger: logger) { SliceRecordView($0) }
    }

    /// True while both sockets are open and the records are there.
    public var isServing: Bool { listening.load(ordering: .relaxed) }

    /// Answers a request of Mesos-DNS's HTTP API.
    /// - Throws: `WindowError`
    public func answer(_ request: WindowRequest) async throws -> WindowResponse {
        guard let mesos, let configuration = configuration.mesos else {
            throw WindowError(404, "this server has no Mesos names")
        }
        return try MesosNamesAPI(zone: mesos, version: configuration.version, port: configuration.httpPort)
            .answer(request)
    }

    public func run() async throws {
        if let mesos { mesosInformers?.fill(mesos) }
        services.subscribe { [zone] event in
            switch event {
            case .added(let view), .modified(_, let view): zone.put(view)
            case .deleted(let view): zone.removeService(view.key)
            }
        }
        slices.subscribe { [zone] event in
            switch event {
            case .added(let view), .modified(_, let view): zone.put(view)
            case .deleted(let view): zone.removeSlice(view)
            }
        }
        try await withThrowingDiscardingTaskGroup { group in
            // Names of the cluster are answered at once; those of Mesos when they are known.
            for informer in [services as any Service, slices] + (mesosInformers?.all ?? []) {
                group.addTask { try await informer.run() }
            }
            await services.waitUntilSynced()
            await slices.waitUntilSynced()
            let channels = try await bind()
            listening.store(true, ordering: .relaxed)
            logger.debug(
                "DNS is served", metadata: ["address": "\(configuration.address)", "port": "\(configuration.port)"])
            await cancelWhenGracefulShutdown {
                while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
            }
            listening.store(false, ordering: .relaxed)
            for channel in channels { try? await channel.close() }
            group.cancelAll()
        }
    }

    private func bind() async throws -> [any Channel] {
        do {
            let udp = try await DatagramBootstrap(group: group)
                .channelOption(.socketOption(.so_reuseaddr), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DatagramHandler(server: self))
                    }
                }
                .bind(host: configuration.address, port: configuration.port).get()
            let tcp = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers([
                            IdleStateHandler(allTimeout: .seconds(10)),
                            ByteToMessageHandler(DNSFrameDecoder(), maximumBufferSize: 8192),
                            StreamHandler(server: self),
                        ])
                    }
                }
                .bind(host: configuration.address, port: configuration.port).get()
            return [udp, tcp]
        } catch let error as IOError where error.errnoCode == 98 {
            throw DNSPortInUse(address: configuration.address, port: configuration.port)
        }
    }

    /// Answers one message; `limit` is what the transport can carry. Nil when the message deserves no answer.
    func answer(_ bytes: [UInt8], limit: Int?) async -> [UInt8]? {
        let query: DNSQuery
        do {
            query = try DNSQuery(decoding: bytes)
        } catch {
            return DNSEncoder.encode(error: error)
        }
        let room = limit.map { max($0, query.payloadSize) } ?? 65_535
        if query.question.recordClass == 1,
            var response = zone.answer(query.question) ?? mesos?.answer(query.question)
        {
            await followAlias(query.question, &response)
            addTargets(&response)
            return DNSEncoder.encode(response, to: query, limit: room)
        }
        if let passed = await forward(bytes) { return passed }
        var failure = DNSResponse()
        failure.isAuthoritative = false
        failure.code = .serverFailure
        return DNSEncoder.encode(failure, to: query, limit: room)
    }

    /// Addresses of what SRV records point at go along: many clients ask for no more.
    private func addTargets(_ response: inout DNSResponse) {
        var seen: Set<DNSName> = []
        for record in response.answers.prefix(64) {
            guard case .service(_, _, _, let target) = record.data, seen.insert(target).inserted else { continue }
            for type in [DNSType.a, .aaaa] {
                let question = DNSQuestion(name: target, type: type, recordClass: 1)
                response.additional += (zone.answer(question) ?? mesos?.answer(question))?.answers ?? []
            }
        }
    }

    /// An external-name service points at a name that may be one of ours: its addresses are added then. Names of others
    /// are left to the client's resolver.
    private func followAlias(_ question: DNSQuestion, _ response: inout DNSResponse) async {
        guard question.type == .a || question.type == .aaaa,
            case .name(let target, .cname)? = response.answers.first?.data,
            let next = zone.answer(DNSQuestion(name: target, type: question.type, recordClass: 1))
        else { return }
        response.answers += next.answers
    }

    private func forward(_ bytes: [UInt8]) async -> [UInt8]? {
        guard forwarded.add(1, ordering: .relaxed).newValue <= Self.maximumForwarded else {
            forwarded.subtract(1, ordering: .relaxed)
            return nil
        }
        defer { forwarded.subtract(1, ordering: .relaxed) }
        return await resolver.resolve(bytes)
    }
}

/// Another program listens on the DNS port.
public struct DNSPortInUse: Error, CustomStringConvertible {
    public var address: String
    public var port: Int
    public var description: String {
        "the DNS port \(port) on \(address) is in use by another program: stop it, or choose another with --dns-port"
    }
}

private final class DatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    private let server: DNSServer

    init(server: DNSServer) {
        self.server = server
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let channel = context.channel
        let bytes = Array(envelope.data.readableBytesView)
        Task { [server] in
            guard let answer = await server.answer(bytes, limit: 512) else { return }
            channel.writeAndFlush(
                AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: answer)),
                promise: nil)
        }
    }
}

/// Cuts a TCP stream into messages with a two-byte length (RFC 1035 §4.2.2).
private struct DNSFrameDecoder: ByteToMessageDecoder {
    typealias InboundOut = ByteBuffer

    mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        guard let message = buffer.readLengthPrefixedSlice(as: UInt16.self) else { return .needMoreData }
        context.fireChannelRead(wrapInboundOut(message))
        return .continue
    }
}

private final class StreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let server: DNSServer
    private var handled = 0

    init(server: DNSServer) {
        self.server = server
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        let channel = context.channel
        handled += 1
        guard handled <= 1000 else { return context.close(promise: nil) }
        Task { [server] in
            guard let answer = await server.answer(bytes, limit: nil) else { return }
            var frame = ByteBuffer()
            frame.writeInteger(UInt16(clamping: answer.count))
            frame.writeBytes(answer.prefix(65_535))
            channel.writeAndFlush(frame, promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
