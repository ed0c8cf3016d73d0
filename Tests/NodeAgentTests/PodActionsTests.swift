import ContainerRuntime
import JSON
import ObjectModel
import Testing

@testable import NodeAgent

@Suite struct PodActionsTests {
    private func decide(
        _ pod: Pod, _ runtime: PodRuntime, started: Set<String>? = nil, failed: [String: Probe.Kind] = [:],
        mustRestart: Set<String> = [], backoff: RestartBackoff = RestartBackoff(), retryAt: [String: Timestamp] = [:]
    ) -> PodActions {
        let running = Set(runtime.containers.filter(\.isRunning).map(\.id))
        return PodActions.decide(
            PodSituation(
                pod: pod, runtime: runtime, now: t0, started: started ?? running, failedProbes: failed,
                mustRestart: mustRestart, backoff: backoff, retryAt: retryAt))
    }

    @Test("A new pod gets its sandbox first")
    func newPod() {
        #expect(decide(makePod(), PodRuntime()) == PodActions(createSandbox: true))
    }

    @Test("Regular containers start in spec order")
    func startsAll() {
        let pod = makePod(containers: [["name": "b", "image": "i"], ["name": "a", "image": "i"]])
        #expect(decide(pod, .ready()).start == ["b", "a"])
    }

    @Test("What runs is left alone")
    func runs() {
        let pod = makePod()
        #expect(decide(pod, .ready(.of(pod, "web", .running))) == PodActions())
    }

    @Test(
        "An ended container starts again as its policy says",
        arguments: [
            ("Always", 0, true), ("Always", 1, true), ("OnFailure", 0, false), ("OnFailure", 1, true),
            ("Never", 0, false), ("Never", 1, false),
        ])
    func restartPolicy(policy: String, exit: Int, restarts: Bool) {
        let pod = makePod(spec: ["restartPolicy": .string(policy)])
        let actions = decide(pod, .ready(.of(pod, "web", .exited, exit: exit)))
        #expect(actions == (restarts ? PodActions(start: ["web"]) : PodActions(finish: true)))
    }

    @Test("A rule of the container restarts for its exit codes although the pod never does")
    func restartRules() {
        let rule: JSON = ["action": "Restart", "exitCodes": ["operator": "In", "values": [42]]]
        let pod = makePod(
            spec: ["restartPolicy": "Never"],
            containers: [["name": "web", "image": "i", "restartPolicy": "Never", "restartPolicyRules": [rule]]])
        #expect(decide(pod, .ready(.of(pod, "web", .exited, exit: 42))).start == ["web"])
        #expect(decide(pod, .ready(.of(pod, "web", .exited, exit: 1))).finish)
    }

    @Test("Init containers run one at a time, and regular ones after all of them")
    func initOrder() {
        let pod = makePod(spec: ["initContainers": [["name": "i1", "image": "i"], ["name": "i2", "image": "i"]]])
        #expect(decide(pod, .ready()).start == ["i1"])
        #expect(decide(pod, .ready(.of(pod, "i1", .running))) == PodActions())
        #expect(decide(pod, .ready(.of(pod, "i1", .exited))).start == ["i2"])
        #expect(decide(pod, .ready(.of(pod, "i1", .exited), .of(pod, "i2", .exited))).start == ["web"])
        #expect(decide(pod, .ready(.of(pod, "i1", .exited, exit: 1))).start == ["i1"])
    }

    @Test("A failed init container ends a pod that never restarts")
    func initFails() {
        let pod = makePod(spec: ["restartPolicy": "Never", "initContainers": [["name": "i1", "image": "i"]]])
        #expect(decide(pod, .ready(.of(pod, "i1", .exited, exit: 1))) == PodActions(finish: true))
    }

    @Test("A sidecar must be started before the next, is restarted always, and does not keep a finished pod alive")
    func sidecars() {
        let sidecar: JSON = ["name": "side", "image": "i", "restartPolicy": "Always"]
        let pod = makePod(spec: ["restartPolicy": "Never", "initContainers": [sidecar]])
        #expect(decide(pod, .ready()).start == ["side"])
        #expect(decide(pod, .ready(.of(pod, "side", .running)), started: []).start == [])
        #expect(decide(pod, .ready(.of(pod, "side", .running))).start == ["web"])
        let crashed = decide(pod, .ready(.of(pod, "side", .exited), .of(pod, "web", .running)))
        #expect(crashed.start == ["side"])
        #expect(decide(pod, .ready(.of(pod, "side", .running), .of(pod, "web", .exited))).finish)
    }

