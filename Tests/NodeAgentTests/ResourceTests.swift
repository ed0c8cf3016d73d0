import ContainerRuntime
import JSON
import ObjectModel
import Testing

@testable import NodeAgent

@Suite struct ResourceTests {
    private func pod(_ resources: JSON...) -> Pod {
        makePod(
            containers: resources.enumerated().map { index, resources in
                ["name": .string("c\(index)"), "image": "i", "resources": resources]
            })
    }

    @Test("Quality of service")
    func quality() {
        let full: JSON = ["limits": ["cpu": "1", "memory": "1Gi"]]
        #expect(QualityOfService(pod([:]).spec) == .bestEffort)
        #expect(QualityOfService(pod(full).spec) == .guaranteed)
        #expect(QualityOfService(pod(full, [:]).spec) == .burstable)
        #expect(QualityOfService(pod(["requests": ["cpu": "1"]]).spec) == .burstable)
        let unequal: JSON = ["limits": ["cpu": "1", "memory": "1Gi"], "requests": ["cpu": "500m"]]
        #expect(QualityOfService(pod(unequal).spec) == .burstable)
    }

    @Test("cgroup arithmetic")
    func arithmetic() {
        #expect(CgroupMath.shares(milliCPU: 0) == 2)
        #expect(CgroupMath.shares(milliCPU: 1000) == 1024)
        #expect(CgroupMath.shares(milliCPU: 1 << 30) == 262_144)
        #expect(CgroupMath.quota(milliCPU: 500) == 50_000)
        #expect(CgroupMath.quota(milliCPU: 1) == 1000)
        #expect(CgroupMath.quota(milliCPU: 0) == nil)
        #expect(CgroupMath.shares(milliCPU: .max) == 262_144)
        #expect(CgroupMath.quota(milliCPU: .max) == 100_000_000_000)
        #expect(CgroupMath.weight(shares: 1024) == 39)
        #expect(CgroupMath.weight(shares: 2) == 1)
        #expect(CgroupMath.weight(shares: 262_144) == 10_000)
        func score(_ quality: QualityOfService, _ request: Int) -> Int64 {
            CgroupMath.oomScoreAdjustment(quality, memoryRequest: request, nodeMemory: 1000, isNodeCritical: false)
        }
        #expect(score(.guaranteed, 0) == -997)
        #expect(score(.bestEffort, 0) == 1000)
        #expect(score(.burstable, 0) == 999)
        #expect(score(.burstable, 250) == 750)
        #expect(score(.burstable, 1000) == 3)
    }

    @Test("A pod needs the larger of its initialisation's peak and what runs together")
    func podResources() {
        let spec: JSON = [
            "initContainers": [
                ["name": "s", "image": "i", "restartPolicy": "Always", "resources": ["requests": ["cpu": "100m"]]],
                ["name": "i", "image": "i", "resources": ["requests": ["cpu": "2"]]],
            ]
        ]
        let pod = makePod(
            spec: spec, containers: [["name": "c", "image": "i", "resources": ["requests": ["cpu": "1"]]]])
        #expect(PodResources(pod.spec).requestMilliCPU == 2100)
        #expect(PodResources(pod.spec).limitMilliCPU == nil)
    }

    @Test("Limits of a container, request from limit, oom score never below what this process may give")
    func container() {
        let pod = pod(["limits": ["cpu": "500m", "memory": "64Mi", "hugepages-2Mi": "4Mi"]])
        let builder = ContainerConfigBuilder(
            pod: pod, clusterID: "t",
            files: PodNetworkFiles(pod: pod, clusterDomain: "c.l", clusterDNS: "", nodeHostname: "n"),
            resolver: ResolverConfiguration(), cgroupParent: "/apus-t/podu", logDirectory: "/l", nodeMemory: 1 << 30,
            lowestOOMScore: 0, isCgroupV2: true)
        let resources = builder.resources(pod.spec.containers[0])
        #expect(resources.cpuShares == 512)
        #expect(resources.cpuQuota == 50_000)
        #expect(resources.memoryLimitBytes == 67_108_864)
        #expect(resources.oomScoreAdjustment == 0)
        #expect(resources.hugepageLimits == ["2MB": 4 << 20])
        #expect(resources.unified == ["memory.oom.group": "1"])
    }

