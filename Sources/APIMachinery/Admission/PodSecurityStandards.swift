import JSON
import ObjectModel

/// The pod security standards (kubernetes.io/docs/concepts/security/pod-security-standards), newest version, as checks
/// in the order of their names.
struct PodSecurityStandards {
    enum Level: String, Sendable {
        case privileged, baseline, restricted
    }
    private let spec: JSON
    private let pod: JSON
    private let containers: [JSON]
    private let isRestricted: Bool
    private let isWindows: Bool
    private var found: [String] = []

    /// What a pod does that a level does not allow: reasons with their details.
    static func violations(_ spec: JSON, level: Level) -> [String] {
        if level == .privileged { return [] }
        var checks = PodSecurityStandards(spec, level)
        checks.run()
        return checks.found
    }

    private init(_ spec: JSON, _ level: Level) {
        self.spec = spec
        pod = spec["securityContext"]
        containers =
            spec["initContainers"].elements + spec["containers"].elements + spec["ephemeralContainers"].elements
        isRestricted = level == .restricted
        isWindows = spec["os"]["name"].string == "windows"
    }

    private mutating func run() {
        if isRestricted, !isWindows {
            report(
                "allowPrivilegeEscalation != false",
                [
                    who { $0["allowPrivilegeEscalation"].bool != false }
                        .map { "\($0) must set securityContext.allowPrivilegeEscalation=false" }
                ])
        }
        profiles("appArmorProfile", "forbidden AppArmor profile", "AppArmor profile type")
        capabilities()
        let namespaces = ["hostNetwork", "hostPID", "hostIPC"].filter { spec[$0].bool == true }.map { "\($0)=true" }
        report("host namespaces", [namespaces.isEmpty ? nil : namespaces.joined(separator: ", ")])
        // Its root is the machine's.
        report(
            "host programs", [spec["runtimeClassName"].string == "process" ? "runtimeClassName=\"process\"" : nil])
        volumes()
        ports()
        probes()
        report(
            "privileged",
            [who { $0["privileged"].bool == true }.map { "\($0) must not set securityContext.privileged=true" }])
        for type in unique({ $0["procMount"].string }) where type != "Default" {
            report(
                "procMount",
                [
                    who { $0["procMount"].string == type }
                        .map { "\($0) must not set securityContext.procMount to \"\(type)\"" }
                ])
        }
        if isRestricted { user() }
        seLinux()
        seccomp()
        let sysctls = pod["sysctls"].elements.compactMap { $0["name"].string }.filter { !Self.sysctls.contains($0) }
        report("forbidden sysctls", [sysctls.isEmpty ? nil : sysctls.joined(separator: ", ")])
        report(
            "hostProcess",
            [
                pod["windowsOptions"]["hostProcess"].bool == true
                    ? "pod must not set securityContext.windowsOptions.hostProcess=true" : nil,
                who { $0["windowsOptions"]["hostProcess"].bool == true }
                    .map { "\($0) must not set securityContext.windowsOptions.hostProcess=true" },
            ])
    }

    // MARK: Texts

    private mutating func report(_ reason: String, _ details: [String?]) {
        let texts = details.compactMap { $0 }
        if !texts.isEmpty { found.append("\(reason) (\(texts.joined(separator: "; ")))") }
    }

    /// `container "a"` or `containers "a", "b"`: those whose security context is bad.
    private func who(_ isBad: (JSON) -> Bool) -> String? {
        Self.list("container", containers.filter { isBad($0["securityContext"]) }.map { $0["name"].string ?? "" })
    }

