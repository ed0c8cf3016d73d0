/// The forms of Metronome's documents.
extension Form {
    private static let scheduleMembers: [String: Form] = [
        "id": .id(.job), "cron": .text(), "timezone": .text(), "startingDeadlineSeconds": .whole(minimum: 1),
        "concurrencyPolicy": .word(["ALLOW", "FORBID"]), "enabled": .flag,
    ]

    /// A schedule by itself.
    static let schedule = Form.object(
        scheduleMembers.merging(["id": .id(.schedule)]) { $1 }, required: ["id", "cron"], isClosed: false)

    /// A job with its schedules.
    static let job = Form.object(
        [
            "id": .id(.job), "description": .text(), "labels": .map(.text()),
            "dependencies": .list(.object(["id": .id(.job)], required: ["id"], isClosed: false)),
            "schedules": .list(.object(scheduleMembers, required: ["id", "cron"], isClosed: false)), "run": run,
        ], required: ["id", "run"])

    private static let run = Form.object(
        [
            "cmd": .text(minimumLength: 1), "args": .list(.text()), "user": .text(), "cpus": .number(minimum: 0.01),
            "mem": .number(minimum: 32), "disk": .number(minimum: 0), "gpus": .whole(minimum: 0),
            "artifacts": .list(
                .object(
                    ["uri": .text(), "executable": .flag, "extract": .flag, "cache": .flag], required: ["uri"])),
            "networks": .list(
                .object(
                    [
                        "name": .text(), "mode": .word(["host", "container/bridge", "container"]),
                        "labels": .map(.text()),
                    ], required: ["mode"])),
            "ucr": .object(["image": image, "privileged": .flag], required: ["image"]),
            "docker": .object(
                [
                    "image": .text(), "forcePullImage": .flag, "privileged": .flag,
                    "parameters": .list(.object(["key": .text(), "value": .text()], required: ["key", "value"])),
                ], required: ["image"]),
            "env": .map(.textOr(.object(["secret": .text()], required: ["secret"], isClosed: false))),
            "maxLaunchDelay": .whole(minimum: 1),
            "placement": .object(["constraints": .list(constraint)]),
            "restart": .object(
                ["policy": .word(["NEVER", "ON_FAILURE"]), "activeDeadlineSeconds": .whole(minimum: 0)],
                required: ["policy"]),
            "taskKillGracePeriodSeconds": .number(minimum: 0),
            "volumes": .list(
                .object(
                    [
                        "containerPath": .text(minimumLength: 1), "hostPath": .text(minimumLength: 1),
                        "mode": .word(["RO", "RW"]), "secret": .text(minimumLength: 1),
                    ], required: ["containerPath"])),
            "secrets": .map(.object(["source": .text(minimumLength: 1)], required: ["source"], isClosed: false)),
        ], required: ["cpus", "mem", "disk"])

    private static let image = Form.object(
        ["id": .text(), "kind": .word(["docker", "appc"]), "forcePull": .flag], required: ["id"])

    private static let constraint = Form.object(
        ["attribute": .text(), "operator": .word(["IS", "EQ", "LIKE", "UNLIKE"]), "value": .text()],
        required: ["attribute", "operator"])
}
