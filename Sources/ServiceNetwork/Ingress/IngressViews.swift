import JSON
import MesosModel
import ObjectModel

/// What the ingress reads of an Ingress.
struct IngressView: Sendable, Equatable {
    struct Target: Sendable, Equatable {
        var service: String
        /// Empty when the port has a number.
        var portName: String
        var port: Int

        init?(_ json: JSON) {
            guard let name = json["service"]["name"].string else { return nil }
            service = name
            portName = json["service"]["port"]["name"].string ?? ""
            port = json["service"]["port"]["number"].int ?? 0
        }
    }
    struct Path: Sendable, Equatable {
        var host: String
        var path: String
        var isExact: Bool
        var target: Target
    }
    struct Secured: Sendable, Equatable {
        var hosts: [String]
        var secret: String
    }
    var key: ObjectKey
    var created: Int64
    var className: String?
    var paths: [Path]
    var defaultTarget: Target?
    var secured: [Secured]
    var isSticky: Bool
    var redirectsToHTTPS: Bool
    /// Addresses that its status says.
    var addresses: [String]

    init(_ object: Object) {
        let tree = object.tree
        let spec = tree["spec"]
        let annotations = tree["metadata"]["annotations"]
        key = object.key
        created = object.metadata.creationTimestamp?.microseconds ?? 0
        className = spec["ingressClassName"].string ?? annotations["kubernetes.io/ingress.class"].string
        paths = spec["rules"].elements.flatMap { rule -> [Path] in
            rule["http"]["paths"].elements.compactMap { path in
                guard let target = Target(path["backend"]) else { return nil }
                return Path(
                    host: rule["host"].string ?? "", path: path["path"].string ?? "/",
                    isExact: path["pathType"].string == "Exact", target: target)
            }
        }
        defaultTarget = Target(spec["defaultBackend"])
        secured = spec["tls"].elements.compactMap { entry in
            guard let secret = entry["secretName"].string, !secret.isEmpty else { return nil }
            return Secured(hosts: entry["hosts"].elements.compactMap(\.string), secret: secret)
        }
        isSticky = annotations["ingress.apus.dev/affinity"].string == "cookie"
        redirectsToHTTPS = annotations["ingress.apus.dev/ssl-redirect"].string == "true"
        addresses = tree["status"]["loadBalancer"]["ingress"].elements.compactMap { $0["ip"].string }
    }
}

/// What is read of an IngressClass.
struct IngressClassView: Sendable, Equatable {
    static let controller = "apus.dev/ingress"
    static let defaultKey = "ingressclass.kubernetes.io/is-default-class"
    var name: String
    var isOurs: Bool
    /// What its annotation says; nil: nothing.
    var isDefault: Bool?

    init(_ object: Object) {
        name = object.name
        isOurs = object.tree["spec"]["controller"].string == Self.controller
        isDefault = object.tree["metadata"]["annotations"][Self.defaultKey].string.map { $0 == "true" }
    }
}

/// Certificate and key of a TLS secret, as one text.
struct CertificateView: Sendable, Equatable {
    var pem: String

    init?(_ object: Object) {
        let data = object.tree["data"]
        guard let certificate = Base64.decode((data["tls.crt"].string ?? "").utf8), !certificate.isEmpty,
            let key = Base64.decode((data["tls.key"].string ?? "").utf8), !key.isEmpty
        else { return nil }
        pem = String(decoding: certificate, as: UTF8.self) + "\n" + String(decoding: key, as: UTF8.self) + "\n"
    }
}

/// What is read of a Marathon app: its labels for a balancer, and which of its ports are meant.
struct BalancedApp: Sendable, Equatable {
    struct Port: Sendable, Equatable {
        var index: Int
        var servicePort: Int
        /// Where instances with a network of their own and no host port answer.
        var containerPort: Int?
        var labels: [String: String]
    }
    /// The value of the label of its instances.
    var label: String
    var ports: [Port]

    /// Nil for an app that no balancer serves.
    init?(_ object: Object) {
        let spec = object.tree["spec"]
        let labels = spec["labels"].stringMap.filter { $0.key.hasPrefix("HAPROXY_") }
        if labels.isEmpty { return nil }
        label = MesosNames.labelValue(ofApp: spec["id"].string ?? object.name)
        let mappings = spec["container"]["portMappings"].elements + spec["container"]["docker"]["portMappings"].elements
        let definitions = spec["portDefinitions"].elements
        let isMapped = !mappings.isEmpty
        ports = []
        for (index, port) in (isMapped ? mappings : definitions).enumerated() {
            var own: [String: String] = [:]
            for (key, value) in labels where key.hasPrefix("HAPROXY_\(index)_") {
                own[String(key.dropFirst("HAPROXY_\(index)_".count))] = value
            }
            guard let group = own["GROUP"] ?? labels["HAPROXY_GROUP"], !group.isEmpty,
                own["ENABLED"]?.lowercased() != "false", !own.isEmpty || labels["HAPROXY_GROUP"] != nil
            else { continue }
            let isInside = isMapped && port["hostPort"].isNull
            ports.append(
                Port(
                    index: index,
                    servicePort: own["PORT"].flatMap { Int($0) }
                        ?? (isMapped ? port["servicePort"].int : port["port"].int) ?? 0,
                    containerPort: isInside ? port["containerPort"].int : nil, labels: own))
        }
        if ports.isEmpty { return nil }
    }
}

/// What is read of an instance of a Marathon app.
struct BalancedInstance: Sendable, Equatable {
    var app: String
    var hostIP: String
    var podIP: String
    var ports: [Int]
    var isReady: Bool

    init(_ object: Object) {
        let status = object.tree["status"]
        app = object.metadata.labels[MesosNames.marathonAppLabel] ?? ""
        hostIP = status["hostIP"].string ?? ""
        podIP = status["podIP"].string ?? ""
        let text = object.tree["metadata"]["annotations"][MesosNames.assignedPortsAnnotation].string ?? ""
        ports = text.split(separator: ",").map { Int($0.filter { $0 != " " }) ?? 0 }
        isReady =
            !object.metadata.isTerminating && status["phase"].string == "Running"
            && status["conditions"].elements.contains { $0["type"].string == "Ready" && $0["status"].string == "True" }
    }
}
