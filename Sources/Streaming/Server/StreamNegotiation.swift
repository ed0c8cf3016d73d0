/// Picks the subprotocol of an exec, attach or port-forward upgrade before the 101 answer is sent.
public enum StreamNegotiation {
    /// exec and attach over WebSocket.
    ///
    /// - Parameter offered: the tokens of all `Sec-WebSocket-Protocol` header lines, in the client's order.
    /// - Returns: the token to echo; empty when the client offered none (then no header is echoed and the plain
    ///   binary channel protocol is spoken); nil when nothing offered is supported (answer 400).
    public static func remoteCommandWebSocket(offered: [String]) -> String? {
        pick(offered, from: ChannelCodec.remoteCommandSubprotocols)
    }

    /// Port-forward over WebSocket. Same result rules as `remoteCommandWebSocket(offered:)`.
    public static func portForwardWebSocket(offered: [String]) -> String? {
        pick(offered, from: [tunnelledPortForward, "v4.channel.k8s.io", "v4.base64.channel.k8s.io"])
    }

    /// Logs over WebSocket. Same result rules as `remoteCommandWebSocket(offered:)`.
    public static func byteStreamWebSocket(offered: [String]) -> String? {
        pick(offered, from: ["binary.k8s.io", base64ByteStream])
    }

    /// Watches over WebSocket: messages are the same whatever a browser calls them. Only the token that it carries among
    /// the subprotocols must not be picked.
    public static func watchWebSocket(offered: [String]) -> String? {
        offered.first { !$0.hasPrefix(bearerToken) } ?? ""
    }

    /// What precedes a bearer token (base64url) in a subprotocol: a browser cannot set headers.
    public static let bearerToken = "base64url.bearer.authorization.k8s.io."

    /// exec and attach over a SPDY/3.1 upgrade.
    ///
    /// - Parameter offered: the tokens of all `X-Stream-Protocol-Version` header lines, in the client's order.
    /// - Returns: the token to send back in `X-Stream-Protocol-Version`; empty when none was offered (send no header);
    ///   nil when unsupported: answer 403 with one `X-Accepted-Stream-Protocol-Versions` line per element of
    ///   `remoteCommandSPDYVersions`.
    public static func remoteCommandSPDY(offered: [String]) -> String? {
        pick(offered, from: remoteCommandSPDYVersions)
    }

    /// Port-forward over a SPDY/3.1 upgrade. Same result rules as `remoteCommandSPDY(offered:)`.
    public static func portForwardSPDY(offered: [String]) -> String? {
        pick(offered, from: portForwardSPDYVersions)
    }

    /// What a SPDY exec or attach server speaks, newest first.
    public static let remoteCommandSPDYVersions = [
        "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io",
    ]
    /// What a SPDY port-forward server speaks.
    public static let portForwardSPDYVersions = ["portforward.k8s.io"]

    /// WebSocket subprotocol whose messages are base64 texts.
    static let base64ByteStream = "base64.binary.k8s.io"

    /// WebSocket subprotocol whose binary messages carry a SPDY/3.1 byte stream (KEP-4006).
    static let tunnelledPortForward = "SPDY/3.1+portforward.k8s.io"

    private static func pick(_ offered: [String], from supported: [String]) -> String? {
        offered.isEmpty ? "" : offered.first { supported.contains($0) }
    }
}
