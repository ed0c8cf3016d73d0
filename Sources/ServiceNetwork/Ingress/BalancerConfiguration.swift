/// Writes the balancer's configuration (HAProxy 2.2 or newer) for a plan. Pure: same plan, same text.
///
/// Routes are looked up in map files, not tested one after the other: exact paths by their text, the others by the
/// longest beginning. A path is looked up with a slash at its end, and so are prefixes: `/a` is not the beginning of `/ab`.
struct BalancerConfiguration: Sendable, Equatable {
    /// The folder of the files.
    var directory: String
    var plan: BalancerPlan

    static let file = "haproxy.cfg"
    static let processFile = "haproxy.pid"
    static let certificates = "certificates"
    private static let kinds = ["exact", "prefix"]

    /// Name and content of every file.
    var files: [(name: String, content: String)] {
        var files = [(Self.file, text), ("exact.map", map { $0 == .exact }), ("prefix.map", map { $0 != .exact })]
        var list: [String] = []
        for certificate in plan.certificates {
            files.append(("\(Self.certificates)/\(certificate.file)", certificate.pem))
            let names = certificate.hosts.isEmpty ? "" : " " + certificate.hosts.joined(separator: " ")
            list.append("\(directory)/\(Self.certificates)/\(certificate.file)\(names)")
        }
        files.append(("certificates.list", list.map { $0 + "\n" }.joined()))
        return files
    }

    private func map(_ isWanted: (BalancerPlan.Route.Match) -> Bool) -> String {
        plan.routes.filter { isWanted($0.match) }.map { route in
            var path = route.path
            if route.match == .prefix {
                while path.hasSuffix("/") { path.removeLast() }
                path += "/"
            }
            let host = route.host.hasPrefix("*.") ? String(route.host.dropFirst(1)) : route.host
            return "\(host)\(path) \(route.backend)\n"
        }.joined()
    }

    private var text: String {
        var lines = [
            "# Written by apus; changes are lost.",
            "global",
            "    stats socket \(directory)/admin.sock mode 600 level admin expose-fd listeners",
            "    hard-stop-after 30m",
            "    ssl-default-bind-options ssl-min-ver TLSv1.2",
            "defaults",
            "    mode http",
            "    timeout connect 5s",
            "    timeout client 60s",
            "    timeout server 60s",
            "    timeout http-request 30s",
            "    timeout queue 5s",
            "    timeout tunnel 1h",
            "    option redispatch",
            "    retries 3",
        ]
        lines += frontend
        for listener in plan.listeners {
            lines.append("frontend port_\(listener.port)")
            lines.append("    mode \(listener.isHTTP ? "http" : "tcp")")
            lines.append("    bind \(listener.address):\(listener.port)")
            if listener.isHTTP { lines += Self.forwarding }
            lines.append("    default_backend \(listener.backend)")
        }
        for (name, backend) in plan.backends.sorted(by: { $0.key < $1.key }) {
            lines += Self.backend(name, backend, plan)
        }
        lines += ["backend none", "    http-request return status 404 content-type text/plain string \"no route\\n\""]
        return lines.map { $0 + "\n" }.joined()
    }

    private static let forwarding = [
        "    option forwardfor",
        "    http-request set-header X-Forwarded-Proto https if { ssl_fc }",
        "    http-request set-header X-Forwarded-Proto http if !{ ssl_fc }",
    ]

    private var frontend: [String] {
        guard plan.httpPort > 0 || plan.httpsPort > 0 else { return [] }
        var lines = ["frontend shared"]
        if plan.httpPort > 0 { lines.append("    bind *:\(plan.httpPort)") }
        if plan.httpsPort > 0, !plan.certificates.isEmpty {
            lines.append("    bind *:\(plan.httpsPort) ssl crt-list \(directory)/certificates.list alpn h2,http/1.1")
        }
        lines += Self.forwarding
        lines += [
            "    http-request set-var(txn.host) req.hdr(host),field(1,:),lower",
            "    http-request set-var(txn.wild) var(txn.host),regsub(^[^.]*,)",
            "    http-request set-var(txn.path) path",
            "    http-request set-var(txn.dir) path,concat(/)",
        ]
        // The host itself, then a wildcard, then rules for every host.
        for source in ["var(txn.host),concat(,txn.PART)", "var(txn.wild),concat(,txn.PART)", "var(txn.PART)"] {
            for (part, map) in [("path", "map(\(directory)/exact.map)"), ("dir", "map_beg(\(directory)/prefix.map)")] {
                let key = source.replacing("PART", with: part)
                lines.append(
                    "    http-request set-var(txn.backend) \(key),\(map) if !{ var(txn.backend) -m found }")
            }
        }
        lines.append("    use_backend %[var(txn.backend)] if { var(txn.backend) -m found }")
        lines.append("    default_backend \(plan.defaultBackend ?? "none")")
        return lines
    }

    private static func backend(_ name: String, _ backend: BalancerPlan.Backend, _ plan: BalancerPlan) -> [String] {
        var lines = [
            "backend \(name)", "    mode \(backend.isHTTP ? "http" : "tcp")", "    balance \(backend.balance)",
        ]
        if backend.isHTTP {
            if backend.redirectsToHTTPS, plan.httpsPort > 0 {
                lines.append(
                    plan.httpsPort == 443
                        ? "    http-request redirect scheme https code 301 if !{ ssl_fc }"
                        : "    http-request redirect code 301 location "
                            + "https://%[req.hdr(host),field(1,:)]:\(plan.httpsPort)%[capture.req.uri] if !{ ssl_fc }")
            }
            if backend.isStrict {
                lines.append("    http-response set-header Strict-Transport-Security max-age=15768000 if { ssl_fc }")
            }
            if !backend.serverPath.isEmpty {
                lines.append("    http-request set-path \(backend.serverPath)%[path]")
            }
            if backend.isSticky { lines.append("    cookie APUS_SERVER insert indirect nocache") }
        } else if backend.isSticky {
            lines += ["    stick-table type ip size 100k expire 1h", "    stick on src"]
        }
        for server in backend.servers {
            let id = "s" + ServiceCompiler.shortHash("\(server.address):\(server.port)")
            let cookie = backend.isHTTP && backend.isSticky ? " cookie \(id)" : ""
            lines.append("    server \(id) \(server.address):\(server.port)\(cookie)")
        }
        return lines
    }
}
