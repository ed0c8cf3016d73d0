/// The members of app and pod documents and their types.
enum Shapes {
    static let networkModes = ["container", "container/bridge", "host"]
    private static let labels = Shape.map(.string)
    private static let environment = Shape.map(.stringOr(.object(["secret": .string], required: ["secret"])))
    private static let port = Shape.int(minimum: 0, maximum: 65535)

    private static let network = Shape.object(
        ["mode": .words(networkModes), "name": .string, "labels": labels])
    private static let fetch = Shape.object(
        [
            "uri": .string, "extract": .bool, "executable": .bool, "cache": .bool, "destPath": .string,
        ], required: ["uri"])
    private static let appMapping = Shape.object([
        "containerPort": port, "hostPort": port, "servicePort": port, "protocol": .words(["tcp", "udp", "udp,tcp"]),
        "name": .string, "labels": labels, "networkNames": .list(.string),
    ])
    private static let volume = Shape.object(
        [
            "containerPath": .string, "hostPath": .string, "mode": .words(["RO", "RW"]), "secret": .string,
            "external": .object([
                "name": .string, "provider": .string, "size": .int(minimum: 0), "shared": .bool, "options": .anything,
            ]),
            "persistent": .object([
                "type": .words(["root", "path", "mount"]), "size": .int(minimum: 1), "maxSize": .int(minimum: 0),
                "profileName": .string, "constraints": .list(.list(.string)),
            ]),
        ])
    private static let docker = Shape.object(
        [
            "image": .string, "credential": .anything, "pullConfig": .object(["secret": .string]),
            "forcePullImage": .bool, "parameters": .list(.object(["key": .string, "value": .string])),
            "privileged": .bool, "network": .words(["BRIDGE", "HOST", "NONE", "USER"]),
            "portMappings": .list(appMapping),
        ])
    private static let linuxInfo = Shape.object([
        "seccomp": .object(["profileName": .string, "unconfined": .bool]),
        "ipcInfo": .object(["mode": .words(["PRIVATE", "SHARE_PARENT"]), "shmSize": .int(minimum: 0)]),
    ])
    private static let container = Shape.object([
        "type": .words(["DOCKER", "MESOS"]), "docker": docker, "portMappings": .list(appMapping),
        "volumes": .list(volume), "linuxInfo": linuxInfo,
    ])
    private static let healthCheck = Shape.object([
        "protocol": .words(["HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"]),
        "path": .string, "portIndex": .int(minimum: 0), "port": .int(minimum: 1, maximum: 65535),
        "command": .object(["value": .string], required: ["value"]), "gracePeriodSeconds": .int(minimum: 0),
        "intervalSeconds": .int(minimum: 0), "timeoutSeconds": .int(minimum: 0),
        "maxConsecutiveFailures": .int(minimum: 0), "delaySeconds": .int(minimum: 0), "ignoreHttp1xx": .bool,
        "ipProtocol": .words(["IPv4", "IPv6"]),
    ])
    private static let readinessCheck = Shape.object([
        "name": .string, "protocol": .words(["HTTP", "HTTPS"]), "path": .string, "portName": .string,
        "intervalSeconds": .int(minimum: 0), "timeoutSeconds": .int(minimum: 0),
        "httpStatusCodesForReady": .list(.int(minimum: 100, maximum: 999)), "preserveLastResponse": .bool,
    ])
    private static let upgrade = Shape.object([
        "minimumHealthCapacity": .number(minimum: 0, maximum: 1),
        "maximumOverCapacity": .number(minimum: 0, maximum: 1),
    ])
    private static let unreachable = Shape.stringOr(
        .object(["inactiveAfterSeconds": .int(minimum: 0), "expungeAfterSeconds": .int(minimum: 0)]))
    private static let limits = Shape.object(["cpus": .numberOr("unlimited"), "mem": .numberOr("unlimited")])

    /// An app: what POST takes, and what PUT takes a part of.
    static let app = Shape.object(appMembers)
    static let appMembers: [String: Shape] = [
        "id": .string, "cmd": .string, "args": .list(.string), "cpus": .number(minimum: 0), "mem": .number(minimum: 0),
        "disk": .number(minimum: 0), "gpus": .int(minimum: 0), "instances": .int(minimum: 0, maximum: 1_000_000),
        "env": environment, "labels": labels, "user": .string, "executor": .string,
        "executorResources": .object([
            "cpus": .number(minimum: 0), "mem": .number(minimum: 0), "disk": .number(minimum: 0),
        ]),
        "fetch": .list(fetch), "uris": .list(.string), "storeUrls": .list(.string),
        "constraints": .list(.list(.string)), "acceptedResourceRoles": .list(.string),
        "backoffSeconds": .number(minimum: 0), "backoffFactor": .number(minimum: 1),
        "maxLaunchDelaySeconds": .number(minimum: 0), "container": container, "networks": .list(network),
        "portDefinitions": .list(
            .object(["port": port, "protocol": .words(["tcp", "udp", "udp,tcp"]), "name": .string, "labels": labels])),
        "ports": .list(port), "requirePorts": .bool, "ipAddress": .anything, "healthChecks": .list(healthCheck),
        "check": .anything, "readinessChecks": .list(readinessCheck), "dependencies": .list(.string),
        "upgradeStrategy": upgrade, "unreachableStrategy": unreachable,
        "killSelection": .words(["YOUNGEST_FIRST", "OLDEST_FIRST"]),
        "taskKillGracePeriodSeconds": .number(minimum: 0), "residency": .anything, "resourceLimits": limits,
        "secrets": .map(.object(["source": .string], required: ["source"])), "role": .string, "tty": .bool,
        "version": .string, "versionInfo": .anything,
        "autoscaling": autoscaling, "onePerNode": .bool, "deploymentDeadlineSeconds": .number(minimum: 1),
        "canary": .object(
            ["steps": .list(.int(minimum: 1)), "pauseSeconds": .number(minimum: 0)], required: ["steps"]),
        "priorityClassName": .string,
    ]
    private static let autoscaling = Shape.object(
        [
            "minInstances": .int(minimum: 0), "maxInstances": .int(minimum: 1), "targetCpuPercent": .int(minimum: 1),
            "targetMemPercent": .int(minimum: 1),
        ], required: ["maxInstances"])

