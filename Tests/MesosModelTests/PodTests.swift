import JSON
import Testing

@testable import MesosModel

@Suite struct PodTests {
    private let place = PodBuilder.Place(
        node: "n1", agentID: "m-S0", framework: ["user": "root", "name": "f", "checkpoint": true],
        frameworkID: "m-0000",
        role: "batch")
    private func scalar(_ name: String, _ value: Double) -> JSON {
        MesosResource(name, value).tree
    }
    private var task: JSON {
        [
            "name": "long", "task_id": ["value": "Long_0"], "agent_id": ["value": "m-S0"],
            "resources": [
                scalar("cpus", 0.1), scalar("mem", 16),
                ["name": "ports", "type": "RANGES", "ranges": ["range": [["begin": 31_000, "end": 31_001]]]],
            ],
            "command": [
                "value": "echo $$ $(date) $HOME", "uris": [["value": "http://x/y.tgz"]],
                "environment": ["variables": [["name": "A", "value": "b"]]],
            ],
        ]
    }

    @Test("A command task is a pod of one plain program on its node")
    func commandTask() throws {
        let pod = try PodBuilder.pod(task: task, place: place)
        let metadata = pod["metadata"], spec = pod["spec"]
        #expect(metadata["name"].string?.hasPrefix("long-0-") == true && metadata["namespace"] == "batch")
        #expect(metadata["labels"][MesosNames.taskLabel] == "Long_0")
        #expect(metadata["annotations"][MesosNames.assignedPortsAnnotation] == "31000,31001")
        #expect(metadata["finalizers"] == [.string(MesosNames.statusFinalizer)])
        #expect(spec["runtimeClassName"] == "process" && spec["nodeName"] == "n1" && spec["hostNetwork"] == true)
        #expect(spec["terminationGracePeriodSeconds"] == 3)
        let container = spec["containers"][0]
        #expect(container["image"] == "host")
        // Kubernetes reads `$$` as `$` and `$(NAME)` as a variable.
        #expect(container["command"] == ["/bin/sh", "-c", "echo $$$ $$(date) $HOME"])
        #expect(container["resources"]["requests"] == ["cpu": "100m", "memory": "16Mi"])
        #expect(container["resources"]["limits"]["memory"] == "48Mi")
        #expect(container["env"].elements.contains(["name": "A", "value": "b"]))
        #expect(metadata["annotations"][MesosNames.urisAnnotation].string?.contains("y.tgz") == true)
    }

