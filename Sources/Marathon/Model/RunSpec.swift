import JSON
import MesosModel
import ObjectModel

/// What Marathon keeps running: an app or a pod, in the complete form that is stored and answered.
struct RunSpec: Sendable {
    enum Kind: String, Sendable {
        case app, pod
        /// `App`, `Pod`: in messages.
        var title: String { self == .app ? "App" : "Pod" }
    }
    let kind: Kind
    var json: JSON

    init(kind: Kind, json: JSON) {
        self.kind = kind
        self.json = json
    }

    var id: PathID { PathID(json["id"].string ?? "") }
    var version: String { json["version"].string ?? "" }
    /// The version since which instances need no restart.
    var lastConfigChange: String { json["versionInfo"]["lastConfigChangeAt"].string ?? version }
    var lastScaling: String { json["versionInfo"]["lastScalingAt"].string ?? version }
    var role: String { json["role"].string ?? "*" }
    var labels: [String: String] { json["labels"].stringMap }
    private var scheduling: JSON { json["scheduling"] }

    var instances: Int {
        get { (kind == .app ? json["instances"].int : json["scaling"]["instances"].int) ?? 1 }
        set {
            if kind == .app {
                json["instances"] = JSON(newValue)
            } else {
                json["scaling"]["instances"] = JSON(newValue)
            }
        }
    }
    private var upgrade: JSON { kind == .app ? json["upgradeStrategy"] : scheduling["upgrade"] }
    var minimumHealthCapacity: Double { upgrade["minimumHealthCapacity"].double ?? 1 }
    var maximumOverCapacity: Double { upgrade["maximumOverCapacity"].double ?? 1 }
    var dependencies: [PathID] { json["dependencies"].elements.compactMap(\.string).map { PathID($0) } }
    var isOldestFirst: Bool {
        (kind == .app ? json["killSelection"] : scheduling["killSelection"]).string == "OLDEST_FIRST"
    }
    /// Seconds to wait before the first launch after a failure, its growth and its limit.
    var backoff: (seconds: Double, factor: Double, limit: Double) {
        kind == .app
            ? (
                json["backoffSeconds"].double ?? 1, json["backoffFactor"].double ?? 1.15,
                json["maxLaunchDelaySeconds"].double ?? 300
            )
            : (
                scheduling["backoff"]["backoff"].double ?? 1, scheduling["backoff"]["backoffFactor"].double ?? 1.15,
                scheduling["backoff"]["maxLaunchDelay"].double ?? 300
            )
    }
    /// Seconds after which an unreachable instance is replaced, and forgotten; nil: never.
    var unreachable: (inactiveAfter: Double, expungeAfter: Double)? {
        let strategy = kind == .app ? json["unreachableStrategy"] : scheduling["unreachableStrategy"]
        if strategy.string != nil { return nil }
        return (strategy["inactiveAfterSeconds"].double ?? 0, strategy["expungeAfterSeconds"].double ?? 0)
    }
    /// Constraints as apps write them: `[field, operator, value?]`.
    var constraints: [JSON] {
        if kind == .app { return json["constraints"].elements }
        return scheduling["placement"]["constraints"].elements.map { constraint in
            [constraint["fieldName"], constraint["operator"]]
                + (constraint["value"].isNull ? [] : [constraint["value"]])
        }.map { JSON.array($0) }
    }
    var acceptedRoles: [String] {
        (kind == .app ? json["acceptedResourceRoles"] : scheduling["placement"]["acceptedResourceRoles"]).elements
            .compactMap(\.string)
    }

    var networkMode: String { json["networks"][0]["mode"].string ?? "host" }
    var isHostNetwork: Bool { networkMode == "host" }
    var container: JSON { json["container"] }
    /// The image of an app; nil when it runs on the host's own files.
    var image: String? { container["docker"]["image"].string }
    /// Options of Docker's command line that an app has.
    var dockerParameters: DockerParameters {
        DockerParameters(
            container["docker"]["parameters"].elements, isHostNetwork: isHostNetwork, hasShell: !json["cmd"].isNull)
    }
    var healthChecks: [JSON] { json["healthChecks"].elements }
    /// The health check of an app that its node runs: the one of Mesos, or the first.
    var probedCheck: Int? {
        healthChecks.isEmpty
            ? nil
            : healthChecks.firstIndex { check in
                let word = check["protocol"].string ?? "HTTP"
                return word == "COMMAND" || word.hasPrefix("MESOS_")
            } ?? 0
    }
    /// The health checks of an app that Marathon runs itself.
    var gatedChecks: [Int] { healthChecks.indices.filter { $0 != probedCheck } }
    var readinessChecks: [JSON] { json["readinessChecks"].elements }
    var isResident: Bool {
        kind == .app
            ? container["volumes"].elements.contains { !$0["persistent"].isNull }
            : json["volumes"].elements.contains { !$0["persistent"].isNull }
    }
    var isSingleInstance: Bool { labels["MARATHON_SINGLE_INSTANCE_APP"] == "true" }
    var hasUnsharedExternalVolume: Bool {
        container["volumes"].elements.contains { !$0["external"].isNull && $0["external"]["shared"].bool != true }
    }
    /// Whether instances have checks whose success they must show before they count.
    var hasHealthChecks: Bool {
        kind == .app ? !healthChecks.isEmpty : json["containers"].elements.contains { !$0["healthCheck"].isNull }
    }

    /// Ports of an app in order: definitions in host mode, mappings else.
    var ports: [JSON] {
        isHostNetwork ? json["portDefinitions"].elements : container["portMappings"].elements
    }
    /// The ports under which load balancers offer the app.
    var servicePorts: [Int] { ports.map { ($0[isHostNetwork ? "port" : "servicePort"].int) ?? 0 } }

    /// True when another definition has the same configuration, whatever its number of instances.
    func hasSameConfiguration(as other: RunSpec) -> Bool { configuration == other.configuration }

    private var configuration: JSON {
        var json = json
        for key in ["version", "versionInfo", "instances"] { json.removeMember(key) }
        json["scaling"].removeMember("instances")
        // Definitions of before say so of what is not there.
        if json["env"].object?.isEmpty == true { json.removeMember("env") }
        return json
    }

    /// True when an instance that was started with a version needs no restart.
    func isCurrent(_ instanceVersion: String) -> Bool {
        instanceVersion >= lastConfigChange && instanceVersion <= version
    }

    /// The definition as it is answered: pods do not show the book-keeping.
    var document: JSON {
        var json = json
        guard kind == .pod else {
            if !healthChecks.isEmpty { json["healthChecks"] = .array(healthChecks.map(Self.answered)) }
            return json
        }
        json.removeMember("versionInfo")
        let containers = json["containers"].elements
        if containers.contains(where: { !$0["healthCheck"].isNull }) {
            json["containers"] = .array(
                containers.map { container in
                    var container = container
                    if !container["healthCheck"].isNull {
                        container["healthCheck"] = Self.answered(container["healthCheck"])
                    }
                    return container
                })
        }
        return json
    }

    /// A health check as it is answered.
    static func answered(_ check: JSON) -> JSON {
        var check = check
        if check["delaySeconds"].isNull { check["delaySeconds"] = JSON(AppNormalization.standardDelay) }
        return check
    }

    // MARK: Extensions

    /// One instance on every node: the number of nodes is the number of instances.
    var isOnePerNode: Bool { json["onePerNode"].bool ?? false }
    /// Seconds after which a deployment that changes it is rolled back.
    var deploymentDeadline: Double? { json["deploymentDeadlineSeconds"].double }
}
