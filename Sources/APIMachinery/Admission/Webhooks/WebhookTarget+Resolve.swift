import JSON
import ObjectModel

extension Machinery {
    /// Finds where a `clientConfig` points to. A service is resolved to its ready endpoints, so that a webhook is reached
    /// whether or not a service proxy runs beside this server.
    func webhookTarget(_ clientConfig: JSON, timeout: Duration) throws(WebhookFailure) -> WebhookTarget {
        var authorities: [UInt8] = []
        if let text = clientConfig["caBundle"].string, !text.isEmpty {
            guard let pem = Base64.decode(text.utf8) else { throw WebhookFailure("the caBundle is not base64") }
            authorities = pem
        }
        let query = "timeout=\(timeout.components.seconds)s"
        let service = clientConfig["service"]
        guard service.isNull else { return try serviceTarget(service, query, authorities) }
        guard let text = clientConfig["url"].string, let url = WebhookURL(text) else {
            throw WebhookFailure("the clientConfig has no service and no valid https url")
        }
        let path = url.path + (url.query.isEmpty ? "?" : "?\(url.query)&") + query
        let host = url.host.contains(":") ? "[\(url.host)]" : url.host
        return WebhookTarget(
            host: url.host, port: url.port, path: path, addresses: [], authorities: authorities,
            url: "https://\(host)\(url.hasPort ? ":\(url.port)" : "")\(path)")
    }

    private func serviceTarget(_ reference: JSON, _ query: String, _ authorities: [UInt8]) throws(WebhookFailure)
        -> WebhookTarget
    {
        let key = ObjectKey(
            namespace: reference["namespace"].string ?? "", name: reference["name"].string ?? "")
        let port = reference["port"].int ?? 443
        var path = reference["path"].string ?? ""
        if !path.hasPrefix("/") { path = "/" + path }
        path += "?\(query)"
        let host = "\(key.name).\(key.namespace).svc"
        let url = "https://\(host):\(port)\(path)"
        func failure(_ why: String) -> WebhookFailure { WebhookFailure("Post \"\(url)\": \(why)") }
        guard let found = cached(.services, key) else { throw failure("service \"\(key.name)\" not found") }
        let spec = found.tree["spec"]
        var target = WebhookTarget(
            host: host, port: port, path: path, addresses: [], authorities: authorities, url: url)
        if spec["type"].string == "ExternalName" {
            target.addresses = [Endpoint(address: spec["externalName"].string ?? "", port: port)]
            return target
        }
        guard let servicePort = spec["ports"].elements.first(where: { $0["port"].int == port }) else {
            throw failure("no service port \(port) found for service \"\(key.name)\"")
        }
        target.addresses = endpoints(of: key, portNamed: servicePort["name"].string ?? "")
        if target.addresses.isEmpty { throw failure("no endpoints available for service \"\(key.name)\"") }
        return target
    }

    /// Addresses that serve a port of a service now.
    private func endpoints(of service: ObjectKey, portNamed name: String) -> [Endpoint] {
        var result: [Endpoint] = []
        for slice in cache(.endpointSlices)?.all(namespace: service.namespace) ?? []
        where slice.metadata.labels["kubernetes.io/service-name"] == service.name {
            let tree = slice.tree
            guard let port = tree["ports"].elements.first(where: { ($0["name"].string ?? "") == name })?["port"].int
            else { continue }
            for endpoint in tree["endpoints"].elements where endpoint["conditions"]["ready"].bool != false {
                if let address = endpoint["addresses"][0].string {
                    result.append(Endpoint(address: address, port: port))
                }
            }
        }
        return result
    }
}

/// The parts of an `https` URL without user, fragment or anything else that a webhook's must not have.
struct WebhookURL: Hashable {
    /// Without brackets.
    var host: String
    var port = 443
    var hasPort = false
    /// Beginning with `/`.
    var path: String
    var query = ""

    /// Nil when the text is no absolute `https` URL.
    init?(_ text: String) {
        guard text.hasPrefix("https://") else { return nil }
        var rest = text.dropFirst("https://".count)
        if let hash = rest.firstIndex(of: "#") { rest = rest[..<hash] }
        if let mark = rest.firstIndex(of: "?") {
            query = String(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        path = slash == rest.endIndex ? "/" : String(rest[slash...])
        var authority = rest[..<slash]
        if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }
        if authority.hasPrefix("["), let close = authority.firstIndex(of: "]") {
            host = String(authority[authority.index(after: authority.startIndex)..<close])
            authority = authority[authority.index(after: close)...]
        } else {
            let colon = authority.firstIndex(of: ":") ?? authority.endIndex
            host = String(authority[..<colon])
            authority = authority[colon...]
        }
        if authority.hasPrefix(":") {
            guard let number = UInt16(authority.dropFirst()), number > 0 else { return nil }
            port = Int(number)
            hasPort = true
        } else if !authority.isEmpty {
            return nil
        }
        guard !host.isEmpty, !(text.unicodeScalars.contains { $0.value <= 0x20 || $0.value == 0x7f }) else {
            return nil
        }
    }
}