    @Test("An image, a bridge and a health check are said in Kubernetes' words")
    func container() throws {
        var task = task
        task["command"] = ["shell": false, "value": "serve", "arguments": ["serve", "-p", "80"]]
        task["container"] = [
            "type": "MESOS", "mesos": ["image": ["type": "DOCKER", "docker": ["name": "nginx"]]],
            "network_infos": [["name": "net", "port_mappings": [["host_port": 31_000, "container_port": 80]]]],
            "volumes": [["container_path": "data", "host_path": "/srv", "mode": "RO"]],
        ]
        task["health_check"] = ["type": "HTTP", "http": ["port": 80, "path": "/h"], "grace_period_seconds": 25]
        task["limits"] = ["cpus": ["value": 2], "mem": ["value": "Infinity"]]
        let pod = try PodBuilder.pod(task: task, place: place)
        let spec = pod["spec"], container = spec["containers"][0]
        #expect(spec["runtimeClassName"].isNull && spec["hostNetwork"].isNull && container["image"] == "nginx")
        #expect(container["command"] == ["serve", "-p", "80"])
        #expect(container["ports"] == [["containerPort": 80, "hostPort": 31_000, "protocol": "TCP"]])
        #expect(container["workingDir"] == "/mnt/mesos/sandbox")
        let mount = container["volumeMounts"].elements.first { $0["readOnly"] == true }
        #expect(mount?["mountPath"] == "/mnt/mesos/sandbox/data")
        #expect(container["resources"]["limits"] == ["cpu": "2"])
        task["limits"] = ["mem": ["value": .number(JSONNumber(text: "1e30"))]]
        let most = try PodBuilder.pod(task: task, place: place)["spec"]["containers"][0]["resources"]["limits"]
        #expect(most["memory"].string?.hasPrefix("9007199254") == true)
        #expect(
            container["startupProbe"]["failureThreshold"] == 6 && container["livenessProbe"]["failureThreshold"] == 3)
        #expect(container["readinessProbe"]["httpGet"]["host"].isNull)
        task["container"]["network_infos"][0]["port_mappings"][0]["host_port"] = 80
        #expect(throws: MesosError.self) { try PodBuilder.pod(task: task, place: place) }
    }

    /// Without an image, too: the process runtime knows where the sandbox is.
    @Test func relativeVolumesAreInTheSandbox() throws {
        var task = task
        task["container"] = ["volumes": [["container_path": "data", "host_path": "/srv", "mode": "RW"]]]
        let container = try PodBuilder.pod(task: task, place: place)["spec"]["containers"][0]
        #expect(container["image"] == "host")
        #expect(container["volumeMounts"][0]["mountPath"] == "/mnt/mesos/sandbox/data")
    }

    @Test("Groups are pods of several containers, custom executors know their agent")
    func executors() throws {
        var second = task
        second["task_id"] = ["value": "long-0"]
        let executor: JSON = [
            "executor_id": ["value": "e"], "resources": [scalar("cpus", 0.05), scalar("mem", 32)],
            "command": ["value": "./run"],
        ]
        let group = try PodBuilder.pod(executor: executor, group: [task, second], place: place)
        let names = group["spec"]["containers"].elements.compactMap { $0["name"].string }
        #expect(names.count == 2 && Set(names).count == 2 && names[0] == "long-0")
        #expect(group["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "150m")
        let custom = try PodBuilder.pod(executor: executor, place: place)
        let env = custom["spec"]["containers"][0]["env"].elements
        #expect(env.contains(["name": "MESOS_AGENT_ENDPOINT", "value": "127.0.0.1:5051"]))
        #expect(env.contains(["name": "MESOS_RECOVERY_TIMEOUT", "value": "15mins"]))
        #expect(TaskProjection.tasks(of: custom).isEmpty)
        #expect(TaskProjection.tasks(of: group).map(\.executorID) == ["e", "e"])
    }

    private func projected(_ change: (inout JSON) -> Void) throws -> TaskProjection {
        var pod = try PodBuilder.pod(task: task, place: place)
        pod["metadata"]["uid"] = "u-1"
        pod["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        change(&pod)
        return try #require(TaskProjection.tasks(of: pod).first)
    }
    private func status(_ state: JSON, _ pod: inout JSON) {
        pod["status"] = ["phase": "Running", "containerStatuses": [["name": "task", "state": state, "ready": true]]]
    }
    private func ended(_ code: Int, reason: String = "Error", at time: String = "2026-01-01T00:00:09Z") -> JSON {
        [
            "terminated": [
                "exitCode": JSON(code), "reason": .string(reason), "startedAt": "2026-01-01T00:00:01Z",
                "finishedAt": .string(time),
            ]
        ]
    }

    @Test("The life of a task is read from its pod")
    func life() throws {
        #expect(try projected { _ in }.passed == [.staging])
        let running = try projected { status(["running": ["startedAt": "2026-01-01T00:00:01Z"]], &$0) }
        #expect(running.passed == [.starting, .running] && running.status["healthy"].isNull)
        #expect(running.status["timestamp"] == 1_767_225_601)
        #expect(running.status["executor_id"]["value"] == "Long_0")
        let finished = try projected { status(ended(0), &$0) }
        #expect(finished.passed == [.starting, .running, .finished])
        let failed = try projected { status(ended(3), &$0) }
        #expect(failed.status["message"] == "Command exited with status 3" && failed.state == .failed)
        let signalled = try projected { status(ended(143), &$0) }
        #expect(signalled.status["message"] == "Command terminated with signal Terminated")
        let memory = try projected { status(ended(137, reason: "OOMKilled"), &$0) }
        #expect(memory.status["reason"] == "REASON_CONTAINER_LIMITATION_MEMORY")
        #expect(memory.status["limitation"]["resources"][0]["name"] == "mem")
        let image = try projected { status(["waiting": ["reason": "ImagePullBackOff", "message": "no"]], &$0) }
        #expect(image.passed == [.failed] && image.status["reason"] == "REASON_CONTAINER_LAUNCH_FAILED")
        let refused = try projected {
            status(["waiting": ["reason": "ContainerCreating"]], &$0)
            $0["status"]["phase"] = "Failed"
            $0["status"]["message"] = "The node had condition: [DiskPressure]."
        }
        #expect(refused.passed == [.failed] && refused.status["message"] == "The node had condition: [DiskPressure].")
        // The same pod gives the same acknowledgement, every state one of its own.
        #expect(running.uuid(of: .running) == finished.uuid(of: .running))
        #expect(finished.uuid(of: .running) != finished.uuid(of: .finished))
        for state in finished.passed {
            _ = try MesosCodec.encode(finished.status(of: state), as: "mesos.v1.TaskStatus", format: .protobuf)
        }
    }

    @Test("Who was killed, by whom, and who ended before that")
    func kills() throws {
        func deleted(_ pod: inout JSON) {
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:13Z"
            pod["metadata"]["deletionGracePeriodSeconds"] = 3
        }
        let killing = try projected {
            status(["running": ["startedAt": "2026-01-01T00:00:01Z"]], &$0)
            deleted(&$0)
        }
        #expect(killing.state == .killing)
        let byHand = try projected {
            status(ended(143, at: "2026-01-01T00:00:11Z"), &$0)
            deleted(&$0)
        }
        #expect(byHand.state == .killed && byHand.status["message"] == "Pod was deleted")
        let asked = try projected {
            status(ended(143, at: "2026-01-01T00:00:11Z"), &$0)
            deleted(&$0)
            $0["metadata"]["annotations"][MesosNames.killAnnotation] = "REASON_FRAMEWORK_REMOVED: Framework is gone"
        }
        #expect(asked.status["reason"] == "REASON_FRAMEWORK_REMOVED" && asked.status["message"] == "Framework is gone")
        let byFramework = try projected {
            status(ended(143, at: "2026-01-01T00:00:11Z"), &$0)
            deleted(&$0)
            $0["metadata"]["annotations"][MesosNames.killAnnotation] = .string(MesosNames.frameworkKill)
        }
        #expect(byFramework.status["message"] == "Command terminated with signal Terminated")
        let unhealthy = try projected {
            status(ended(143), &$0)
            $0["status"]["conditions"] = [["type": .string(MesosNames.unhealthyCondition + "task"), "status": "True"]]
        }
        #expect(unhealthy.state == .killed && unhealthy.status["healthy"] == false)
        #expect(unhealthy.status["message"] == "Command terminated with signal Terminated")
        let before = try projected {
            status(ended(0, at: "2026-01-01T00:00:05Z"), &$0)
            deleted(&$0)
        }
        #expect(before.state == .finished)
        var lost = try PodBuilder.pod(task: task, place: place)
        status(["running": ["startedAt": "2026-01-01T00:00:01Z"]], &lost)
        #expect(TaskProjection.tasks(of: lost, isNodeLost: true).first?.state == .unreachable)
    }

    @Test("The time of one member of a group ends the others, too, but only those that still ran")
    func deadlines() throws {
        var tasks = ["limited", "other", "early"].map { id -> JSON in
            var task = task
            task["task_id"] = ["value": .string(id)]
            return task
        }
        tasks[0]["max_completion_time"] = ["nanoseconds": 5_000_000_000]
        let executor: JSON = ["executor_id": ["value": "e"], "type": "DEFAULT"]
        var pod = try PodBuilder.pod(executor: executor, group: tasks, place: place)
        // The group goes on when this one has ended in time.
        #expect(pod["spec"]["activeDeadlineSeconds"].isNull)
        pod["metadata"]["annotations"][MesosNames.killAnnotation] = .string(MesosNames.overdueKill(taskID: "limited"))
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:09Z"
        pod["metadata"]["deletionGracePeriodSeconds"] = 3
        func member(_ name: String, _ code: Int, _ time: String) -> JSON {
            ["name": .string(name), "state": ended(code, at: time)]
        }
        pod["status"] = [
            "phase": "Failed", "startTime": "2026-01-01T00:00:01Z",
            "containerStatuses": [
                member("limited", 143, "2026-01-01T00:00:06Z"), member("other", 143, "2026-01-01T00:00:06Z"),
                member("early", 3, "2026-01-01T00:00:03Z"),
            ],
        ]
        let found = TaskProjection.tasks(of: pod)
        #expect(found.map(\.state) == [.failed, .killed, .failed])
        #expect(found[0].status["reason"] == "REASON_MAX_COMPLETION_TIME_REACHED")
        #expect(found[2].status["message"] == "Command exited with status 3")
    }

    @Test("A pod of Kubernetes is one task")
    func plainPod() throws {
        let pod: JSON = [
            "metadata": ["name": "web", "namespace": "default", "uid": "u"],
            "spec": ["containers": [["name": "c", "resources": ["requests": ["cpu": "500m", "memory": "64Mi"]]]]],
            "status": [
                "phase": "Running", "podIP": "10.0.0.1",
                "containerStatuses": [["name": "c", "state": ["running": ["startedAt": "2026-01-01T00:00:01Z"]]]],
            ],
        ]
        let task = try #require(TaskProjection.tasks(of: pod).first)
        #expect(task.taskID == "web.default" && task.state == .running && task.role == "*" && task.frameworkID == nil)
        #expect(try Resources(trees: task.info["resources"].elements) == Resources(text: "cpus:0.5;mem:64"))
        #expect(task.containerStatus["network_infos"][0]["ip_addresses"][0]["ip_address"] == "10.0.0.1")
    }
}
