import JSON
import ObjectModel

/// The pod security standards (`baseline`, `restricted`) that a namespace asks for by its labels.
struct PodSecurity: AdmissionPlugin {
    func validate(_ request: AdmissionRequest, in machinery: Machinery) throws {
        guard request.creates(.pods),
            let namespace = machinery.cached(.namespaces, ObjectKey(name: request.key.namespace))
        else { return }
        let labels = namespace.metadata.labels
        let prefix = "pod-security.kubernetes.io/"
        func violations(_ mode: String) -> (level: String, texts: [String])? {
            guard let level = labels[prefix + mode], level == "baseline" || level == "restricted" else { return nil }
            let texts = Self.violations(request.object["spec"], level: level)
            return texts.isEmpty ? nil : ("\(level):\(labels["\(prefix)\(mode)-version"] ?? "latest")", texts)
        }
        if let (level, texts) = violations("warn") {
            request.context.warn("would violate PodSecurity \"\(level)\": \(texts.joined(separator: ", "))")
        }
        if let (level, texts) = violations("enforce") {
            throw request.forbidden("violates PodSecurity \"\(level)\": \(texts.joined(separator: ", "))")
        }
    }

    private static let baselineCapabilities: Set<String> = [
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID",
        "SETPCAP", "SETUID", "SYS_CHROOT",
    ]
    private static let restrictedVolumes: Set<String> = [
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
        "image",
    ]

    /// What a pod does that a level does not allow (Pod Security Standards, kubernetes.io/docs/concepts/security).
    static func violations(_ spec: JSON, level: String) -> [String] {
        var found: [String] = []
        let pod = spec["securityContext"]
        let containers =
            spec["initContainers"].elements + spec["containers"].elements + spec["ephemeralContainers"].elements
        func offenders(_ isBad: (JSON) -> Bool) -> String? {
            let names = containers.filter { isBad($0["securityContext"]) }.map { "\"\($0["name"].string ?? "")\"" }
            if names.isEmpty { return nil }
            return names.count == 1 ? "container \(names[0])" : "containers \(names.joined(separator: ", "))"
        }
        let namespaces = ["hostNetwork", "hostPID", "hostIPC"].filter { spec[$0].bool == true }
        if !namespaces.isEmpty {
            found.append("host namespaces (\(namespaces.map { "\($0)=true" }.joined(separator: ", ")))")
        }
        if let who = offenders({ $0["privileged"].bool == true }) {
            found.append("privileged (\(who) must not set securityContext.privileged=true)")
        }
        if let who = offenders({ context in
            context["capabilities"]["add"].elements.contains { !baselineCapabilities.contains($0.string ?? "") }
        }) {
            found.append("non-default capabilities (\(who) must not include added capabilities)")
        }
        let hostPaths = spec["volumes"].elements.filter { !$0["hostPath"].isNull }.map {
            "\"\($0["name"].string ?? "")\""
        }
        if !hostPaths.isEmpty { found.append("hostPath volumes (volume \(hostPaths.joined(separator: ", ")))") }
        let hostPorts = containers.flatMap { $0["ports"].elements }.compactMap { $0["hostPort"].int }.filter { $0 != 0 }
        if !hostPorts.isEmpty { found.append("hostPort (\(hostPorts.map(String.init).joined(separator: ", ")))") }
        if let who = offenders({ $0["seccompProfile"]["type"].string == "Unconfined" }) {
            found.append("seccompProfile (\(who) must not set securityContext.seccompProfile.type to \"Unconfined\")")
        }
        guard level == "restricted" else { return found }
        let volumes = spec["volumes"].elements.filter { volume in
            volume.members.keys.contains { $0 != "name" && $0 != "hostPath" && !restrictedVolumes.contains($0) }
        }
        if !volumes.isEmpty {
            found.append(
                "restricted volume types (\(volumes.compactMap { $0["name"].string }.joined(separator: ", ")))")
        }
        if let who = offenders({ $0["allowPrivilegeEscalation"].bool != false }) {
            found.append(
                "allowPrivilegeEscalation != false (\(who) must set securityContext.allowPrivilegeEscalation=false)")
        }
        if let who = offenders({ !$0["capabilities"]["drop"].elements.contains("ALL") }) {
            found.append("unrestricted capabilities (\(who) must set securityContext.capabilities.drop=[\"ALL\"])")
        }
        if let who = offenders({ ($0["runAsNonRoot"].bool ?? pod["runAsNonRoot"].bool) != true }) {
            found.append("runAsNonRoot != true (pod or \(who) must set securityContext.runAsNonRoot=true)")
        }
        if let who = offenders({ ($0["runAsUser"].int ?? pod["runAsUser"].int) == 0 }) {
            found.append("runAsUser=0 (pod or \(who) must not set runAsUser=0)")
        }
        if let who = offenders({ context in
            !["RuntimeDefault", "Localhost"].contains(
                context["seccompProfile"]["type"].string ?? pod["seccompProfile"]["type"].string ?? "")
        }) {
            found.append(
                "seccompProfile (pod or \(who) must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
            )
        }
        return found
    }
}