    private static let endpoint = Shape.object(
        [
            "name": .string, "containerPort": port, "hostPort": port, "protocol": .list(.words(["tcp", "udp"])),
            "labels": labels, "networkNames": .list(.string),
        ], required: ["name"])
    private static let command = Shape.object(["shell": .string, "argv": .list(.string)])
    private static let podHealthCheck = Shape.object([
        "http": .object(
            ["endpoint": .string, "path": .string, "scheme": .words(["HTTP", "HTTPS"])], required: ["endpoint"]),
        "tcp": .object(["endpoint": .string], required: ["endpoint"]),
        "exec": .object(["command": command], required: ["command"]), "gracePeriodSeconds": .int(minimum: 0),
        "intervalSeconds": .int(minimum: 0), "maxConsecutiveFailures": .int(minimum: 0),
        "timeoutSeconds": .int(minimum: 0), "delaySeconds": .int(minimum: 0),
    ])
    private static let podContainer = Shape.object(
        [
            "name": .string,
            "exec": .object(["command": command, "overrideEntrypoint": .bool], required: ["command"]),
            "resources": .object([
                "cpus": .number(minimum: 0), "mem": .number(minimum: 0), "disk": .number(minimum: 0),
                "gpus": .int(minimum: 0),
            ]),
            "resourceLimits": limits, "endpoints": .list(endpoint),
            "image": .object(
                [
                    "kind": .words(["DOCKER", "APPC"]), "id": .string, "pullConfig": .object(["secret": .string]),
                    "forcePull": .bool, "labels": labels,
                ], required: ["kind", "id"]),
            "environment": environment, "user": .string, "healthCheck": podHealthCheck, "check": .anything,
            "volumeMounts": .list(
                .object(["name": .string, "mountPath": .string, "readOnly": .bool], required: ["name", "mountPath"])),
            "artifacts": .list(fetch), "labels": labels,
            "lifecycle": .object(["killGracePeriodSeconds": .number(minimum: 0)]), "tty": .bool, "linuxInfo": linuxInfo,
        ], required: ["name", "resources"])
    private static let podVolume = Shape.object(
        ["name": .string, "host": .string, "secret": .string, "persistent": .anything], required: ["name"])

    /// A pod.
    static let pod = Shape.object(podMembers, required: ["id", "containers"])
    static let podMembers: [String: Shape] = [
        "id": .string, "labels": labels, "version": .string, "user": .string, "environment": environment,
        "containers": .list(podContainer), "secrets": .map(.object(["source": .string], required: ["source"])),
        "volumes": .list(podVolume), "networks": .list(network),
        "scaling": .object(["kind": .words(["fixed"]), "instances": .int(minimum: 0, maximum: 1_000_000)]),
        "scheduling": .object([
            "backoff": .object([
                "backoff": .number(minimum: 0), "backoffFactor": .number(minimum: 1),
                "maxLaunchDelay": .number(minimum: 0),
            ]),
            "upgrade": upgrade,
            "placement": .object([
                "constraints": .list(
                    .object(
                        ["fieldName": .string, "operator": .words(Constraint.operators), "value": .string],
                        required: ["fieldName", "operator"])),
                "acceptedResourceRoles": .list(.string),
            ]),
            "killSelection": .words(["YOUNGEST_FIRST", "OLDEST_FIRST"]), "unreachableStrategy": unreachable,
        ]),
        "executorResources": .object([
            "cpus": .number(minimum: 0), "mem": .number(minimum: 0), "disk": .number(minimum: 0),
        ]),
        "role": .string, "linuxInfo": linuxInfo, "legacySharedCgroups": .bool, "dependencies": .list(.string),
        "versionInfo": .anything,
    ]

    /// A group as PUT and POST take it; its apps and pods are checked one by one.
    static let group = Shape.object([
        "id": .string, "apps": .list(.anything), "pods": .list(.anything), "groups": .list(.anything),
        "dependencies": .list(.string), "version": .string, "scaleBy": .number(minimum: 0), "enforceRole": .bool,
    ])
}

/// The placement operators.
enum Constraint {
    static let operators = ["UNIQUE", "CLUSTER", "GROUP_BY", "MAX_PER", "LIKE", "UNLIKE", "IS"]
}