    @Test("runAsNonRoot refuses root in every disguise")
    func nonRoot() throws {
        func make(_ security: JSON, _ image: ImageStatus) throws {
            let pod = makePod(containers: [["name": "web", "image": "i", "securityContext": security]])
            let builder = ContainerConfigBuilder(
                pod: pod, clusterID: "t",
                files: PodNetworkFiles(pod: pod, clusterDomain: "c.l", clusterDNS: "", nodeHostname: "n"),
                resolver: ResolverConfiguration(), cgroupParent: "", logDirectory: "", nodeMemory: 1, lowestOOMScore: 0,
                isCgroupV2: false)
            _ = try builder.container(
                pod.spec.containers[0], attempt: 0, image: image, environment: [:], mounts: [], target: nil)
        }
        func image(_ id: Int64?, _ name: String = "") -> ImageStatus {
            ImageStatus(id: "x", tags: [], digests: [], sizeBytes: 1, userID: id, username: name)
        }
        #expect(throws: ConfigurationError.self) { try make(["runAsNonRoot": true], image(0)) }
        #expect(throws: ConfigurationError.self) { try make(["runAsNonRoot": true], image(nil)) }
        #expect(throws: ConfigurationError.self) { try make(["runAsNonRoot": true], image(nil, "web")) }
        #expect(throws: ConfigurationError.self) { try make(["runAsNonRoot": true, "runAsUser": 0], image(5)) }
        try make(["runAsNonRoot": true], image(5))
        try make(["runAsNonRoot": true, "runAsUser": 7], image(0))
    }

    @Test("v1 controllers are found where they are mounted, also in pairs")
    func controllers() {
        let table = """
            30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
            31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
            32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
            """
        #expect(
            CgroupManager.controllers(table) == [
                "cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
                "memory": "/sys/fs/cgroup/memory", "unified": "/sys/fs/cgroup/unified",
            ])
    }

    @Test("The node refuses what does not fit")
    func admission() {
        let node = PodAdmission.Node(
            labels: ["disk": "ssd"], name: "n1",
            allocatable: ["cpu": Quantity(1), "memory": .bytes(1 << 30), "pods": Quantity(2)])
        let small = pod(["requests": ["cpu": "600m"]])
        #expect(PodAdmission.check(small, node: node, others: []) == nil)
        let second = PodAdmission.check(small, node: node, others: [small])
        #expect(second?.reason == "OutOfcpu")
        #expect(
            second?.message
                == "Pod was rejected: Node didn't have enough resource: cpu, requested: 600, used: 600, capacity: 1000")
        #expect(
            PodAdmission.check(makePod(spec: ["nodeSelector": ["disk": "hdd"]]), node: node, others: [])?.reason
                == "NodeAffinity")
        let port = makePod(containers: [["name": "c", "image": "i", "ports": [["containerPort": 1, "hostPort": 80]]]])
        #expect(PodAdmission.check(port, node: node, others: [port])?.reason == "NodePorts")
        #expect(PodAdmission.check(makePod(), node: node, others: [makePod(), makePod()])?.reason == "OutOfpods")
    }
}

@Suite struct ProbeStateTests {
    @Test("Thresholds count outcomes in a row")
    func thresholds() throws {
        let probe = try #require(
            Probe(["tcpSocket": ["port": 1], "failureThreshold": 2, "successThreshold": 2], kind: .readiness))
        var state = ProbeState(probe)
        let outcomes = [true, true, false, true, false, false, true, true].map { state.record($0) }
        #expect(outcomes == [nil, true, nil, nil, nil, false, nil, true])
    }
}

@Suite struct ImageNameTests {
    @Test(arguments: [
        ("nginx", "docker.io/library/nginx:latest"), ("nginx:1.2", "docker.io/library/nginx:1.2"),
        ("a/b", "docker.io/a/b:latest"), ("127.0.0.1:5000/x/y:z", "127.0.0.1:5000/x/y:z"),
        ("localhost/x", "localhost/x:latest"), ("Bad/UPPER", nil), ("x:", nil), ("", nil), ("a//b", nil), ("a b", nil),
    ])
    func names(text: String, canonical: String?) {
        #expect(ImageName(text)?.canonical == canonical)
    }

    @Test("Pull policy when none is written")
    func policy() {
        #expect(ImagePullPolicy.standard(for: "a") == .always)
        #expect(ImagePullPolicy.standard(for: "a:latest") == .always)
        #expect(ImagePullPolicy.standard(for: "a:1") == .ifNotPresent)
    }

    @Test("Credentials: the most special entry first, others not at all")
    func credentials() throws {
        var secrets = RegistrySecrets()
        // {"auths":{"r.io":{"auth":"dTpw"},"r.io/team":{"username":"t","password":"q"},"other.io":{"auth":"eDp5"}}}
        let text =
            "eyJhdXRocyI6eyJyLmlvIjp7ImF1dGgiOiJkVHB3In0sInIuaW8vdGVhbSI6eyJ1c2VybmFtZSI6InQiLCJwYXNzd29yZCI6InEifSwi"
            + "b3RoZXIuaW8iOnsiYXV0aCI6ImVEcDUifX19"
        secrets.add(secret: ["data": [".dockerconfigjson": .string(text)]])
        let name = try #require(ImageName("r.io/team/app:1"))
        #expect(secrets.matching(name).map(\.username) == ["t", "u"])
        #expect(secrets.matching(name).last?.password == "p")
    }
}
