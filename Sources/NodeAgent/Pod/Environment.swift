import JSON
import ObjectModel
import OrderedCollections

/// What the agent reads of a `v1 Service`.
struct ServiceView: Sendable {
    struct Port: Sendable {
        var name: String
        var port: Int
        var transport: String
    }
    var key: ObjectKey
    var clusterIP: String
    var ports: [Port]
    var selector: [String: String]

    init(_ object: Object) {
        let spec = object.tree["spec"]
        key = object.key
        clusterIP = spec["clusterIP"].string ?? ""
        ports = spec["ports"].elements.map {
            Port(name: $0["name"].string ?? "", port: $0["port"].int ?? 0, transport: $0["protocol"].string ?? "TCP")
        }
        selector = spec["selector"].stringMap
    }

    func selects(_ pod: Pod) -> Bool {
        guard key.namespace == pod.namespace, !selector.isEmpty else { return false }
        return selector.allSatisfy { pod.labels[$0.key] == $0.value }
    }
}

/// Builds a container's environment from everywhere it may come from.
struct EnvironmentBuilder {
    var pod: Pod
    var services: [ServiceView]
    var fields: DownwardFields
    /// The object, or nil when it does not exist.
    var configMap: (String) -> JSON?
    var secret: (String) -> JSON?
    /// Text of a file in an emptyDir volume of the pod: (volume, path).
    var file: (String, String) -> String?

    /// The variables in order; a later definition wins over an earlier one and over service variables.
    /// - Throws: `ConfigurationError` naming what is missing.
    func build(_ container: ContainerSpec) throws(ConfigurationError) -> OrderedDictionary<String, String> {
        var result = serviceVariables()
        for source in container.environmentFrom { try include(source, into: &result) }
        for entry in container.environment {
            guard let name = entry["name"].string else { continue }
            if !entry["valueFrom"].isNull {
                guard let value = try resolve(entry["valueFrom"], container) else { continue }
                result[name] = value
            } else {
                result[name] = Expansion.expand(entry["value"].string ?? "") { result[$0] }
            }
        }
        return result
    }

    private func include(_ source: JSON, into result: inout OrderedDictionary<String, String>)
        throws(ConfigurationError)
    {
        let prefix = source["prefix"].string ?? ""
        let isSecret = !source["secretRef"].isNull
        let reference = isSecret ? source["secretRef"] : source["configMapRef"]
        let name = reference["name"].string ?? ""
        guard let object = isSecret ? secret(name) : configMap(name) else {
            if reference["optional"].bool == true { return }
            throw ConfigurationError("\(isSecret ? "secret" : "configmap") \"\(name)\" not found")
        }
        for (key, value) in object["data"].members.sorted(by: { $0.key < $1.key }) {
            guard !key.isEmpty, !key.contains("="), let text = value.string else { continue }
            result[prefix + key] =
                isSecret ? String(decoding: Base64.decode(text.utf8) ?? [], as: UTF8.self) : text
        }
    }

    /// Nil when the source is absent and optional.
    private func resolve(_ source: JSON, _ container: ContainerSpec) throws(ConfigurationError) -> String? {
        if let path = source["fieldRef"]["fieldPath"].string { return try fields.field(path) }
        if let resource = source["resourceFieldRef"]["resource"].string {
            let reference = source["resourceFieldRef"]
            let target = reference["containerName"].string.flatMap { pod.container(named: $0) } ?? container
            return try fields.resource(
                resource, container: target, divisor: ResourceRequirements.quantities(["d": reference["divisor"]])["d"])
        }
        if !source["configMapKeyRef"].isNull {
            let reference = source["configMapKeyRef"]
            let (name, key) = (reference["name"].string ?? "", reference["key"].string ?? "")
            guard let object = configMap(name) else {
                if reference["optional"].bool == true { return nil }
                throw ConfigurationError("configmap \"\(name)\" not found")
            }
            if let text = object["data"][key].string { return text }
            if reference["optional"].bool == true { return nil }
            throw ConfigurationError("couldn't find key \(key) in ConfigMap \(pod.namespace)/\(name)")
        }
        if !source["secretKeyRef"].isNull {
            let reference = source["secretKeyRef"]
            let (name, key) = (reference["name"].string ?? "", reference["key"].string ?? "")
            guard let object = secret(name) else {
                if reference["optional"].bool == true { return nil }
                throw ConfigurationError("secret \"\(name)\" not found")
            }
            if let text = object["data"][key].string {
                return String(decoding: Base64.decode(text.utf8) ?? [], as: UTF8.self)
            }
            if reference["optional"].bool == true { return nil }
            throw ConfigurationError("couldn't find key \(key) in Secret \(pod.namespace)/\(name)")
        }
        if !source["fileKeyRef"].isNull {
            let reference = source["fileKeyRef"]
            let (volume, path) = (reference["volumeName"].string ?? "", reference["path"].string ?? "")
            let key = reference["key"].string ?? ""
            for line in (file(volume, path) ?? "").split(separator: "\n") {
                guard let equals = line.firstIndex(of: "="), line[..<equals] == key else { continue }
                var value = line[line.index(after: equals)...]
                if value.count >= 2, value.first == "'", value.last == "'" { value = value.dropFirst().dropLast() }
                return String(value)
            }
            if reference["optional"].bool == true { return nil }
            throw ConfigurationError("couldn't find key \(key) in file \(path) of volume \(volume)")
        }
        return ""
    }

    /// Docker-link style variables of the services that the pod can see.
    private func serviceVariables() -> OrderedDictionary<String, String> {
        var result: OrderedDictionary<String, String> = [:]
        let visible = services.filter { service in
            guard !service.clusterIP.isEmpty, service.clusterIP != "None" else { return false }
            if service.key == ObjectKey(namespace: "default", name: "kubernetes") { return true }
            return pod.spec.enableServiceLinks && service.key.namespace == pod.namespace
        }
        // The pod's own namespace comes last and wins over a service of that name elsewhere.
        let ordered = visible.sorted { left, right in
            let (a, b) = (left.key.namespace == pod.namespace, right.key.namespace == pod.namespace)
            return a == b ? left.key < right.key : !a
        }
        for service in ordered { Self.add(service, to: &result) }
        return result
    }

    private static func add(_ service: ServiceView, to result: inout OrderedDictionary<String, String>) {
        let name = variableName(service.key.name)
        let host = service.clusterIP.contains(":") ? "[\(service.clusterIP)]" : service.clusterIP
        guard let first = service.ports.first else { return }
        result["\(name)_SERVICE_HOST"] = service.clusterIP
        result["\(name)_SERVICE_PORT"] = String(first.port)
        for port in service.ports where !port.name.isEmpty {
            result["\(name)_SERVICE_PORT_\(variableName(port.name))"] = String(port.port)
        }
        result["\(name)_PORT"] = "\(first.transport.lowercased())://\(host):\(first.port)"
        for port in service.ports {
            let prefix = "\(name)_PORT_\(port.port)_\(port.transport.uppercased())"
            result[prefix] = "\(port.transport.lowercased())://\(host):\(port.port)"
            result["\(prefix)_PROTO"] = port.transport.lowercased()
            result["\(prefix)_PORT"] = String(port.port)
            result["\(prefix)_ADDR"] = service.clusterIP
        }
    }
    private static func variableName(_ name: String) -> String {
        String(name.uppercased().map { $0 == "-" || $0 == "." ? "_" : $0 })
    }
}
