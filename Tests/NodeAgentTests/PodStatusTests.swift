import ContainerRuntime
import JSON
import ObjectModel
import Testing

@testable import NodeAgent

@Suite struct PodStatusTests {
    private func build(_ pod: Pod, _ runtime: PodRuntime, _ change: (inout PodStatusBuilder) -> Void = { _ in }) -> JSON
    {
        let running = Set(runtime.containers.filter(\.isRunning).map(\.id))
        var builder = PodStatusBuilder(
            pod: pod, runtime: runtime,
            addresses: PodAddresses(pod: runtime.sandbox?.addresses ?? [], host: ["192.0.2.1"]), startTime: t0,
            started: running, ready: running)
        change(&builder)
        return builder.build()
    }
    private func condition(_ status: JSON, _ type: String) -> JSON {
        status["conditions"].elements.first { $0["type"].string == type } ?? .null
    }

    @Test("A pod that was just taken: Pending, ContainerCreating, five conditions in order")
    func fresh() {
        let status = build(makePod(), PodRuntime())
        #expect(status["phase"] == "Pending")
        #expect(status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating")
        #expect(
            status["conditions"].elements.map { "\($0["type"].string ?? "")=\($0["status"].string ?? "")" } == [
                "PodReadyToStartContainers=False", "Initialized=True", "Ready=False", "ContainersReady=False",
                "PodScheduled=True",
            ])
        #expect(condition(status, "Ready")["message"] == "containers with unready status: [web]")
        #expect(status["qosClass"] == "BestEffort")
        #expect(status["hostIP"] == "192.0.2.1")
        #expect(status["podIP"].isNull)
    }

    @Test("A running, ready pod")
    func running() {
        let pod = makePod()
        let status = build(pod, .ready(.of(pod, "web", .running)))
        #expect(status["phase"] == "Running")
        #expect(status["podIP"] == "10.1.0.2")
        #expect(condition(status, "Ready")["status"] == "True")
        #expect(condition(status, "PodReadyToStartContainers")["observedGeneration"] == 1)
        let container = status["containerStatuses"][0]
        #expect(container["ready"] == true)
        #expect(container["started"] == true)
        #expect(container["containerID"] == "containerd://web-0")
        #expect(container["restartCount"] == 0)
    }

    @Test("A readiness probe that has not succeeded keeps the pod unready")
    func unready() {
        let pod = makePod(containers: [["name": "web", "image": "i", "readinessProbe": ["tcpSocket": ["port": 1]]]])
        let status = build(pod, .ready(.of(pod, "web", .running))) { $0.ready = [] }
        #expect(status["phase"] == "Running")
        #expect(condition(status, "ContainersReady")["reason"] == "ContainersNotReady")
    }

    @Test("Crash back-off: waiting now, terminated before")
    func crashLoop() {
        let pod = makePod()
        let status = build(pod, .ready(.of(pod, "web", .exited, exit: 3, attempt: 2))) {
            $0.waiting["web"] = WaitingReason(reason: "CrashLoopBackOff", message: "back-off")
        }
        #expect(status["phase"] == "Running")
        let container = status["containerStatuses"][0]
        #expect(container["state"]["waiting"]["reason"] == "CrashLoopBackOff")
        #expect(container["lastState"]["terminated"]["exitCode"] == 3)
        #expect(container["restartCount"] == 2)
    }

    @Test("After a restart the last end is told")
    func lastState() {
        let pod = makePod()
        let status = build(pod, .ready(.of(pod, "web", .exited, exit: 137), .of(pod, "web", .running, attempt: 1))) {
            $0.terminationMessages["web-0"] = "bye"
        }
        let container = status["containerStatuses"][0]
        #expect(container["lastState"]["terminated"]["exitCode"] == 137)
        #expect(container["lastState"]["terminated"]["message"] == "bye")
        #expect(container["restartCount"] == 1)
    }

    @Test(
        "Ends by restart policy and exit code",
        arguments: [
            ("Never", 0, "Succeeded", "PodCompleted"), ("Never", 1, "Failed", "PodFailed"),
            ("OnFailure", 0, "Succeeded", "PodCompleted"), ("OnFailure", 1, "Running", "ContainersNotReady"),
            ("Always", 0, "Running", "ContainersNotReady"),
        ])
    func ends(policy: String, exit: Int, phase: String, reason: String) {
        let pod = makePod(spec: ["restartPolicy": .string(policy)])
        let status = build(pod, .ready(.of(pod, "web", .exited, exit: exit)))
        #expect(status["phase"].string == phase)
        #expect(condition(status, "Ready")["reason"].string == reason)
    }

    @Test("Initialisation: others wait as PodInitializing, and the incomplete ones are named")
    func initializing() {
        let pod = makePod(spec: ["initContainers": [["name": "a", "image": "i"], ["name": "b", "image": "i"]]])
        let status = build(pod, .ready(.of(pod, "a", .running)))
        #expect(status["phase"] == "Pending")
        #expect(status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing")
        #expect(condition(status, "Initialized")["message"] == "containers with incomplete status: [a b]")
    }

    @Test("A failed init container fails a pod that never restarts")
    func initFailure() {
        let pod = makePod(spec: ["restartPolicy": "Never", "initContainers": [["name": "a", "image": "i"]]])
        #expect(build(pod, .ready(.of(pod, "a", .exited, exit: 1)))["phase"] == "Failed")
    }

    @Test("A sidecar's end does not decide the phase, its readiness does count")
    func sidecar() {
        let sidecar: JSON = ["name": "s", "image": "i", "restartPolicy": "Always"]
        let pod = makePod(spec: ["restartPolicy": "Never", "initContainers": [sidecar]])
        let done = build(pod, .ready(.of(pod, "s", .exited, exit: 9), .of(pod, "web", .exited)))
        #expect(done["phase"] == "Succeeded")
        let unready = build(pod, .ready(.of(pod, "s", .exited, exit: 9), .of(pod, "web", .running)))
        #expect(condition(unready, "Ready")["message"] == "containers with unready status: [s]")
    }

    @Test("A deleted pod that was stopped is Failed unless all ended well")
    func stopped() {
        let pod = makePod()
        #expect(build(pod, .ready(.of(pod, "web", .exited, exit: 137))) { $0.isStopped = true }["phase"] == "Failed")
        #expect(build(pod, .ready(.of(pod, "web", .exited))) { $0.isStopped = true }["phase"] == "Succeeded")
    }

    @Test("Terminal phases never change back")
    func terminal() {
        let pod = makePod(status: ["phase": "Failed"])
        #expect(build(pod, .ready(.of(pod, "web", .running)))["phase"] == "Failed")
    }

    @Test("A readiness gate that is not true holds Ready only")
    func gates() {
        let pod = makePod(spec: ["readinessGates": [["conditionType": "x.io/ok"]]])
        let status = build(pod, .ready(.of(pod, "web", .running)))
        #expect(condition(status, "ContainersReady")["status"] == "True")
        #expect(condition(status, "Ready")["reason"] == "ReadinessGatesNotReady")
    }

    @Test("Merging keeps foreign conditions and transition times, and drops what is over")
    func merge() {
        let existing: JSON = [
            "phase": "Failed", "reason": "Old", "nominatedNodeName": "n",
            "conditions": [
                ["type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"],
                ["type": "DisruptionTarget", "status": "True"],
            ],
        ]
        let ours: JSON = [
            "phase": "Running",
            "conditions": [["type": "Ready", "status": "True"], ["type": "PodScheduled", "status": "True"]],
        ]
        let merged = StatusMerge.merge(existing, with: ours, now: t0)
        #expect(merged["reason"].isNull)
        #expect(merged["nominatedNodeName"] == "n")
        #expect(merged["conditions"][0]["lastTransitionTime"] == "2020-01-01T00:00:00Z")
        #expect(merged["conditions"][1]["lastTransitionTime"].string == t0.rfc3339)
        #expect(merged["conditions"][2]["type"] == "DisruptionTarget")
        #expect(StatusMerge.merge(merged, with: ours, now: t0 + .seconds(9)) == merged)
    }
}
