import JSON
import ObjectModel

extension Problems {
    /// A pod template: labels, annotations and spec.
    mutating func podTemplate(_ template: JSON, _ path: String) {
        labels("\(path).labels", template["metadata"]["labels"])
        MetadataValidation.annotations(template["metadata"]["annotations"], "\(path).annotations", &self)
        podSpec(template["spec"], "\(path).spec", isTemplate: true)
        if !template["spec"]["ephemeralContainers"].elements.isEmpty {
            add(.forbidden("\(path).spec.ephemeralContainers", "ephemeral containers not allowed in pod template"))
        }
    }

    /// A pod's spec, after defaults.
    mutating func podSpec(_ spec: JSON, _ path: String, isTemplate: Bool) {
        let volumes = podVolumes(spec["volumes"], "\(path).volumes")
        let isHostNetwork = spec["hostNetwork"].bool == true
        let gracePeriod = spec["terminationGracePeriodSeconds"].int ?? 30
        need("\(path).containers", spec["containers"])
        var names: Set<String> = []
        var hostPorts: Set<String> = []
        for (index, container) in spec["containers"].elements.enumerated() {
            let field = "\(path).containers[\(index)]"
            self.container(container, field, volumes: volumes, names: &names)
            containerPorts(container["ports"], "\(field).ports", isHostNetwork: isHostNetwork, hostPorts: &hostPorts)
            probes(container, field, gracePeriod: gracePeriod)
            if !container["restartPolicy"].isNull {
                choice("\(field).restartPolicy", container["restartPolicy"], ["Always", "Never", "OnFailure"])
            }
        }
        for (index, container) in spec["initContainers"].elements.enumerated() {
            let field = "\(path).initContainers[\(index)]"
            self.container(container, field, volumes: volumes, names: &names)
            let isSidecar = container["restartPolicy"].string == "Always"
            var ports = hostPorts
            containerPorts(container["ports"], "\(field).ports", isHostNetwork: isHostNetwork, hostPorts: &ports)
            choice("\(field).restartPolicy", container["restartPolicy"], ["Always", "Never", "OnFailure"])
            if isSidecar {
                probes(container, field, gracePeriod: gracePeriod)
            } else {
                for probe in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"]
                where !container[probe].isNull {
                    add(
                        .forbidden(
                            "\(field).\(probe)", "may not be set for init containers without restartPolicy=Always"))
                }
            }
        }
        for (index, container) in spec["ephemeralContainers"].elements.enumerated() {
            self.container(container, "\(path).ephemeralContainers[\(index)]", volumes: volumes, names: &names)
        }
        choice(
            "\(path).restartPolicy", spec["restartPolicy"], ["Always", "OnFailure", "Never"], isNeeded: true,
            isSorted: false)
        dns(spec, path)
        if let seconds = spec["activeDeadlineSeconds"].int, !(1...Int(Int32.max)).contains(seconds) {
            add(
                .invalid(
                    "\(path).activeDeadlineSeconds", spec["activeDeadlineSeconds"],
                    "must be between 1 and 2147483647, inclusive"))
        }
        labels("\(path).nodeSelector", spec["nodeSelector"])
        if let account = spec["serviceAccountName"].string, !account.isEmpty {
            syntax("\(path).serviceAccountName", account, Names.dns1123SubdomainProblems(account))
        }
        if let node = spec["nodeName"].string, !node.isEmpty {
            syntax("\(path).nodeName", node, Names.dns1123SubdomainProblems(node))
        }
        for field in ["hostname", "subdomain"] {
            if let text = spec[field].string, !text.isEmpty {
                syntax("\(path).\(field)", text, Names.dns1123LabelProblems(text))
            }
        }
        if let priorityClass = spec["priorityClassName"].string, !priorityClass.isEmpty {
            syntax("\(path).priorityClassName", priorityClass, Names.dns1123SubdomainProblems(priorityClass))
        }
        for (index, alias) in spec["hostAliases"].elements.enumerated() where IPAddress(alias["ip"].string ?? "") == nil
        {
            add(
                .invalid(
                    "\(path).hostAliases[\(index)].ip", alias["ip"].isNull ? "" : alias["ip"],
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
        }
        for (index, alias) in spec["hostAliases"].elements.enumerated() {
            for (place, name) in alias["hostnames"].elements.compactMap(\.string).enumerated() {
                syntax(
                    "\(path).hostAliases[\(index)].hostnames[\(place)]", name, Names.dns1123SubdomainProblems(name))
            }
        }
        for (index, gate) in spec["readinessGates"].elements.enumerated() {
            let type = gate["conditionType"].string ?? ""
            syntax("\(path).readinessGates[\(index)].conditionType", type, Names.qualifiedNameProblems(type))
        }
        system(spec, path)
        podSecurityContext(spec, path)
        scheduling(spec, path)
        if !spec["nodeName"].isNull, !(spec["nodeName"].string ?? "").isEmpty, !spec["schedulingGates"].elements.isEmpty
        {
            add(.forbidden("\(path).nodeName", "cannot be set until all schedulingGates have been cleared"))
        }
    }

    /// The operating system, and what has no meaning on it.
    private mutating func system(_ spec: JSON, _ path: String) {
        let system = spec["os"]["name"].string ?? ""
        if !spec["os"].isNull {
            if system.isEmpty {
                add(.required("\(path).os.name"))
            } else if !["linux", "windows"].contains(system) {
                add(.notSupported("\(path).os", .string(system), ["linux", "windows"]))
            }
        }
        if system == "windows" {
            for member in [
                "runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "sysctls", "seLinuxOptions",
                "seccompProfile", "appArmorProfile", "fsGroupChangePolicy",
            ]
            where !spec["securityContext"][member].isNull {
                add(.forbidden("\(path).securityContext.\(member)", "cannot be set for a windows pod"))
            }
            for member in ["hostPID", "hostIPC", "shareProcessNamespace"] where spec[member].bool == true {
                add(.forbidden("\(path).\(member)", "cannot be set for a windows pod"))
            }
        }
        if spec["hostUsers"].bool == false {
            for member in ["hostNetwork", "hostPID", "hostIPC"] where spec[member].bool == true {
                add(.forbidden("\(path).\(member)", "when `hostUsers` is false"))
            }
        }
    }

    private mutating func dns(_ spec: JSON, _ path: String) {
        choice(
            "\(path).dnsPolicy", spec["dnsPolicy"], ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
            isNeeded: true, isSorted: false)
        let config = spec["dnsConfig"]
        if spec["dnsPolicy"].string == "None", config.isNull {
            add(.required("\(path).dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None"))
        } else if spec["dnsPolicy"].string == "None", config["nameservers"].elements.isEmpty {
            add(
                .required(
                    "\(path).dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"
                ))
        }
        if config["nameservers"].elements.count > 3 {
            add(
                .invalid(
                    "\(path).dnsConfig.nameservers", config["nameservers"], "must not have more than 3 nameservers"))
        }
        for (index, server) in config["nameservers"].elements.enumerated() where IPAddress(server.string ?? "") == nil {
            add(
                .invalid(
                    "\(path).dnsConfig.nameservers[\(index)]", server,
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
        }
        if config["searches"].elements.count > 32 {
            add(.invalid("\(path).dnsConfig.searches", config["searches"], "must not have more than 32 search paths"))
        }
        for (index, search) in config["searches"].elements.enumerated() {
            let text = search.string ?? ""
            let host = text.count > 1 && text.hasSuffix(".") ? String(text.dropLast()) : text
            if host != "." { syntax("\(path).dnsConfig.searches[\(index)]", text, Names.searchPathProblems(host)) }
        }
    }

    private mutating func podSecurityContext(_ spec: JSON, _ path: String) {
        let context = spec["securityContext"]
        identifiers(context, "\(path).securityContext")
        for (index, group) in context["supplementalGroups"].elements.enumerated() where (group.int ?? 0) < 0 {
            add(
                .invalid(
                    "\(path).securityContext.supplementalGroups[\(index)]", group,
                    "must be between 0 and 2147483647, inclusive"))
        }
        choice(
            "\(path).securityContext.fsGroupChangePolicy", context["fsGroupChangePolicy"], ["Always", "OnRootMismatch"])
        choice(
            "\(path).securityContext.supplementalGroupsPolicy", context["supplementalGroupsPolicy"],
            ["Merge", "Strict"])
        sysctls(spec, "\(path).securityContext.sysctls")
        if spec["shareProcessNamespace"].bool == true, spec["hostPID"].bool == true {
            add(
                .invalid(
                    "\(path).securityContext.shareProcessNamespace", true,
                    "ShareProcessNamespace and HostPID cannot both be enabled"))
        }
    }

    private mutating func sysctls(_ spec: JSON, _ path: String) {
        var seen: Set<String> = []
        for (index, sysctl) in spec["securityContext"]["sysctls"].elements.enumerated() {
            let field = "\(path)[\(index)].name"
            let name = sysctl["name"].string ?? ""
            if name.isEmpty {
                add(.required(field, ""))
            } else if !Self.isSysctl(name) {
                add(
                    .invalid(
                        field, .string(name),
                        "must have at most 253 characters and match regex "
                            + #"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"#))
            } else if !seen.insert(name).inserted {
                add(.duplicate(field, .string(name)))
            }
            // Of a namespace that the pod has not for itself.
            let dotted = name.split(separator: "/").joined(separator: ".")
            if spec["hostNetwork"].bool == true, dotted.hasPrefix("net.") {
                add(.invalid(field, .string(name), "may not be specified when 'hostNetwork' is true"))
            }
            let isOfIPC = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].contains { dotted.hasPrefix($0) }
            if spec["hostIPC"].bool == true, isOfIPC {
                add(.invalid(field, .string(name), "may not be specified when 'hostIPC' is true"))
            }
        }
    }

    /// Segments of small letters, digits, dashes and underscores between dots or slashes; letters or digits at the ends.
    private static func isSysctl(_ name: String) -> Bool {
        func isPlain(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        let segments = name.utf8.split(omittingEmptySubsequences: false) {
            $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/")
        }
        return name.utf8.count <= 253
            && segments.allSatisfy { segment in
                guard let first = segment.first, let last = segment.last else { return false }
                return isPlain(first) && isPlain(last)
                    && segment.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
            }
    }

    /// User and group ids and what contradicts itself in a security context.
    mutating func identifiers(_ context: JSON, _ path: String) {
        for field in ["runAsUser", "runAsGroup", "fsGroup"] {
            if let number = context[field].int, !(0...Int(Int32.max)).contains(number) {
                add(.invalid("\(path).\(field)", context[field], "must be between 0 and 2147483647, inclusive"))
            }
        }
        let profile = context["seccompProfile"]
        if !profile.isNull {
            choice(
                "\(path).seccompProfile.type", profile["type"], ["Localhost", "RuntimeDefault", "Unconfined"],
                isNeeded: true)
            if profile["type"].string == "Localhost" {
                need(
                    "\(path).seccompProfile.localhostProfile", profile["localhostProfile"],
                    "must be set when seccomp type is Localhost")
            }
        }
        let armor = context["appArmorProfile"]
        if !armor.isNull {
            choice(
                "\(path).appArmorProfile.type", armor["type"], ["Localhost", "RuntimeDefault", "Unconfined"],
                isNeeded: true)
            if armor["type"].string == "Localhost" {
                need(
                    "\(path).appArmorProfile.localhostProfile", armor["localhostProfile"],
                    "must be set when AppArmor type is Localhost")
            } else if !armor["localhostProfile"].isNull {
                add(
                    .invalid(
                        "\(path).appArmorProfile.localhostProfile", armor["localhostProfile"],
                        "can only be set when AppArmor type is Localhost"))
            }
        }
    }

    // MARK: Volumes

    /// - Returns: the names that mounts may use; true for block volumes is not told apart.
    private mutating func podVolumes(_ volumes: JSON, _ path: String) -> Set<String> {
        var names: Set<String> = []
        for (index, volume) in volumes.elements.enumerated() {
            let field = "\(path)[\(index)]"
            let name = volume["name"].string ?? ""
            if name.isEmpty {
                add(.required("\(field).name"))
            } else {
                syntax("\(field).name", name, Names.dns1123LabelProblems(name))
                if !names.insert(name).inserted { add(.duplicate("\(field).name", .string(name))) }
            }
            let sources = volume.members.keys.filter { $0 != "name" }
            if sources.isEmpty { add(.required(field, "must specify a volume type")) }
            for extra in sources.dropFirst() {
                add(.forbidden("\(field).\(extra)", "may not specify more than 1 volume type"))
            }
            if let source = sources.first { volumeSource(source, volume[source], "\(field).\(source)") }
        }
        return names
    }

    private mutating func volumeSource(_ kind: String, _ source: JSON, _ path: String) {
        switch kind {
        case "hostPath":
            need("\(path).path", source["path"])
            if (source["path"].string ?? "").split(separator: "/").contains("..") {
                add(.invalid("\(path).path", source["path"], "must not contain '..'"))
            }
            choice(
                "\(path).type", source["type"],
                ["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"])
        case "secret":
            need("\(path).secretName", source["secretName"])
            items(source, path)
        case "configMap":
            need("\(path).name", source["name"])
            items(source, path)
        case "persistentVolumeClaim": need("\(path).claimName", source["claimName"])
        case "emptyDir":
            if let limit = Quantity(source["sizeLimit"]), limit.isNegative {
                add(.forbidden("\(path).sizeLimit", "SizeLimit field must be a valid resource quantity"))
            }
        case "nfs":
            need("\(path).server", source["server"])
            need("\(path).path", source["path"])
            if let text = source["path"].string, !text.isEmpty, !text.hasPrefix("/") {
                add(.invalid("\(path).path", source["path"], "must be an absolute path"))
            }
        case "csi": need("\(path).driver", source["driver"])
        case "downwardAPI": downward(source, path)
        case "projected":
            mode(source["defaultMode"], "\(path).defaultMode")
            for (index, part) in source["sources"].elements.enumerated() {
                let field = "\(path).sources[\(index)]"
                if part.members.count > 1 {
                    add(.forbidden(field, "may not specify more than 1 volume type per source"))
                }
                if !part["downwardAPI"].isNull { downward(part["downwardAPI"], "\(field).downwardAPI") }
                if !part["secret"].isNull { need("\(field).secret.name", part["secret"]["name"]) }
                if !part["configMap"].isNull { need("\(field).configMap.name", part["configMap"]["name"]) }
                let token = part["serviceAccountToken"]
                if !token.isNull {
                    if let seconds = token["expirationSeconds"].int, seconds < 600 {
                        add(
                            .invalid(
                                "\(field).serviceAccountToken.expirationSeconds", token["expirationSeconds"],
                                "may not specify a duration less than 10 minutes"))
                    }
                    need("\(path).path", token["path"])
                }
            }
        default: break
        }
    }

    private mutating func items(_ source: JSON, _ path: String) {
        mode(source["defaultMode"], "\(path).defaultMode")
        for (index, item) in source["items"].elements.enumerated() {
            let field = "\(path).items[\(index)]"
            need("\(field).key", item["key"])
            file(item, field)
        }
    }

    /// The path and the mode of a file in a volume.
    private mutating func file(_ item: JSON, _ field: String) {
        need("\(field).path", item["path"])
        let text = item["path"].string ?? ""
        if text.hasPrefix("/") { add(.invalid("\(field).path", item["path"], "must be a relative path")) }
        if text.split(separator: "/").contains("..") {
            add(.invalid("\(field).path", item["path"], "must not contain '..'"))
        }
        mode(item["mode"], "\(field).mode")
    }

    private mutating func downward(_ source: JSON, _ path: String) {
        mode(source["defaultMode"], "\(path).defaultMode")
        for (index, item) in source["items"].elements.enumerated() {
            file(item, "\(path).items[\(index)]")
            switch (item["fieldRef"].isNull, item["resourceFieldRef"].isNull) {
            case (true, true): add(.required(path, "one of fieldRef and resourceFieldRef is required"))
            case (false, false):
                add(.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
            case (false, true): fieldReference(item["fieldRef"], "\(path).fieldRef", ofFiles: true)
            case (true, false):
                need("\(path).resourceFieldRef.containerName", item["resourceFieldRef"]["containerName"])
                resourceReference(item["resourceFieldRef"], "\(path).resourceFieldRef")
            }
        }
    }

    private mutating func mode(_ value: JSON, _ field: String) {
        if let mode = value.int, !(0...0o777).contains(mode) {
            add(.invalid(field, value, "must be a number between 0 and 0777 (octal), both inclusive"))
        }
    }
}
