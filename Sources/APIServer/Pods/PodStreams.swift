import APIMachinery
import Crypto
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Security
import Streaming

/// `pods/exec`, `attach` and `portforward`: the HTTP upgrade, then the protocols of the Streaming module.
extension Dispatcher {
    func podCommand(_ call: Call) async throws -> Answer {
        let upgrade = try upgradeRequest(call)
        try await requireCreate(call, upgrade)
        let query = call.request.query
        var options = ExecOptions()
        options.stdin = query.flag("stdin")
        options.tty = query.flag("tty")
        options.stdout = query.flag("stdout")
        options.stderr = query.flag("stderr") && !options.tty
        let isExec = call.info.subresource == "exec"
        if isExec { options.command = query.all("command") }
        guard options.stdin || options.stdout || query.flag("stderr") else {
            throw StatusError.badRequest("you must specify at least 1 of stdin, stdout, stderr")
        }
        if isExec, options.command.isEmpty { throw StatusError.badRequest("you must specify at least 1 command") }

        // Before the pod is looked for: a webhook may refuse what does not exist.
        try await admit(
            call, isExec ? "PodExecOptions" : "PodAttachOptions",
            ["stdin": .bool(options.stdin), "stdout": .bool(options.stdout), "stderr": .bool(options.stderr)],
            tty: options.tty, container: query["container"] ?? "", command: options.command)
        let pod = try await pod(call)
        let container = try PodTarget.container(named: query["container"] ?? "", of: pod)
        if isExec, let phase = pod.tree["status"]["phase"].string, phase == "Succeeded" || phase == "Failed" {
            throw StatusError.badRequest("cannot exec into a container in a completed pod; current phase is \(phase)")
        }
        let target = try await target(of: pod)
        let (protocolName, headers) = try negotiated(
            upgrade,
            webSocket: StreamNegotiation.remoteCommandWebSocket, spdy: StreamNegotiation.remoteCommandSPDY,
            spdyVersions: StreamNegotiation.remoteCommandSPDYVersions)
        let channel = try await call.exchange.upgrade(headers) { channel in
            try UpgradedChannel(synchronously: channel, protocolName)
        }
        let reference = ContainerReference(pod: target.reference, container: container)
        let wanted = options
        await RemoteCommandServer(logger: logger).run(channel, options: wanted) {
            isExec
                ? try await target.gateway.exec(reference, wanted) : try await target.gateway.attach(reference, wanted)
        }
        return .upgraded
    }

    func podPortForward(_ call: Call) async throws -> Answer {
        let upgrade = try upgradeRequest(call)
        try await requireCreate(call, upgrade)
        let ports = try call.request.query.all("ports").flatMap { $0.split(separator: ",") }.map { text in
            guard let port = Int(text), (1...65535).contains(port) else {
                throw StatusError.badRequest("invalid port \"\(text)\": must be a number from 1 to 65535")
            }
            return port
        }
        try await admit(call, "PodPortForwardOptions", ports.isEmpty ? [:] : ["ports": .array(ports.map { JSON($0) })])
        let pod = try await pod(call)
        if let phase = pod.tree["status"]["phase"].string, phase != "Running" {
            throw StatusError.badRequest("unable to forward port because pod is not running. Current status=\(phase)")
        }
        let target = try await target(of: pod)
        let (protocolName, headers) = try negotiated(
            upgrade,
            webSocket: StreamNegotiation.portForwardWebSocket, spdy: StreamNegotiation.portForwardSPDY,
            spdyVersions: StreamNegotiation.portForwardSPDYVersions)
        let channel = try await call.exchange.upgrade(headers) { channel in
            try UpgradedChannel(synchronously: channel, protocolName)
        }
        await PortForwardServer(logger: logger).run(channel, ports: ports) { port in
            try await target.gateway.connect(target.reference, port: port)
        }
        return .upgraded
    }

