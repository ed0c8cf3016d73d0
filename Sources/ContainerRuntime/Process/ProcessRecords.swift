import JSON
import ProcessShim

/// A sandbox of the process runtime: only a record, unless the pod has a network of its own.
struct ProcessSandbox: Sendable {
    var id: String
    var name: String
    var namespace: String
    var uid: String
    var attempt: UInt32
    var createdAt: Int64
    var labels: [String: String]
    var annotations: [String: String]
    var isReady = true
    /// The sandbox of the other runtime that holds the pod's network; empty with the machine's network.
    var networkSandbox = ""
    /// Path of that network namespace.
    var network = ""
    var addresses: [String] = []

    init(id: String, _ config: SandboxConfig, createdAt: Int64) {
        self.id = id
        name = config.name
        namespace = config.namespace
        uid = config.uid
        attempt = config.attempt
        self.createdAt = createdAt
        labels = config.labels
        annotations = config.annotations
    }

    init?(_ json: JSON) {
        guard let id = json["id"].string, let uid = json["uid"].string else { return nil }
        self.id = id
        self.uid = uid
        name = json["name"].string ?? ""
        namespace = json["namespace"].string ?? ""
        attempt = UInt32(truncatingIfNeeded: json["attempt"].int ?? 0)
        createdAt = Int64(json["createdAt"].int ?? 0)
        labels = Self.texts(json["labels"])
        annotations = Self.texts(json["annotations"])
        isReady = json["ready"].bool ?? false
        networkSandbox = json["networkSandbox"].string ?? ""
        network = json["network"].string ?? ""
        addresses = json["addresses"].elements.compactMap(\.string)
    }

    var json: JSON {
        [
            "id": .string(id), "uid": .string(uid), "name": .string(name), "namespace": .string(namespace),
            "attempt": JSON(Int(attempt)), "createdAt": .integer(createdAt), "labels": Self.json(labels),
            "annotations": Self.json(annotations), "ready": .bool(isReady),
            "networkSandbox": .string(networkSandbox), "network": .string(network),
            "addresses": .array(addresses.map(JSON.string)),
        ]
    }

    static func texts(_ json: JSON) -> [String: String] {
        var result: [String: String] = [:]
        for (name, value) in json.members { result[name] = value.string }
        return result
    }
    static func json(_ texts: [String: String]) -> JSON {
        var result: JSON = [:]
        for (name, value) in texts.sorted(by: { $0.key < $1.key }) { result[name] = .string(value) }
        return result
    }

    var summary: SandboxSummary {
        SandboxSummary(
            id: id, name: name, namespace: namespace, uid: uid, attempt: attempt, isReady: isReady,
            createdAt: createdAt, labels: labels, annotations: annotations, runtimeHandler: ProcessRuntime.handler)
    }
}

/// A container of the process runtime.
struct ProcessContainer: Sendable {
    var id: String
    var sandbox: String
    var podUID: String
    var name: String
    var attempt: UInt32
    var createdAt: Int64
    var image: String
    var logPath: String
    var labels: [String: String]
    var annotations: [String: String]
    var started: ShimStarted?
    var exit: ShimExit?

    init(id: String, sandbox: ProcessSandbox, _ config: ContainerConfig, logPath: String, createdAt: Int64) {
        self.id = id
        self.sandbox = sandbox.id
        podUID = sandbox.uid
        name = config.name
        attempt = config.attempt
        self.createdAt = createdAt
        image = config.userImage
        self.logPath = logPath
        labels = config.labels
        annotations = config.annotations
    }

    init?(_ json: JSON) {
        guard let id = json["id"].string, let sandbox = json["sandbox"].string, let uid = json["pod"].string else {
            return nil
        }
        self.id = id
        self.sandbox = sandbox
        podUID = uid
        name = json["name"].string ?? ""
        attempt = UInt32(truncatingIfNeeded: json["attempt"].int ?? 0)
        createdAt = Int64(json["createdAt"].int ?? 0)
        image = json["image"].string ?? ""
        logPath = json["logPath"].string ?? ""
        labels = ProcessSandbox.texts(json["labels"])
        annotations = ProcessSandbox.texts(json["annotations"])
    }

    var json: JSON {
        [
            "id": .string(id), "sandbox": .string(sandbox), "pod": .string(podUID), "name": .string(name),
            "attempt": JSON(Int(attempt)), "createdAt": .integer(createdAt), "image": .string(image),
            "logPath": .string(logPath), "labels": ProcessSandbox.json(labels),
            "annotations": ProcessSandbox.json(annotations),
        ]
    }

    var state: ContainerState { exit != nil ? .exited : started != nil ? .running : .created }

    var summary: ContainerSummary {
        ContainerSummary(
            id: id, sandbox: sandbox, name: name, attempt: attempt, state: state, createdAt: createdAt, image: image,
            labels: labels, annotations: annotations)
    }

    var status: ContainerStatus {
        var status = ContainerStatus()
        status.id = id
        status.name = name
        status.attempt = attempt
        status.state = state
        status.createdAt = createdAt
        status.startedAt = exit?.startedAt ?? started?.at ?? 0
        status.image = image
        status.imageReference = image
        status.labels = labels
        status.annotations = annotations
        status.logPath = logPath
        if let exit {
            status.finishedAt = exit.finishedAt
            status.exitCode = exit.code
            let plain = exit.isOutOfMemory ? "OOMKilled" : exit.code == 0 ? "Completed" : "Error"
            status.reason = exit.reason.isEmpty ? plain : exit.reason
            status.message = exit.message
        }
        return status
    }
}
