import JSON
import Testing

@testable import Marathon

private struct Fixed: Definitions {
    var byID: [PathID: RunSpec] = [:]
    var groupsByID: [PathID: GroupInfo] = [:]
    func spec(_ id: PathID) -> RunSpec? { byID[id] }
    func group(_ id: PathID) -> GroupInfo? { groupsByID[id] }
    func specs(under id: PathID) -> [RunSpec] { byID.values.filter { id.contains($0.id) } }
    func groups(under id: PathID) -> [GroupInfo] { groupsByID.values.filter { id.contains($0.id) } }
}

private func app(_ id: String, _ members: JSON = .object([:])) -> RunSpec {
    var json: JSON = ["id": .string(id), "version": "1", "cmd": "run", "instances": 1]
    for (key, value) in members.members { json[key] = value }
    return RunSpec(kind: .app, json: json)
}

@Suite struct PlanTests {
    @Test(arguments: [
        // target, current, healthy, minimum, over, killed at once, at most
        (10, 10, 10, 1.0, 1.0, 0, 20), (10, 10, 10, 0.5, 0.2, 5, 12), (10, 10, 10, 1.0, 0.0, 0, 11),
        (10, 10, 8, 0.5, 0.0, 3, 10), (3, 3, 3, 1.0, 0.5, 0, 4), (5, 10, 10, 1.0, 1.0, 5, 10),
        (1, 1, 1, 0.0, 0.0, 1, 1), (10, 10, 10, 0.9, 0.1, 1, 11), (0, 3, 3, 1.0, 1.0, 3, 0),
    ])
    func restartsKeepTheirLimits(
        _ target: Int, _ current: Int, _ healthy: Int, _ minimum: Double, _ over: Double, _ killed: Int, _ most: Int
    ) {
        let arithmetic = RestartArithmetic(
            target: target, current: current, healthy: healthy, minimumHealthCapacity: minimum,
            maximumOverCapacity: over)
        // Nothing to keep means one more is never needed, except to get by an equal pair of limits.
        let expected = target == 0 ? arithmetic.maximum : most
        #expect(arithmetic.killNow == killed && arithmetic.maximum == expected, "\(arithmetic)")
    }