    private static func list(_ word: String, _ names: [String]) -> String? {
        if names.isEmpty { return nil }
        return "\(word)\(names.count == 1 ? "" : "s") \(names.map { "\"\($0)\"" }.joined(separator: ", "))"
    }

    private func unique(_ value: (JSON) -> String?) -> [String] {
        Set(containers.compactMap { value($0["securityContext"]) }).sorted()
    }

    // MARK: Checks

    private mutating func profiles(_ field: String, _ reason: String, _ what: String) {
        let isBad = { (context: JSON) in context[field]["type"].string == "Unconfined" }
        report(
            reason,
            [
                isBad(pod) ? "pod must not set \(what) to \"Unconfined\"" : nil,
                who(isBad).map { "\($0) must not set \(what) to \"Unconfined\"" },
            ])
    }

    private static let defaultCapabilities: Set<String> = [
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    ]

    private mutating func capabilities() {
        let allowed = isRestricted ? ["NET_BIND_SERVICE"] : Self.defaultCapabilities
        func added(_ context: JSON) -> [String] {
            context["capabilities"]["add"].elements.compactMap(\.string).filter { !allowed.contains($0) }
        }
        if isRestricted, isWindows { return }
        let names = Set(containers.flatMap { added($0["securityContext"]) }).sorted().map { "\"\($0)\"" }
        let extra = who { !added($0).isEmpty }.map {
            "\($0) must not include \(names.joined(separator: ", ")) in securityContext.capabilities.add"
        }
        guard isRestricted else { return report("non-default capabilities", [extra]) }
        report(
            "unrestricted capabilities",
            [
                who { !$0["capabilities"]["drop"].elements.contains("ALL") }
                    .map { "\($0) must set securityContext.capabilities.drop=[\"ALL\"]" },
                extra,
            ])
    }

    private static let restrictedVolumes: Set<String> = [
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
        "image",
    ]

    private mutating func volumes() {
        let volumes = spec["volumes"].elements
        if !isRestricted {
            let paths = volumes.filter { !$0["hostPath"].isNull }.map { $0["name"].string ?? "" }
            return report("hostPath volumes", [Self.list("volume", paths)])
        }
        var types: Set<String> = []
        let names = volumes.compactMap { volume -> String? in
            let bad = volume.members.keys.filter { $0 != "name" && !Self.restrictedVolumes.contains($0) }
            types.formUnion(bad)
            return bad.isEmpty ? nil : volume["name"].string ?? ""
        }
        let uses = names.count == 1 ? "uses restricted volume type" : "use restricted volume type"
        let kinds = types.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
        restricted = Self.list("volume", names).map { "\($0) \(uses)\(types.count > 1 ? "s" : "") \(kinds)" }
    }
    /// Told later, in its place.
    private var restricted: String?

    private mutating func ports() {
        var ports: Set<Int> = []
        let names = containers.compactMap { container -> String? in
            let bad = container["ports"].elements.compactMap { $0["hostPort"].int }.filter { $0 != 0 }
            ports.formUnion(bad)
            return bad.isEmpty ? nil : container["name"].string ?? ""
        }
        let numbers = ports.sorted().map(String.init).joined(separator: ", ")
        report(
            "hostPort",
            [
                Self.list("container", names).map {
                    "\($0) use\(names.count == 1 ? "s" : "") hostPort\(ports.count > 1 ? "s" : "") \(numbers)"
                }
            ])
    }

    /// Probes and handlers reach their own pod only.
    private mutating func probes() {
        var hosts: Set<String> = []
        let names = containers.compactMap { container -> String? in
            let handlers =
                ["livenessProbe", "readinessProbe", "startupProbe"].map { container[$0] }
                + ["postStart", "preStop"].map { container["lifecycle"][$0] }
            let bad = handlers.flatMap { [$0["httpGet"]["host"], $0["tcpSocket"]["host"]] }.compactMap(\.string)
                .filter { !["", "127.0.0.1", "::1", "localhost"].contains($0) }
            hosts.formUnion(bad)
            return bad.isEmpty ? nil : container["name"].string ?? ""
        }
        let list = hosts.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
        report(
            "probe or lifecycle host",
            [
                Self.list("container", names).map {
                    "\($0) use\(names.count == 1 ? "s" : "") probe or lifecycle host\(hosts.count > 1 ? "s" : "") \(list)"
                }
            ])
    }

    private mutating func user() {
        report("restricted volume types", [restricted])
        let set = "securityContext.runAsNonRoot"
        let refusing = who { $0["runAsNonRoot"].bool == false }
        let isUnset = pod["runAsNonRoot"].bool != true
        report(
            "runAsNonRoot != true",
            [
                pod["runAsNonRoot"].bool == false ? "pod must not set \(set)=false" : nil,
                refusing.map { "\($0) must not set \(set)=false" },
                isUnset && pod["runAsNonRoot"].bool == nil
                    ? who { $0["runAsNonRoot"].isNull }.map { "pod or \($0) must set \(set)=true" } : nil,
            ])
        report(
            "runAsUser=0",
            [
                pod["runAsUser"].int == 0 ? "pod must not set runAsUser=0" : nil,
                who { $0["runAsUser"].int == 0 }.map { "\($0) must not set runAsUser=0" },
            ])
    }

    private mutating func seLinux() {
        let types: Set<String> = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"]
        func isBad(_ context: JSON) -> Bool {
            let options = context["seLinuxOptions"]
            return !types.contains(options["type"].string ?? "") || !(options["user"].string ?? "").isEmpty
                || !(options["role"].string ?? "").isEmpty
        }
        let contexts = [pod] + containers.map { $0["securityContext"] }
        var texts = Set(contexts.compactMap { $0["seLinuxOptions"]["type"].string }).subtracting(types).sorted()
            .map { "type \"\($0)\"" }
        for field in ["user", "role"]
        where contexts.contains(where: { !($0["seLinuxOptions"][field].string ?? "").isEmpty }) {
            texts.append("\(field) may not be set")
        }
        let setters = [isBad(pod) ? "pod" : nil, who(isBad)].compactMap { $0 }
        if !setters.isEmpty {
            report(
                "seLinuxOptions",
                [
                    "\(setters.joined(separator: " and ")) set forbidden securityContext.seLinuxOptions: "
                        + texts.joined(separator: "; ")
                ])
        }
    }

    private mutating func seccomp() {
        let what = "securityContext.seccompProfile.type"
        if !isRestricted { return profiles("seccompProfile", "seccompProfile", what) }
        if isWindows { return }
        let good = ["RuntimeDefault", "Localhost"]
        func type(_ context: JSON) -> String? { context["seccompProfile"]["type"].string }
        func isBad(_ context: JSON) -> Bool { type(context).map { !good.contains($0) } ?? false }
        report(
            "seccompProfile",
            [
                isBad(pod) ? "pod must not set \(what) to \"\(type(pod) ?? "")\"" : nil,
                who(isBad).map {
                    "\($0) must not set \(what) to "
                        + unique { isBad($0) ? type($0) : nil }.map { "\"\($0)\"" }.joined(separator: ", ")
                },
                type(pod) == nil
                    ? who { type($0) == nil }.map {
                        "pod or \($0) must set \(what) to \"RuntimeDefault\" or \"Localhost\""
                    } : nil,
            ])
    }

    private static let sysctls: Set<String> = [
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    ]
}
