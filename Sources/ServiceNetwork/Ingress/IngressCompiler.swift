import ObjectModel

/// Turns ingresses, services and labelled apps into a plan for the balancer. Pure: everything it needs is handed in.
struct IngressCompiler {
    var httpPort: Int
    var httpsPort: Int
    /// Ingresses that are ours, in any order.
    var ingresses: [IngressView]
    var service: (ObjectKey) -> ServiceView?
    var slices: (ObjectKey) -> [SliceView]
    var certificate: (ObjectKey) -> CertificateView?
    var apps: [BalancedApp]
    /// Ready instances by the label of their app.
    var instances: [String: [BalancedInstance]]
    /// For hosts without a certificate of their own.
    var standardCertificate: String?

    func plan() -> BalancerPlan {
        var plan = BalancerPlan(httpPort: httpPort, httpsPort: httpsPort)
        if httpsPort > 0, let standardCertificate {
            plan.certificates.append(.init(file: "standard.pem", pem: standardCertificate, hosts: []))
        }
        var taken: Set<String> = []
        // Of two that claim the same, the older one has it.
        for ingress in ingresses.sorted(by: { ($0.created, $0.key) < ($1.created, $1.key) }) {
            add(ingress, to: &plan, &taken)
        }
        for app in apps.sorted(by: { $0.label < $1.label }) { add(app, to: &plan, &taken) }
        return plan
    }

    private func add(_ route: BalancerPlan.Route, to plan: inout BalancerPlan, _ taken: inout Set<String>) {
        guard taken.insert("\(route.host) \(route.path) \(route.match)").inserted else { return }
        plan.routes.append(route)
    }

    // MARK: Ingresses

    private func add(_ ingress: IngressView, to plan: inout BalancerPlan, _ taken: inout Set<String>) {
        for path in ingress.paths {
            guard let text = BalancerText.path(path.path.isEmpty ? "/" : path.path) else { continue }
            var host = ""
            if !path.host.isEmpty {
                guard let safe = BalancerText.host(path.host) else { continue }
                host = safe
            }
            let backend = backend(path.target, of: ingress, &plan)
            add(
                .init(host: host, path: text, match: path.isExact ? .exact : .prefix, backend: backend), to: &plan,
                &taken)
        }
        if let target = ingress.defaultTarget {
            let backend = backend(target, of: ingress, &plan)
            if ingress.paths.isEmpty {
                if plan.defaultBackend == nil { plan.defaultBackend = backend }
            } else {
                // The rest of the hosts that it is about.
                for host in Set(ingress.paths.map(\.host)).sorted() {
                    let safe = host.isEmpty ? "" : BalancerText.host(host)
                    guard let safe else { continue }
                    add(.init(host: safe, path: "/", match: .prefix, backend: backend), to: &plan, &taken)
                }
            }
        }
        guard httpsPort > 0 else { return }
        for secured in ingress.secured {
            let key = ObjectKey(namespace: ingress.key.namespace, name: secured.secret)
            guard let found = certificate(key) else { continue }
            let file = BalancerText.name(key.namespace, key.name) + ".pem"
            let hosts = secured.hosts.compactMap(BalancerText.host)
            if let index = plan.certificates.firstIndex(where: { $0.file == file }) {
                let known = plan.certificates[index].hosts
                plan.certificates[index].hosts = known.isEmpty || hosts.isEmpty ? [] : known + hosts
            } else {
                plan.certificates.append(.init(file: file, pem: found.pem, hosts: hosts))
            }
        }
    }

    /// Files the backend of a service's port.
    private func backend(_ target: IngressView.Target, of ingress: IngressView, _ plan: inout BalancerPlan) -> String {
        let key = ObjectKey(namespace: ingress.key.namespace, name: target.service)
        let port = target.portName.isEmpty ? String(target.port) : target.portName
        let options = "\(ingress.isSticky) \(ingress.redirectsToHTTPS)"
        let name = BalancerText.name(key.namespace, key.name, port, options)
        guard plan.backends[name] == nil else { return name }
        var backend = BalancerPlan.Backend()
        backend.isSticky = ingress.isSticky
        backend.redirectsToHTTPS = ingress.redirectsToHTTPS
        let match = service(key)?.ports.first {
            target.portName.isEmpty ? $0.port == target.port : $0.name == target.portName
        }
        if let match, match.transport == "tcp" {
            var servers: Set<BalancerPlan.Server> = []
            for slice in slices(key) {
                guard let port = slice.ports.first(where: { $0.name == match.name && $0.transport == "tcp" }) else {
                    continue
                }
                for endpoint in slice.endpoints where endpoint.isReady {
                    servers.insert(.init(address: endpoint.address, port: port.port))
                }
            }
            backend.servers = servers.sorted { ($0.address, $0.port) < ($1.address, $1.port) }
        }
        plan.backends[name] = backend
        return name
    }

    // MARK: Labels of marathon-lb

    private func add(_ app: BalancedApp, to plan: inout BalancerPlan, _ taken: inout Set<String>) {
        for port in app.ports {
            let hosts = (port.labels["VHOST"] ?? "").split(separator: ",").compactMap {
                BalancerText.host(String($0.filter { $0 != " " }))
            }
            let isHTTP = port.labels["MODE"].map { $0.lowercased() == "http" } ?? !hosts.isEmpty
            let name = BalancerText.name("marathon", app.label, String(port.index))
            var backend = BalancerPlan.Backend()
            backend.isHTTP = isHTTP
            backend.balance =
                port.labels["BALANCE"].flatMap { BalancerText.algorithms.contains($0) ? $0 : nil } ?? "roundrobin"
            backend.isSticky = Self.isTrue(port.labels["STICKY"])
            backend.redirectsToHTTPS = Self.isTrue(port.labels["REDIRECT_TO_HTTPS"])
            backend.isStrict = Self.isTrue(port.labels["USE_HSTS"])
            backend.serverPath =
                port.labels["HTTP_BACKEND_PROXYPASS_PATH"].flatMap(BalancerText.plainPath).map {
                    $0.hasSuffix("/") ? String($0.dropLast()) : $0
                } ?? ""
            backend.servers = servers(of: port, app)
            plan.backends[name] = backend
            for host in hosts {
                let path = BalancerText.path(port.labels["PATH"] ?? "/") ?? "/"
                add(.init(host: host, path: path, match: .text, backend: name), to: &plan, &taken)
            }
            let isFree = !plan.listeners.contains { $0.port == port.servicePort }
            if (1...65535).contains(port.servicePort), isFree, port.servicePort != httpPort,
                port.servicePort != httpsPort, let address = BalancerText.address(port.labels["BIND_ADDR"] ?? "*")
            {
                plan.listeners.append(
                    .init(address: address, port: port.servicePort, isHTTP: isHTTP, backend: name))
            }
        }
    }

    private func servers(of port: BalancedApp.Port, _ app: BalancedApp) -> [BalancerPlan.Server] {
        let servers = (instances[app.label] ?? []).compactMap { instance -> BalancerPlan.Server? in
            if let inside = port.containerPort, inside > 0 {
                return instance.podIP.isEmpty ? nil : .init(address: instance.podIP, port: inside)
            }
            guard port.index < instance.ports.count, instance.ports[port.index] > 0, !instance.hostIP.isEmpty else {
                return nil
            }
            return .init(address: instance.hostIP, port: instance.ports[port.index])
        }
        return Set(servers).sorted { ($0.address, $0.port) < ($1.address, $1.port) }
    }

    private static func isTrue(_ text: String?) -> Bool {
        ["true", "1", "yes"].contains(text?.lowercased() ?? "")
    }
}