    @Test func stepsRemoveThenStartThenFollowDependencies() throws {
        var base = Fixed()
        base.byID = ["/old": app("/old"), "/api": app("/api"), "/db": app("/db")].reduce(into: [:]) {
            $0[PathID($1.key)] = $1.value
        }
        var change = DefinitionChange()
        change.specs[PathID("/old")] = .some(nil)
        change.specs[PathID("/api")] = app("/api", ["cmd": "run 2", "dependencies": ["/db"], "version": "2"])
        change.specs[PathID("/db")] = app(
            "/db", ["instances": 3, "version": "2", "versionInfo": ["lastConfigChangeAt": "1"]])
        change.specs[PathID("/new")] = app("/new", ["dependencies": ["/api"], "version": "2"])
        let steps = try DeploymentPlan.steps(from: base, change).map { $0.map { "\($0.name) \($0.id)" } }
        #expect(
            steps == [
                ["StopApplication /old"], ["StartApplication /new"], ["ScaleApplication /db"],
                ["RestartApplication /api"],
                ["ScaleApplication /new"],
            ])
        change.specs[PathID("/db")] = app("/db", ["dependencies": ["/new"], "version": "2"])
        #expect(throws: MarathonError.self) { try DeploymentPlan.steps(from: base, change) }
    }

    @Test func groupsLendTheirDependenciesToTheirMembers() throws {
        var base = Fixed()
        var front = GroupInfo(id: PathID("/front"), version: "1")
        front.dependencies = [PathID("/back")]
        base.groupsByID[front.id] = front
        var change = DefinitionChange()
        for id in ["/front/web", "/back/a", "/back/b"] { change.specs[PathID(id)] = app(id) }
        let steps = try DeploymentPlan.steps(from: base, change)
        #expect(steps.dropFirst().map { $0.map(\.id.text) } == [["/back/a", "/back/b"], ["/front/web"]])
    }

    @Test func oldFormsBecomeTodays() throws {
        let old: JSON = [
            "id": "x", "cmd": "run", "uris": ["http://a/b.tgz"], "ports": [0, 8080],
            "healthChecks": [["path": "/ping"]],
        ]
        let spec = try Documents.complete(old, kind: .app, id: PathID("x"), in: Fixed())
        #expect(spec.json["fetch"][0]["uri"] == "http://a/b.tgz" && spec.json["fetch"][0]["extract"] == true)
        #expect(spec.servicePorts == [0, 8080] && spec.json["networks"] == [["mode": "host"]])
        #expect(spec.healthChecks[0]["protocol"] == "HTTP" && spec.healthChecks[0]["portIndex"] == 0)
        let docker: JSON = [
            "id": "y",
            "container": ["docker": ["image": "web", "network": "BRIDGE", "portMappings": [["containerPort": 80]]]],
        ]
        let bridged = try Documents.complete(docker, kind: .app, id: PathID("y"), in: Fixed())
        #expect(bridged.networkMode == "container/bridge" && bridged.ports[0]["hostPort"] == 0)
        #expect(bridged.json["container"]["type"] == "DOCKER" && bridged.json["portDefinitions"].isNull)
        // An update of the command replaces arguments.
        let updated = try Documents.updated(
            try Documents.complete(["id": "z", "args": ["a"]], kind: .app, id: PathID("z"), in: Fixed()),
            with: ["cmd": "run"], isPartial: true, in: Fixed())
        #expect(updated.json["args"].isNull && updated.json["cmd"] == "run")
    }

    @Test func thePodOfAnInstanceSaysWhatItsTaskIsTold() throws {
        let document: JSON = [
            "id": "/team/web", "cmd": "echo $$ $(PORT0) $HOME", "cpus": .double(0.1), "mem": 64,
            "labels": ["tier": "front"],
            "portDefinitions": [["port": 0, "name": "http-api"]], "env": ["PORT": "mine"],
            "healthChecks": [["protocol": "MESOS_HTTP", "intervalSeconds": 5]],
        ]
        var spec = try Documents.complete(document, kind: .app, id: PathID("/team/web"), in: Fixed())
        spec.json["version"] = "2026-01-01T00:00:00.000Z"
        let pod = PodBuilder(frameworkID: "f").pod(spec, at: Place(uuid: "u-1"))
        let container = pod["spec"]["containers"][0]
        var environment: [String: JSON] = [:]
        for entry in container["env"].elements { environment[entry["name"].string ?? ""] = entry }
        #expect(environment["MESOS_TASK_ID"]?["value"] == "team_web.instance-u-1._app.1")
        #expect(
            environment["PORT0"]?["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.annotations['ports.apus.dev/0']")
        #expect(environment["PORT_HTTP_API"] != nil && environment["PORT"]?["value"] == "mine")
        #expect(environment["MARATHON_APP_LABEL_TIER"]?["value"] == "front")
        // Kubernetes would take `$$` and `$(…)` for its own.
        #expect(container["command"][2] == "echo $$$ $$(PORT0) $HOME")
        #expect(container["readinessProbe"]["httpGet"]["port"] == "port-0")
        #expect(container["resources"]["limits"]["memory"] == "98304Ki")
        #expect(pod["metadata"]["labels"]["marathon.apus.dev/app"] == "team.web")
    }

    @Test func rejectReasonsAreReadFromTheScheduler() {
        let message =
            "0/5 nodes are available: 2 node(s) didn't satisfy Marathon constraint, 3 Insufficient cpu. preemption: 0/5 "
            + "nodes are available: 5 No preemption victims found."
        let counts = RejectReasons.counts(in: message)
        #expect(counts.total == 5 && counts.byReason == ["UnfulfilledConstraint": 2, "InsufficientCpus": 3])
    }
}

@Suite struct ChangeGroupTests {
    @Test func aChangeIsOfTheGroupThatHoldsIt() {
        var change = DefinitionChange()
        change.specs[PathID("/shop/db/redis")] = .some(nil)
        #expect(change.group == PathID("/shop/db"))
        change.groups[PathID("/shop")] = .some(GroupInfo(id: PathID("/shop"), version: ""))
        change.groups[PathID("/shop/db")] = .some(nil)
        #expect(change.group == PathID("/shop"))
    }
}
