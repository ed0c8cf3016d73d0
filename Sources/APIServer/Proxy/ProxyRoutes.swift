import APIMachinery
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema

/// The `proxy` subresources of nodes, pods and services.
extension Dispatcher {
    func proxy(_ call: Call, _ definition: ResourceDefinition) async throws -> Answer {
        let name = try ProxyName(call.info.name)
        let place = ProxyPlace(call)
        if place.path.isEmpty, call.request.method == .GET || call.request.method == .HEAD {
            // Relative links of the answer would lead out of the proxy.
            let query = place.query.isEmpty ? "" : "?" + place.query
            return .response(
                Response(status: .movedPermanently, headers: ["Location": place.prefix + "/" + query]))
        }
        let kinds = ["pods": "PodProxyOptions", "services": "ServiceProxyOptions", "nodes": "NodeProxyOptions"]
        try await backend.admitConnection(
            definition, ObjectKey(namespace: call.info.namespace, name: call.info.name), subresource: "proxy",
            options: [
                "kind": .string(kinds[definition.resource.resource] ?? ""), "apiVersion": "v1",
                "path": .string(place.path),
            ], context: RequestContext(user: call.user))
        switch definition.resource.resource {
        case "pods": return try await relay(call, place, to: try await podProxyTarget(call, name))
        case "services": return try await relay(call, place, to: try await serviceProxyTarget(call, name))
        case "nodes": return try await nodeProxy(call, name, place)
        default: throw StatusError.unknownResource()
        }
    }

    /// Sends the request on, and the answer back as it comes.
    func relay(_ call: Call, _ place: ProxyPlace, to target: ProxyTarget) async throws -> Answer {
        let request = call.request
        let isUpgrade = !call.exchange.isHTTP2 && ProxyHeaders.asksForUpgrade(request)
        var head = HTTPRequestHead(
            version: .http1_1, method: request.method,
            uri: (place.path.isEmpty ? "/" : place.path) + (place.query.isEmpty ? "" : "?" + place.query),
            headers: ProxyHeaders.forwarded(call, place, isUpgrade: isUpgrade))
        if request.body.readableBytes > 0 || [.POST, .PUT, .PATCH].contains(request.method) {
            head.headers.replaceOrAdd(name: "Content-Length", value: String(request.body.readableBytes))
        }
        let channel = try await ProxyConnection.open(target.host, target.port, isTLS: target.isTLS)
        let sent = head
        return try await channel.executeThenClose { inbound, outbound in
            var parts = inbound.makeAsyncIterator()
            do {
                try await outbound.write(.request(sent))
                if request.body.readableBytes > 0 { try await outbound.write(.body(request.body)) }
                try await outbound.write(.end)
            } catch {
                throw StatusError.serviceUnavailable("error trying to reach service: \(error)")
            }
            let first: ProxyPart?
            do {
                first = try await parts.next()
            } catch {
                throw StatusError.serviceUnavailable("error trying to reach service: \(error)")
            }
            guard case .response(let answer)? = first else {
                throw StatusError.serviceUnavailable(
                    "error trying to reach service: \(target.host) port \(target.port) closed the connection")
            }
            if answer.status == .switchingProtocols {
                let client = try await call.exchange.upgrade(answer.headers) { channel in
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
                try? await Self.join(client, &parts, outbound)
                return .upgraded
            }
            return try await Self.answer(call, place, target, answer, &parts)
        }
    }

    private static func answer(
        _ call: Call, _ place: ProxyPlace, _ target: ProxyTarget, _ head: HTTPResponseHead,
        _ parts: inout NIOAsyncChannelInboundStream<ProxyPart>.AsyncIterator
    ) async throws -> Answer {
        var response = Response(status: head.status, headers: ProxyHeaders.withoutHops(head.headers))
        if let location = response.headers.first(name: "location") {
            let hosts = ["\(target.host):\(target.port)", target.host, call.request.headers.first(name: "host") ?? ""]
            response.headers.replaceOrAdd(name: "Location", value: place.rewritten(location, hosts: hosts))
        }
        let exchange = call.exchange
        let isHTML = bareMediaType(response.headers.first(name: "content-type") ?? "") == "text/html"
        var page: ByteBuffer?
        if isHTML, !response.headers.contains(name: "content-encoding"), call.request.method != .HEAD {
            page = ByteBuffer()
        } else {
            exchange.start(response)
        }
        while let part = try await parts.next() {
            guard case .body(var buffer) = part else { break }
            if page != nil {
                page?.writeBuffer(&buffer)
                // A page that is too long for its links to be changed goes on as it is.
                if let whole = page, whole.readableBytes > HTMLLinks.maximumBytes {
                    exchange.start(response)
                    try await exchange.write(whole, isImpatient: false)
                    page = nil
                }
            } else {
                try await exchange.write(buffer, isImpatient: false)
            }
        }
        if let page {
            response.body = ByteBuffer(bytes: HTMLLinks.prefixed(Array(page.readableBytesView), place.prefix))
            response.headers.remove(name: "Content-Length")
            exchange.respond(response)
        } else {
            exchange.end()
        }
        return .answered(response.status.code)
    }

    /// Carries bytes both ways until either side ends.
    private static func join(
        _ client: NIOAsyncChannel<ByteBuffer, ByteBuffer>,
        _ parts: inout NIOAsyncChannelInboundStream<ProxyPart>.AsyncIterator,
        _ outbound: NIOAsyncChannelOutboundWriter<ProxyPart>
    ) async throws {
        let channel = client.channel
        try await client.executeThenClose { inbound, back in
            let up = Task {
                for try await buffer in inbound { try await outbound.write(.raw(buffer)) }
                outbound.finish()
            }
            defer { up.cancel() }
            try await withTaskCancellationHandler {
                while let part = try await parts.next() {
                    if case .raw(let buffer) = part { try await back.write(buffer) }
                }
            } onCancel: {
                channel.close(promise: nil)
            }
        }
    }
}

/// Where the proxied part of a path begins.
struct ProxyPlace: Sendable {
    /// Up to `/proxy`, as the client wrote it.
    let prefix: String
    /// What the program behind the proxy sees; empty, or it begins with a slash.
    let path: String
    /// Without the question mark.
    let query: String

