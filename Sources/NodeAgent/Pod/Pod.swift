import JSON
import ObjectModel

/// What the agent reads of a `v1 Pod`, decoded once per version.
struct Pod: Sendable {
    let object: Object
    var spec: PodSpec
    let annotations: [String: String]
    /// Host ports that it asked for by annotation; none for most.
    let assignedPorts: [AssignedPort]
    /// `status` as the API has it.
    let status: JSON

    var key: ObjectKey { object.key }
    var name: String { object.name }
    var namespace: String { object.namespace }
    var uid: String { object.uid }
    var labels: [String: String] { object.metadata.labels }
    var isTerminating: Bool { object.metadata.isTerminating }
    var phase: String { status["phase"].string ?? "Pending" }
    /// Succeeded and Failed never change back.
    var isFinished: Bool { phase == "Succeeded" || phase == "Failed" }

    init(_ object: Object) {
        let tree = object.tree
        self.object = object
        spec = PodSpec(tree["spec"])
        annotations = tree["metadata"]["annotations"].stringMap
        status = tree["status"]
        assignedPorts = AssignedPort.all(annotations)
        if !assignedPorts.isEmpty { spec.nameAssignedPorts(assignedPorts) }
        if let text = annotations[PodSpec.checksAnnotation], let extras = try? JSON.parse(text) {
            for index in spec.containers.indices {
                spec.containers[index].refineProbes(extras[spec.containers[index].name])
            }
        }
    }

    /// All containers of all kinds, in the order init, regular, ephemeral.
    var allContainers: [ContainerSpec] { spec.initContainers + spec.containers + spec.ephemeralContainers }
    func container(named name: String) -> ContainerSpec? { allContainers.first { $0.name == name } }

    /// Seconds that the containers get between TERM and KILL when the pod is deleted.
    var graceSeconds: Int {
        min(object.metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds, 1_000_000_000)
    }
    var isCritical: Bool { spec.priority >= 2_000_000_000 }
    /// From a file on this node; what the API has of it is only a picture.
    var isStatic: Bool { annotations[StaticPod.sourceKey] == StaticPod.fileSource }
    /// Whether the node's local storage it may use is limited.
    var hasStorageLimits: Bool {
        spec.resources.limits["ephemeral-storage"] != nil
            || spec.containers.contains { $0.resources.limits["ephemeral-storage"] != nil }
            || spec.volumes.contains {
                !$0["emptyDir"]["sizeLimit"].isNull && $0["emptyDir"]["medium"].string != "Memory"
            }
    }
}

/// `spec` of a pod.
struct PodSpec: Sendable {
    var nodeName: String
    var restartPolicy: RestartPolicy
    var terminationGracePeriodSeconds: Int
    var activeDeadlineSeconds: Int?
    var dnsPolicy: String
    var dnsConfig: JSON
    var hostNetwork: Bool
    var hostPID: Bool
    var hostIPC: Bool
    var shareProcessNamespace: Bool
    var hostname: String
    var subdomain: String
    var setHostnameAsFQDN: Bool
    var hostnameOverride: String?
    var hostAliases: JSON
    var serviceAccountName: String
    var imagePullSecrets: [String]
    var enableServiceLinks: Bool
    var security: PodSecurity
    var volumes: [JSON]
    var readinessGates: [String]
    var priority: Int
    var runtimeClassName: String
    var resources: ResourceRequirements
    var overhead: [String: Quantity]
    var nodeSelector: [String: String]
    var affinity: JSON
    var tolerations: [JSON]
    var initContainers: [ContainerSpec]
    var containers: [ContainerSpec]
    var ephemeralContainers: [ContainerSpec]