    /// Admission of a connection to a pod.
    private func admit(
        _ call: Call, _ kind: String, _ members: JSON, tty: Bool = false, container: String = "", command: [String] = []
    ) async throws {
        guard let pods = backend.catalog.resource(.pods) else { return }
        var options: JSON = ["kind": .string(kind), "apiVersion": "v1"]
        for (name, value) in members.members where value != false { options[name] = value }
        if tty { options["tty"] = true }
        if !container.isEmpty { options["container"] = .string(container) }
        if !command.isEmpty { options["command"] = JSON(command) }
        try await backend.admitConnection(
            pods, ObjectKey(namespace: call.info.namespace, name: call.info.name), subresource: call.info.subresource,
            options: options, context: RequestContext(user: call.user))
    }

    // MARK: Upgrade

    enum UpgradeRequest {
        /// The client's `Sec-WebSocket-Key` and the subprotocols it offers.
        case webSocket(key: String, offered: [String])
        case spdy(offered: [String])
    }

    /// Whether the client asks for a WebSocket instead of a plain answer.
    func wantsWebSocket(_ call: Call) -> Bool {
        call.request.tokens("upgrade").contains { $0.lowercased() == "websocket" } && !call.exchange.isHTTP2
    }

    func upgradeRequest(_ call: Call) throws -> UpgradeRequest {
        let request = call.request
        guard ["get", "create", "watch"].contains(call.info.verb) else { throw StatusError.methodNotSupported() }
        let isUpgrade = request.tokens("connection").contains { $0.lowercased() == "upgrade" }
        let wanted = request.tokens("upgrade").map { $0.lowercased() }
        guard isUpgrade, !call.exchange.isHTTP2, !wanted.isEmpty else {
            throw StatusError.badRequest("Upgrade request required")
        }
        if wanted.contains("websocket") {
            guard request.method == .GET, let key = request.headers.first(name: "sec-websocket-key"),
                request.headers.first(name: "sec-websocket-version") == "13"
            else { throw StatusError.badRequest("the WebSocket handshake needs GET, a key and version 13") }
            return .webSocket(key: key, offered: request.tokens("sec-websocket-protocol"))
        }
        if wanted.contains("spdy/3.1") { return .spdy(offered: request.tokens("x-stream-protocol-version")) }
        throw StatusError.badRequest("unable to upgrade: only websocket and SPDY/3.1 are served")
    }

    /// A WebSocket can only be opened by GET, yet what it starts is as much as a POST: both permissions are needed.
    private func requireCreate(_ call: Call, _ upgrade: UpgradeRequest) async throws {
        guard case .webSocket = upgrade else { return }
        var attributes = call.info.attributes(for: call.user)
        attributes.verb = "create"
        try await authorizer.require(attributes)
    }

    func negotiated(
        _ upgrade: UpgradeRequest, webSocket: ([String]) -> String?, spdy: ([String]) -> String?,
        spdyVersions: [String]
    ) throws -> (StreamUpgrade, HTTPHeaders) {
        switch upgrade {
        case .webSocket(let key, let offered):
            guard let chosen = webSocket(offered) else {
                throw StatusError.badRequest(
                    "none of the offered subprotocols is served: \(offered.joined(separator: ", "))")
            }
            let accept = Insecure.SHA1.hash(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
            var headers: HTTPHeaders = [
                "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": Base64.encode(Array(accept)),
            ]
            if !chosen.isEmpty { headers.add(name: "Sec-WebSocket-Protocol", value: chosen) }
            return (.webSocket(subprotocol: chosen), headers)
        case .spdy(let offered):
            guard let chosen = spdy(offered) else {
                throw UnsupportedStreamProtocol(offered: offered, supported: spdyVersions)
            }
            var headers: HTTPHeaders = ["Connection": "Upgrade", "Upgrade": "SPDY/3.1"]
            if !chosen.isEmpty { headers.add(name: "X-Stream-Protocol-Version", value: chosen) }
            return (.spdy(subprotocol: chosen), headers)
        }
    }
}

/// 403 with the versions that would do, which SPDY clients read.
struct UnsupportedStreamProtocol: Error {
    let offered: [String]
    let supported: [String]

    var response: Response {
        var response = Response(
            status: .forbidden,
            text:
                "unable to upgrade: unable to negotiate protocol: client supports [\(offered.joined(separator: " "))],"
                + " server accepts [\(supported.joined(separator: " "))]")
        for version in supported { response.headers.add(name: "X-Accepted-Stream-Protocol-Versions", value: version) }
        return response
    }
}
