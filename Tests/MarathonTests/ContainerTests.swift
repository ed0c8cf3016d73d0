import JSON
import Testing

@testable import Marathon

@Suite struct ContainerTests {
    private struct Nothing: Definitions {
        func spec(_ id: PathID) -> RunSpec? { nil }
        func group(_ id: PathID) -> GroupInfo? { nil }
        func specs(under id: PathID) -> [RunSpec] { [] }
        func groups(under id: PathID) -> [GroupInfo] { [] }
    }

    private func spec(_ members: JSON, kind: RunSpec.Kind = .app) throws -> RunSpec {
        var spec = try Documents.complete(members, kind: kind, id: PathID("/a"), in: Nothing())
        spec.json["version"] = "2026-01-01T00:00:00.000Z"
        return spec
    }
    private func pod(_ members: JSON, kind: RunSpec.Kind = .app) throws -> JSON {
        PodBuilder(frameworkID: "f").pod(try spec(members, kind: kind))
    }
    private func refusal(_ members: JSON, kind: RunSpec.Kind = .app) -> String {
        do {
            _ = try spec(members, kind: kind)
            return ""
        } catch {
            return "\(error)"
        }
    }
    private func docker(_ parameters: [(String, String)], _ more: JSON = .object([:])) -> JSON {
        var app: JSON = [
            "cmd": "run",
            "container": [
                "type": "DOCKER",
                "docker": [
                    "image": "i",
                    "parameters": .array(parameters.map { ["key": .string($0.0), "value": .string($0.1)] }),
                ],
            ],
        ]
        for (name, value) in more.members { app[name] = value }
        return app
    }

    @Test func optionsOfDockerBecomePartsOfThePod() throws {
        let made = try pod(
            docker(
                [
                    ("env", "A=b=c"), ("label", "team=web"), ("hostname", "box"), ("user", "7:8"), ("workdir", "/w"),
                    ("cap-add", "CAP_SYS_TIME"), ("cap-drop", "all"), ("dns", "10.0.0.9"), ("dns-search", "corp"),
                    ("add-host", "db:10.1.1.1"), ("memory", "64m"), ("cpus", "0.5"), ("tmpfs", "/t:size=1m"),
                    ("volume", "/h:/c:ro"), ("ulimit", "nofile=10:20"), ("read-only", "true"), ("sysctl", "k=1"),
                ], ["networks": [["mode": "container", "name": "dcos"]]]))
        let container = made["spec"]["containers"][0]
        #expect(container["env"].elements.contains(["name": "A", "value": "b=c"]))
        #expect(made["metadata"]["labels"]["team"] == "web" && made["spec"]["hostname"] == "box")
        let security = container["securityContext"]
        #expect(security["runAsUser"] == 7 && security["runAsGroup"] == 8 && security["readOnlyRootFilesystem"] == true)
        #expect(security["capabilities"] == ["add": ["SYS_TIME"], "drop": ["ALL"]])
        #expect(container["workingDir"] == "/w")
        #expect(made["spec"]["dnsConfig"] == ["nameservers": ["10.0.0.9"], "searches": ["corp"]])
        #expect(made["spec"]["dnsPolicy"] == "None")
        #expect(made["spec"]["hostAliases"] == [["ip": "10.1.1.1", "hostnames": ["db"]]])
        #expect(container["resources"]["limits"] == ["memory": "67108864", "cpu": "500m"])
        #expect(
            container["resources"]["requests"]["cpu"] == "500m"
                && container["resources"]["requests"]["memory"] == "67108864")
        #expect(container["command"][2] == "ulimit -S -n 10 && ulimit -H -n 20 && run")
        let mounts = container["volumeMounts"].elements.dropFirst()
        #expect(mounts.map { $0["mountPath"] } == ["/t", "/c"] && mounts.last?["readOnly"] == true)
        #expect(made["spec"]["securityContext"]["sysctls"] == [["name": "k", "value": "1"]])
        for (key, value) in [
            ("log-driver", "syslog"), ("net", "host"), ("user", "bob"), ("volume", "data:/c"), ("hostname", "box"),
            ("ulimit", "nofile"), ("memory", "much"),
        ] { #expect(refusal(docker([(key, value)])).contains("Docker parameter"), "\(key)") }
    }

    @Test func networksAreKnownByName() {
        func app(_ name: JSON) -> JSON { docker([], ["networks": [["mode": "container", "name": name]]]) }
        #expect(refusal(app("dcos")) == "")
        #expect(refusal(app("elsewhere")).contains("'elsewhere' is not known; known are: dcos"))
        var mapped = app("dcos")
        mapped["container"]["portMappings"] = [["containerPort": 80, "networkNames": ["other"]]]
        #expect(refusal(mapped).contains("'other' is none of the app's networks"))
    }

    @Test func linuxInfoSharesAndConfines() throws {
        func app(_ info: JSON, image: Bool = true) -> JSON {
            var app: JSON = ["cmd": "run", "container": ["type": "MESOS", "linuxInfo": info]]
            if image { app["container"]["docker"] = ["image": "i"] }
            return app
        }
        let own = try pod(app(["ipcInfo": ["mode": "PRIVATE", "shmSize": 32]]))
        #expect(own["spec"]["volumes"].elements.last?["emptyDir"] == ["medium": "Memory", "sizeLimit": "32Mi"])
        #expect(own["spec"]["containers"][0]["volumeMounts"].elements.last?["mountPath"] == "/dev/shm")
        #expect(try pod(app(["ipcInfo": ["mode": "SHARE_PARENT"]]))["spec"]["hostIPC"] == true)
        #expect(refusal(app(["ipcInfo": ["mode": "SHARE_PARENT", "shmSize": 1]])).contains("PRIVATE only"))
        #expect(refusal(app(["ipcInfo": ["mode": "PRIVATE"]], image: false)).contains("needs an image"))
        let group: JSON = [
            "id": "/a", "linuxInfo": ["seccomp": ["unconfined": true]],
            "containers": [
                [
                    "name": "one", "resources": ["cpus": 1, "mem": 32], "image": ["kind": "DOCKER", "id": "i"],
                    "linuxInfo": ["seccomp": ["profileName": "p"], "ipcInfo": ["mode": "PRIVATE", "shmSize": 8]],
                ]
            ],
        ]
        let made = try pod(group, kind: .pod)
        #expect(made["spec"]["securityContext"]["seccompProfile"] == ["type": "Unconfined"])
        let profile = made["spec"]["containers"][0]["securityContext"]["seccompProfile"]
        #expect(profile == ["type": "Localhost", "localhostProfile": "p"])
        #expect(made["spec"]["containers"][0]["volumeMounts"].elements.last?["mountPath"] == "/dev/shm")
    }
}