    init(_ json: JSON) {
        nodeName = json["nodeName"].string ?? ""
        restartPolicy = json["restartPolicy"].string.flatMap(RestartPolicy.init) ?? .always
        terminationGracePeriodSeconds = min(json["terminationGracePeriodSeconds"].int ?? 30, 1_000_000_000)
        activeDeadlineSeconds = json["activeDeadlineSeconds"].int
        dnsPolicy = json["dnsPolicy"].string ?? "ClusterFirst"
        dnsConfig = json["dnsConfig"]
        hostNetwork = json["hostNetwork"].bool ?? false
        hostPID = json["hostPID"].bool ?? false
        hostIPC = json["hostIPC"].bool ?? false
        shareProcessNamespace = json["shareProcessNamespace"].bool ?? false
        hostname = json["hostname"].string ?? ""
        subdomain = json["subdomain"].string ?? ""
        setHostnameAsFQDN = json["setHostnameAsFQDN"].bool ?? false
        hostnameOverride = json["hostnameOverride"].string
        hostAliases = json["hostAliases"]
        serviceAccountName = json["serviceAccountName"].string ?? "default"
        imagePullSecrets = json["imagePullSecrets"].elements.compactMap { $0["name"].string }
        enableServiceLinks = json["enableServiceLinks"].bool ?? true
        security = PodSecurity(json["securityContext"])
        volumes = json["volumes"].elements
        readinessGates = json["readinessGates"].elements.compactMap { $0["conditionType"].string }
        priority = json["priority"].int ?? 0
        runtimeClassName = json["runtimeClassName"].string ?? ""
        resources = ResourceRequirements(json["resources"])
        overhead = ResourceRequirements.quantities(json["overhead"])
        nodeSelector = json["nodeSelector"].stringMap
        affinity = json["affinity"]
        tolerations = json["tolerations"].elements
        initContainers = json["initContainers"].elements.map {
            ContainerSpec($0, kind: $0["restartPolicy"].string == "Always" ? .sidecar : .initial)
        }
        containers = json["containers"].elements.map { ContainerSpec($0, kind: .regular) }
        ephemeralContainers = json["ephemeralContainers"].elements.map { ContainerSpec($0, kind: .ephemeral) }
    }

    /// Annotation: `{"container": {"check": probe, "health": times}}`, what probes cannot say of a Mesos task's checks.
    static let checksAnnotation = "mesos.apus.dev/checks"

    fileprivate mutating func nameAssignedPorts(_ ports: [AssignedPort]) {
        var numbers: [String: Int] = [:]
        for port in ports {
            for name in port.names { numbers[name] = port.listening(onHost: hostNetwork) }
        }
        for index in containers.indices { containers[index].assignedPorts = numbers }
        for index in initContainers.indices { initContainers[index].assignedPorts = numbers }
    }
}

enum RestartPolicy: String, Sendable {
    case always = "Always"
    case onFailure = "OnFailure"
    case never = "Never"
}

/// `spec.securityContext`.
struct PodSecurity: Sendable {
    var runAsUser: Int64?
    var runAsGroup: Int64?
    var runAsNonRoot: Bool?
    var supplementalGroups: [Int64]
    var fsGroup: Int64?
    var fsGroupChangePolicy: String
    var sysctls: [String: String]
    var seccomp: JSON
    var apparmor: JSON

    init(_ json: JSON) {
        runAsUser = json["runAsUser"].int.map(Int64.init)
        runAsGroup = json["runAsGroup"].int.map(Int64.init)
        runAsNonRoot = json["runAsNonRoot"].bool
        supplementalGroups = json["supplementalGroups"].elements.compactMap { $0.int.map(Int64.init) }
        fsGroup = json["fsGroup"].int.map(Int64.init)
        fsGroupChangePolicy = json["fsGroupChangePolicy"].string ?? "Always"
        sysctls = Dictionary(
            json["sysctls"].elements.compactMap { item in
                item["name"].string.map { ($0, item["value"].string ?? "") }
            }, uniquingKeysWith: { _, last in last })
        seccomp = json["seccompProfile"]
        apparmor = json["appArmorProfile"]
    }
}

/// Requests and limits by resource name.
struct ResourceRequirements: Sendable, Hashable {
    var requests: [String: Quantity]
    var limits: [String: Quantity]

    init(_ json: JSON) {
        requests = Self.quantities(json["requests"])
        limits = Self.quantities(json["limits"])
    }
    var isEmpty: Bool { requests.isEmpty && limits.isEmpty }

    static func quantities(_ json: JSON) -> [String: Quantity] {
        var result: [String: Quantity] = [:]
        for (name, value) in json.members {
            switch value {
            case .string(let text): result[name] = Quantity(text)
            case .integer(let number): result[name] = Quantity(Int(number))
            case .number(let number): result[name] = Quantity(number.text)
            default: break
            }
        }
        return result
    }
    static func json(_ quantities: [String: Quantity]) -> JSON {
        JSON(quantities.mapValues(\.canonical))
    }
}