    @Test("Init containers run again in a new sandbox, not when only a container restarts")
    func newSandbox() {
        let pod = makePod(spec: ["initContainers": [["name": "i1", "image": "i"]]])
        let old = PodRuntime.ready(
            .of(pod, "i1", .exited, sandbox: "s0"), .of(pod, "web", .exited, exit: 137, sandbox: "s0"))
        #expect(decide(pod, old).start == ["i1"])
        #expect(decide(pod, .ready(.of(pod, "i1", .exited), .of(pod, "web", .exited))).start == ["web"])
    }

    @Test("A lost sandbox is replaced for what is to run again, and not for a pod that never restarts")
    func lostSandbox() {
        for (policy, expected) in [("Always", true), ("Never", false)] {
            let pod = makePod(spec: ["restartPolicy": .string(policy)])
            var runtime = PodRuntime.ready(.of(pod, "web", .exited, exit: 137))
            runtime.sandbox?.isReady = false
            #expect(decide(pod, runtime).createSandbox == expected)
            #expect(decide(pod, runtime).finish == !expected)
        }
    }

    @Test("A new image replaces just that container")
    func imageChange() {
        let before = makePod(containers: [["name": "a", "image": "i:1"], ["name": "b", "image": "i:1"]])
        let after = makePod(containers: [["name": "a", "image": "i:2"], ["name": "b", "image": "i:1"]])
        let actions = decide(after, .ready(.of(before, "a", .running), .of(before, "b", .running)))
        #expect(actions == PodActions(kill: [ContainerKill(id: "a-0", name: "a", reason: .definitionChanged)]))
    }

    @Test("A failed liveness probe stops the container; it starts again even after exit code 0")
    func liveness() {
        let pod = makePod(spec: ["restartPolicy": "OnFailure"])
        let running = decide(pod, .ready(.of(pod, "web", .running)), failed: ["web-0": .liveness])
        #expect(running.kill == [ContainerKill(id: "web-0", name: "web", reason: .probeFailed(.liveness))])
        #expect(decide(pod, .ready(.of(pod, "web", .exited)), mustRestart: ["web-0"]).start == ["web"])
    }

    @Test("Crash back-off holds a start and says when to look again")
    func backoff() {
        let pod = makePod()
        var backoff = RestartBackoff()
        let key = pod.spec.containers[0].backoffKey
        backoff.next(key, event: t0, now: t0)
        let actions = decide(pod, .ready(.of(pod, "web", .exited, exit: 1)), backoff: backoff)
        #expect(actions == PodActions(backingOff: ["web"], checkAfter: .seconds(10)))
    }

    @Test("A container that could not be made waits for its next try")
    func retry() {
        let actions = decide(makePod(), .ready(), retryAt: ["web": t0 + .seconds(4)])
        #expect(actions == PodActions(checkAfter: .seconds(4)))
    }

    @Test("Ephemeral containers start once, also while others run")
    func ephemeral() {
        let pod = makePod(spec: ["ephemeralContainers": [["name": "debug", "image": "i"]]])
        #expect(decide(pod, .ready(.of(pod, "web", .running))).start == ["debug"])
        #expect(decide(pod, .ready(.of(pod, "web", .running), .of(pod, "debug", .exited))).start == [])
    }
}

@Suite struct RestartBackoffTests {
    @Test("Delays double to five minutes, and are forgotten after ten quiet ones")
    func doubles() {
        var backoff = RestartBackoff()
        var now = t0
        var delays: [Int64] = []
        for _ in 0..<7 {
            backoff.next("k", event: now, now: now)
            delays.append(backoff.remaining("k", event: now, now: now)?.components.seconds ?? 0)
            now = now + .seconds(300)
        }
        #expect(delays == [10, 20, 40, 80, 160, 300, 300])
        let later = now + .seconds(1000)
        #expect(backoff.remaining("k", event: later, now: later) == nil)
        backoff.next("k", event: later, now: later)
        #expect(backoff.delay("k") == .seconds(10))
    }

    @Test(arguments: [
        (Duration.milliseconds(12), "12ms"), (.seconds(10), "10s"), (.seconds(80), "1m20s"), (.seconds(300), "5m0s"),
        (.milliseconds(1204), "1.204s"), (.zero, "0s"), (.seconds(3600), "1h0m0s"),
    ])
    func goText(duration: Duration, text: String) {
        #expect(duration.goText == text)
    }
}
