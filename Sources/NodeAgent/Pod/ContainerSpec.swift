import JSON
import ObjectModel

/// One container of a pod's spec.
struct ContainerSpec: Sendable {
    /// Which list it stands in; a sidecar is an init container that is restarted always.
    enum Kind: Sendable { case initial, sidecar, regular, ephemeral }

    var kind: Kind
    var name: String
    var image: String
    var pullPolicy: ImagePullPolicy
    var command: [String]
    var arguments: [String]
    var workingDirectory: String
    var environment: [JSON]
    var environmentFrom: [JSON]
    var ports: [ContainerPort]
    /// The number for each name by which probes and hooks may mean an assigned host port.
    var assignedPorts: [String: Int] = [:]
    var resources: ResourceRequirements
    var volumeMounts: [JSON]
    var liveness: Probe?
    var readiness: Probe?
    var startup: Probe?
    /// The check of a Mesos task that has a health check too: it is only told of.
    var check: Probe?
    var postStart: Handler?
    var preStop: Handler?
    var terminationMessagePath: String
    var terminationMessagePolicy: String
    var stdin: Bool
    var stdinOnce: Bool
    var tty: Bool
    var security: JSON
    var restartPolicy: RestartPolicy?
    var restartRules: [JSON]
    var resizePolicy: [JSON]
    /// Ephemeral containers may join another container's PID namespace.
    var targetContainerName: String

    init(_ json: JSON, kind: Kind) {
        self.kind = kind
        name = json["name"].string ?? ""
        image = json["image"].string ?? ""
        pullPolicy =
            json["imagePullPolicy"].string.flatMap(ImagePullPolicy.init)
            ?? ImagePullPolicy.standard(for: json["image"].string ?? "")
        command = json["command"].elements.compactMap(\.string)
        arguments = json["args"].elements.compactMap(\.string)
        workingDirectory = json["workingDir"].string ?? ""
        environment = json["env"].elements
        environmentFrom = json["envFrom"].elements
        ports = json["ports"].elements.map(ContainerPort.init)
        resources = ResourceRequirements(json["resources"])
        volumeMounts = json["volumeMounts"].elements
        liveness = Probe(json["livenessProbe"], kind: .liveness)
        readiness = Probe(json["readinessProbe"], kind: .readiness)
        startup = Probe(json["startupProbe"], kind: .startup)
        postStart = Handler(json["lifecycle"]["postStart"])
        preStop = Handler(json["lifecycle"]["preStop"])
        terminationMessagePath = json["terminationMessagePath"].string ?? "/dev/termination-log"
        terminationMessagePolicy = json["terminationMessagePolicy"].string ?? "File"
        stdin = json["stdin"].bool ?? false
        stdinOnce = json["stdinOnce"].bool ?? false
        tty = json["tty"].bool ?? false
        security = json["securityContext"]
        restartPolicy = json["restartPolicy"].string.flatMap(RestartPolicy.init)
        restartRules = json["restartPolicyRules"].elements
        resizePolicy = json["resizePolicy"].elements
        targetContainerName = json["targetContainerName"].string ?? ""
    }

    /// Changes when the container must be replaced: name or image changed.
    var hash: String {
        var state: UInt32 = 2_166_136_261
        for byte in Array(name.utf8) + [0] + Array(image.utf8) {
            state = (state ^ UInt32(byte)) &* 16_777_619
        }
        return String(state, radix: 16)
    }

    var probes: [Probe] { [startup, liveness, readiness, check].compactMap(\.self) }
    var isPrivileged: Bool { security["privileged"].bool ?? false }

    /// Takes what probes cannot say of a Mesos task's checks.
    mutating func refineProbes(_ extras: JSON) {
        startup?.refine(extras["health"])
        liveness?.refine(extras["health"])
        readiness?.refine(extras["health"])
        check = Probe(extras["check"], kind: .check)
    }

    /// Whether the container is to run again after it exited with this code.
    func restarts(afterExitCode code: Int, podPolicy: RestartPolicy) -> Bool {
        switch kind {
        case .sidecar: return true
        case .ephemeral: return false
        case .initial, .regular: break
        }
        for rule in restartRules {
            let values = rule["exitCodes"]["values"].elements.compactMap(\.int)
            let matches: Bool
            switch rule["exitCodes"]["operator"].string {
            case "In": matches = values.contains(code)
            case "NotIn": matches = !values.contains(code)
            default: matches = false
            }
            if matches, rule["action"].string == "Restart" { return true }
        }
        switch restartPolicy ?? podPolicy {
        case .always: return kind == .regular || code != 0
        case .onFailure: return code != 0
        case .never: return false
        }
    }
}