    init(_ call: Call) {
        self.init(
            path: call.request.path, segments: call.info.segments.count - call.info.tail.count,
            query: call.request.rawQuery)
    }

    /// - Parameter segments: how many belong to the API.
    init(path raw: String, segments: Int, query: String) {
        var seen = 0
        var isInside = false
        var end = raw.utf8.endIndex
        for index in raw.utf8.indices {
            if raw.utf8[index] == UInt8(ascii: "/") {
                if isInside, seen == segments {
                    end = index
                    break
                }
                isInside = false
            } else if !isInside {
                isInside = true
                seen += 1
            }
        }
        prefix = String(raw[..<end])
        path = String(raw[end...])
        self.query = query
    }

    /// A link of the program, as it has to be followed through the proxy. Links to elsewhere stay as they are.
    ///
    /// - Parameter hosts: names of the program itself.
    func rewritten(_ link: String, hosts: [String]) -> String {
        var path = link[...]
        for scheme in ["http://", "https://", "//"] where link.hasPrefix(scheme) {
            let rest = link.dropFirst(scheme.count)
            let slash = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
            guard hosts.contains(String(rest[..<slash])) else { return link }
            path = rest[slash...]
            if !path.hasPrefix("/") { path = "/" + path }
            break
        }
        guard path.hasPrefix("/"), !path.hasPrefix(prefix + "/") else { return String(path) }
        return prefix + path
    }
}

/// Headers on their way through a proxy.
enum ProxyHeaders {
    /// RFC 9110 section 7.6.1, and what clients and servers have used besides.
    private static let hops = [
        "connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    static func withoutHops(_ headers: HTTPHeaders) -> HTTPHeaders {
        var result = headers
        for name in headers[canonicalForm: "connection"] { result.remove(name: String(name)) }
        for name in hops { result.remove(name: name) }
        return result
    }

    static func asksForUpgrade(_ request: Request) -> Bool {
        request.tokens("connection").contains { $0.lowercased() == "upgrade" } && !request.tokens("upgrade").isEmpty
    }

    /// What the program is told: everything but the client's credentials, and where the request came from.
    static func forwarded(_ call: Call, _ place: ProxyPlace, isUpgrade: Bool) -> HTTPHeaders {
        var headers = withoutHops(call.request.headers)
        headers.remove(name: "authorization")
        for (name, _) in call.request.headers where name.lowercased().hasPrefix("impersonate-") {
            headers.remove(name: name)
        }
        headers.remove(name: "expect")
        headers.remove(name: "content-length")
        if isUpgrade {
            headers.add(name: "Connection", value: "Upgrade")
            for value in call.request.headers["upgrade"] { headers.add(name: "Upgrade", value: value) }
        } else {
            headers.add(name: "Connection", value: "close")
        }
        let before = headers["x-forwarded-for"]
        headers.remove(name: "x-forwarded-for")
        headers.add(
            name: "X-Forwarded-For", value: (before + [call.request.connection.remoteHost]).joined(separator: ", "))
        headers.replaceOrAdd(name: "X-Forwarded-Uri", value: place.prefix + place.path)
        if let host = call.request.headers.first(name: "host") {
            headers.replaceOrAdd(name: "X-Forwarded-Host", value: host)
        }
        headers.replaceOrAdd(name: "X-Forwarded-Proto", value: "https")
        return headers
    }
}
