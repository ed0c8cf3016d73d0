import JSON
import ObjectModel

extension Problems {
    /// What regular, init and ephemeral containers have in common.
    /// - Parameter names: the names of all containers of the pod so far.
    mutating func container(_ container: JSON, _ path: String, volumes: Set<String>, names: inout Set<String>) {
        let name = container["name"].string ?? ""
        if name.isEmpty {
            add(.required("\(path).name"))
        } else {
            syntax("\(path).name", name, Names.dns1123LabelProblems(name))
            if !names.insert(name).inserted { add(.duplicate("\(path).name", .string(name))) }
        }
        let image = container["image"].string ?? ""
        if image.isEmpty {
            add(.required("\(path).image"))
        } else if image.first?.isWhitespace == true || image.last?.isWhitespace == true {
            add(.invalid("\(path).image", .string(image), "must not have leading or trailing whitespace"))
        }
        choice(
            "\(path).imagePullPolicy", container["imagePullPolicy"], ["Always", "IfNotPresent", "Never"], isNeeded: true
        )
        choice(
            "\(path).terminationMessagePolicy", container["terminationMessagePolicy"],
            ["File", "FallbackToLogsOnError"], isSorted: false)
        for resize in container["resizePolicy"].elements {
            choice("\(path).resizePolicy", resize["resourceName"], ["cpu", "memory"], isNeeded: true)
            choice(
                "\(path).resizePolicy", resize["restartPolicy"], ["NotRequired", "RestartContainer"], isNeeded: true)
        }
        environment(container, path)
        mounts(container["volumeMounts"], "\(path).volumeMounts", volumes: volumes)
        resources(container["resources"], "\(path).resources")
        identifiers(container["securityContext"], "\(path).securityContext")
        let security = container["securityContext"]
        choice("\(path).securityContext.procMount", security["procMount"], ["Default", "Unmasked"])
        if security["allowPrivilegeEscalation"].bool == false {
            if security["privileged"].bool == true {
                add(
                    .invalid(
                        "\(path).securityContext", security,
                        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
            }
            if security["capabilities"]["add"].elements.contains("CAP_SYS_ADMIN") {
                add(
                    .invalid(
                        "\(path).securityContext", security,
                        "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
            }
        }
        for (index, device) in container["volumeDevices"].elements.enumerated() {
            let field = "\(path).volumeDevices[\(index)]"
            need("\(field).name", device["name"])
            need("\(field).devicePath", device["devicePath"])
            if let name = device["name"].string, !name.isEmpty, !volumes.contains(name) {
                add(.notFound("\(field).name", .string(name)))
            }
        }
    }

    private mutating func environment(_ container: JSON, _ path: String) {
        for (index, variable) in container["env"].elements.enumerated() {
            let field = "\(path).env[\(index)]"
            let name = variable["name"].string ?? ""
            if name.isEmpty {
                add(.required("\(field).name"))
            } else {
                syntax("\(field).name", name, Names.environmentNameProblems(name))
            }
            let source = variable["valueFrom"]
            guard !source.isNull else { continue }
            let kinds = source.members.keys
            if kinds.isEmpty {
                add(
                    .invalid(
                        "\(field).valueFrom", "",
                        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
                    ))
            }
            if !(variable["value"].string ?? "").isEmpty {
                add(.invalid("\(field).valueFrom", "", "may not be specified when `value` is not empty"))
            }
            if kinds.count > 1 {
                add(.invalid("\(field).valueFrom", "", "may not have more than one field specified at a time"))
            }
            for kind in ["configMapKeyRef", "secretKeyRef"] where !source[kind].isNull {
                need("\(field).valueFrom.\(kind).name", source[kind]["name"])
                need("\(field).valueFrom.\(kind).key", source[kind]["key"])
            }
            if !source["fieldRef"].isNull {
                fieldReference(source["fieldRef"], "\(field).valueFrom.fieldRef", ofFiles: false)
            }
            if !source["resourceFieldRef"].isNull {
                resourceReference(source["resourceFieldRef"], "\(field).valueFrom.resourceFieldRef")
            }
        }
        for (index, source) in container["envFrom"].elements.enumerated() {
            let field = "\(path).envFrom[\(index)]"
            if let prefix = source["prefix"].string, !prefix.isEmpty {
                syntax("\(field).prefix", prefix, Names.environmentNameProblems(prefix))
            }
            let kinds = ["configMapRef", "secretRef"].filter { !source[$0].isNull }
            let whole = "\(path).envFrom"
            if kinds.isEmpty { add(.invalid(whole, "", "must specify one of: `configMapRef` or `secretRef`")) }
            if kinds.count > 1 { add(.invalid(whole, "", "may not have more than one field specified at a time")) }
            for kind in kinds { need("\(field).\(kind).name", source[kind]["name"]) }
        }
    }

    /// A field of the pod as a variable or, as `ofFiles`, as a file's content.
    mutating func fieldReference(_ reference: JSON, _ path: String, ofFiles: Bool) {
        let text = reference["fieldPath"].string ?? ""
        if text.isEmpty { return add(.required("\(path).fieldPath")) }
        let maps = ["metadata.annotations", "metadata.labels"]
        let common = ["metadata.name", "metadata.namespace", "metadata.uid"]
        let known =
            ofFiles
            ? common + maps
            : common + [
                "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP",
                "status.podIPs",
            ]
        if let map = maps.first(where: { text.hasPrefix("\($0)['") }), text.hasSuffix("']") {
            let key = String(text.dropFirst(map.count + 2).dropLast(2))
            return syntax("\(path).fieldPath", key, Names.qualifiedNameProblems(key))
        }
        if known.contains(text) { return }
        let isElsewhere = (common + maps + ["spec.nodeName", "spec.serviceAccountName", "spec.hostname"]).contains(text)
        if isElsewhere
            || text.hasPrefix("status.")
                && ["hostIP", "hostIPs", "podIP", "podIPs", "phase"].contains(
                    String(text.dropFirst(7)))
        {
            return add(.notSupported("\(path).fieldPath", .string(text), known))
        }
        add(
            .invalid(
                "\(path).fieldPath", .string(text),
                "error converting fieldPath: field label not supported: \(text)"))
    }

    mutating func resourceReference(_ reference: JSON, _ path: String) {
        let name = reference["resource"].string ?? ""
        if name.isEmpty { return add(.required("\(path).resource")) }
        let known = ["limits", "requests"].flatMap { list in
            ["cpu", "ephemeral-storage", "memory"].map { "\(list).\($0)" }
        }
        let pages = ["limits.hugepages-", "requests.hugepages-"]
        if !known.contains(name), !pages.contains(where: { name.hasPrefix($0) }) {
            add(.notSupported("\(path).resource", .string(name), known))
        }
    }

    private mutating func mounts(_ mounts: JSON, _ path: String, volumes: Set<String>) {
        var places: Set<String> = []
        for (index, mount) in mounts.elements.enumerated() {
            let field = "\(path)[\(index)]"
            let name = mount["name"].string ?? ""
            if name.isEmpty {
                add(.required("\(field).name"))
            } else if !volumes.contains(name) {
                add(.notFound("\(field).name", .string(name)))
            }
            let place = mount["mountPath"].string ?? ""
            if place.isEmpty {
                add(.required("\(field).mountPath"))
            } else if !places.insert(place).inserted {
                add(.invalid("\(field).mountPath", .string(place), "must be unique"))
            }
            for sub in ["subPath", "subPathExpr"] {
                let text = mount[sub].string ?? ""
                if text.hasPrefix("/") { add(.invalid("\(path).\(sub)", .string(text), "must be a relative path")) }
                if text.split(separator: "/").contains("..") {
                    add(.invalid("\(path).\(sub)", .string(text), "must not contain '..'"))
                }
            }
            choice(
                "\(path).mountPropagation", mount["mountPropagation"], ["None", "HostToContainer", "Bidirectional"])
        }
    }

    /// Requests and limits: quantities, not negative, requests within limits.
    mutating func resources(_ resources: JSON, _ path: String) {
        for list in ["limits", "requests"] {
            for (name, value) in resources[list].members {
                let field = "\(path).\(list)[\(name)]"
                syntax("\(path).\(list)", name, Names.qualifiedNameProblems(name))
                if !name.contains("/"), Names.qualifiedNameProblems(name).isEmpty,
                    !["cpu", "memory", "ephemeral-storage"].contains(name), !name.hasPrefix("hugepages-")
                {
                    add(.invalid(field, .string(name), "must be a standard resource type or fully qualified"))
                    add(.invalid(field, .string(name), "must be a standard resource for containers"))
                }
                if let quantity = Quantity(value), quantity.isNegative {
                    add(.invalid(field, value, "must be greater than or equal to 0"))
                }
                if name.contains("/"), let quantity = Quantity(value), Quantity(quantity.value) != quantity {
                    add(.invalid(field, value, "must be an integer"))
                }
            }
        }
        for (name, value) in resources["requests"].members {
            guard let request = Quantity(value) else { continue }
            let limit = Quantity(resources["limits"][name])
            if let limit, request > limit {
                add(
                    .invalid(
                        "\(path).requests", value,
                        "must be less than or equal to \(name) limit of \(limit.canonical)"))
            } else if name.contains("/"), limit == nil {
                add(.required("\(path).limits", "Limit must be set for non overcommitable resources"))
            } else if name.contains("/") || name.hasPrefix("hugepages-"), limit != request {
                add(.invalid("\(path).requests", value, "must be equal to \(name) limit of \(limit?.canonical ?? "0")"))
            }
        }
        for name in resources["limits"].members.keys where name.contains("/") && resources["requests"][name].isNull {
            add(.required("\(path).limits[\(name)]", "limit must be set for non overcommitable resources"))
        }
    }

    mutating func containerPorts(_ ports: JSON, _ path: String, isHostNetwork: Bool, hostPorts: inout Set<String>) {
        var names: Set<String> = []
        for (index, port) in ports.elements.enumerated() {
            let field = "\(path)[\(index)]"
            if let name = port["name"].string, !name.isEmpty {
                syntax("\(field).name", name, Names.portNameProblems(name))
                if !names.insert(name).inserted { add(.duplicate("\(field).name", .string(name))) }
            }
            let number = port["containerPort"].int ?? 0
            if number == 0 {
                add(.required("\(field).containerPort"))
            } else {
                for complaint in Names.portNumberProblems(number) {
                    add(.invalid("\(field).containerPort", port["containerPort"], complaint))
                }
            }
            choice("\(field).protocol", port["protocol"], ["SCTP", "TCP", "UDP"], isNeeded: true)
            guard let hostPort = port["hostPort"].int, hostPort != 0 else { continue }
            for complaint in Names.portNumberProblems(hostPort) {
                add(.invalid("\(field).hostPort", port["hostPort"], complaint))
            }
            if isHostNetwork, hostPort != number {
                add(
                    .invalid(
                        "\(field).hostPort", port["hostPort"], "must match `containerPort` when `hostNetwork` is true"))
            }
            let key = "\(port["hostIP"].string ?? "")/\(port["protocol"].string ?? "")/\(hostPort)"
            if !hostPorts.insert(key).inserted {
                add(
                    .duplicate(
                        "\(field).hostPort",
                        .string("\(port["protocol"].string ?? "")/\(port["hostIP"].string ?? "")/\(hostPort)")))
            }
        }
    }

    // MARK: Probes and hooks

    /// - Parameter gracePeriod: seconds, in which a hook has to end.
    mutating func probes(_ container: JSON, _ path: String, gracePeriod: Int) {
        for name in ["livenessProbe", "readinessProbe", "startupProbe"] where !container[name].isNull {
            let probe = container[name]
            let field = "\(path).\(name)"
            handler(probe, field, allowed: ["exec", "httpGet", "tcpSocket", "grpc"], gracePeriod: gracePeriod)
            for number in [
                "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold",
            ] {
                notNegative("\(field).\(number)", probe[number])
            }
            if name != "readinessProbe", let threshold = probe["successThreshold"].int, threshold != 1 {
                add(.invalid("\(field).successThreshold", probe["successThreshold"], "must be 1"))
            }
            if let seconds = probe["terminationGracePeriodSeconds"].int {
                if name == "readinessProbe" {
                    add(
                        .invalid(
                            "\(field).terminationGracePeriodSeconds", probe["terminationGracePeriodSeconds"],
                            "must not be set for readinessProbes"))
                } else if seconds <= 0 {
                    add(
                        .invalid(
                            "\(field).terminationGracePeriodSeconds", probe["terminationGracePeriodSeconds"],
                            "must be greater than 0"))
                }
            }
        }
        for name in ["postStart", "preStop"] where !container["lifecycle"][name].isNull {
            handler(
                container["lifecycle"][name], "\(path).lifecycle.\(name)",
                allowed: ["exec", "httpGet", "tcpSocket", "sleep"], gracePeriod: gracePeriod)
        }
    }

    private static func isHeaderCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private mutating func handler(_ handler: JSON, _ path: String, allowed: [String], gracePeriod: Int) {
        let given = allowed.filter { !handler[$0].isNull }
        if given.isEmpty { add(.required(path, "must specify a handler type")) }
        for extra in given.dropFirst() {
            add(.forbidden("\(path).\(extra)", "may not specify more than 1 handler type"))
        }
        switch given.first {
        case "exec": need("\(path).exec.command", handler["exec"]["command"])
        case "httpGet":
            let get = handler["httpGet"]
            need("\(path).httpGet.path", get["path"])
            portOrName("\(path).httpGet.port", get["port"], mayBeAssigned: true)
            choice("\(path).httpGet.scheme", get["scheme"], ["HTTP", "HTTPS"])
            for header in get["httpHeaders"].elements {
                let name = header["name"].string ?? ""
                if name.isEmpty || !name.utf8.allSatisfy(Self.isHeaderCharacter) {
                    add(
                        .invalid(
                            "\(path).httpGet.httpHeaders", .string(name),
                            "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
                                + "regex used for validation is '[-A-Za-z0-9]+')"))
                }
            }
        case "tcpSocket": portOrName("\(path).tcpSocket.port", handler["tcpSocket"]["port"], mayBeAssigned: true)
        case "grpc": portOrName("\(path).grpc.port", handler["grpc"]["port"])
        case "sleep":
            let seconds = handler["sleep"]["seconds"].int ?? 0
            if seconds < 0 || seconds > gracePeriod {
                add(
                    .invalid(
                        "\(path).sleep", JSON(seconds),
                        "must be non-negative and less than terminationGracePeriodSeconds (\(gracePeriod))"))
            }
        default: break
        }
    }
}