struct ContainerPort: Sendable {
    var name: String
    var containerPort: Int
    var hostPort: Int
    var hostIP: String
    var transport: String

    init(_ json: JSON) {
        name = json["name"].string ?? ""
        containerPort = json["containerPort"].int ?? 0
        hostPort = json["hostPort"].int ?? 0
        hostIP = json["hostIP"].string ?? ""
        transport = json["protocol"].string ?? "TCP"
    }
}

/// What a probe or a lifecycle hook does.
enum Handler: Sendable {
    case exec([String])
    case http(HTTPAction)
    case tcp(host: String, port: JSON)
    case grpc(port: Int, service: String)
    case sleep(seconds: Int)

    struct HTTPAction: Sendable {
        var scheme: String
        var host: String
        var port: JSON
        var path: String
        var headers: [(String, String)]
    }

    init?(_ json: JSON) {
        if !json["exec"].isNull {
            self = .exec(json["exec"]["command"].elements.compactMap(\.string))
        } else if !json["httpGet"].isNull {
            let get = json["httpGet"]
            self = .http(
                HTTPAction(
                    scheme: get["scheme"].string ?? "HTTP", host: get["host"].string ?? "", port: get["port"],
                    path: get["path"].string ?? "/",
                    headers: get["httpHeaders"].elements.map { ($0["name"].string ?? "", $0["value"].string ?? "") }))
        } else if !json["tcpSocket"].isNull {
            self = .tcp(host: json["tcpSocket"]["host"].string ?? "", port: json["tcpSocket"]["port"])
        } else if !json["grpc"].isNull {
            self = .grpc(port: json["grpc"]["port"].int ?? 0, service: json["grpc"]["service"].string ?? "")
        } else if !json["sleep"].isNull {
            self = .sleep(seconds: min(json["sleep"]["seconds"].int ?? 0, 1_000_000_000))
        } else {
            return nil
        }
    }

    /// A port number, or the number of the container's port with that name.
    static func port(_ value: JSON, of container: ContainerSpec) -> Int? {
        if let number = value.int { return (1...65535).contains(number) ? number : nil }
        guard let name = value.string else { return nil }
        return container.ports.first { $0.name == name }?.containerPort ?? container.assignedPorts[name] ?? Int(name)
    }
}

/// One probe of a container.
struct Probe: Sendable {
    enum Kind: String, Sendable, Hashable, CaseIterable {
        case startup = "Startup"
        case liveness = "Liveness"
        case readiness = "Readiness"
        /// Of a Mesos task: its result decides nothing.
        case check = "Check"
    }
    var kind: Kind
    var handler: Handler
    var initialDelaySeconds: Int
    var periodSeconds: Int
    var timeoutSeconds: Int
    var successThreshold: Int
    var failureThreshold: Int
    var terminationGracePeriodSeconds: Int?
    // The times that are kept: those of Mesos tasks may be finer than seconds.
    var initialDelay: Duration
    var period: Duration
    var timeout: Duration

    init?(_ json: JSON, kind: Kind) {
        guard let handler = Handler(json) else { return nil }
        self.kind = kind
        self.handler = handler
        initialDelaySeconds = json["initialDelaySeconds"].int ?? 0
        periodSeconds = max(json["periodSeconds"].int ?? 10, 1)
        timeoutSeconds = max(json["timeoutSeconds"].int ?? 1, 1)
        successThreshold = max(json["successThreshold"].int ?? 1, 1)
        failureThreshold = max(json["failureThreshold"].int ?? 3, 1)
        terminationGracePeriodSeconds = json["terminationGracePeriodSeconds"].int.map { min($0, 1_000_000_000) }
        initialDelay = .seconds(initialDelaySeconds)
        period = .seconds(periodSeconds)
        timeout = .seconds(timeoutSeconds)
        refine(json)
    }

    /// Takes times in milliseconds. A probe without a delay keeps none.
    mutating func refine(_ times: JSON) {
        if let delay = times["initialDelayMilliseconds"].int, initialDelaySeconds > 0 {
            initialDelay = .milliseconds(min(max(delay, 0), 1_000_000_000_000))
        }
        if let period = times["periodMilliseconds"].int {
            self.period = .milliseconds(min(max(period, 50), 1_000_000_000_000))
        }
        if let timeout = times["timeoutMilliseconds"].int {
            self.timeout = .milliseconds(min(max(timeout, 10), 1_000_000_000_000))
        }
    }
}
