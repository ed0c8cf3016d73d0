import ClusterClient
import JSON
import MesosModel
import ObjectModel
import Testing

@Suite struct APITests {
    @Test func anAppLivesThroughItsWholeLife() async throws {
        try await TestMarathon.run { test in
            let made = try await test.call(
                "POST", "/v2/apps", ["id": "web", "cmd": "run 1", "instances": 3, "ports": [0]])
            #expect(made.status == 201)
            #expect(made.json["id"].string == "/web")
            #expect(made.json["portDefinitions"][0]["port"].int == 10000)
            #expect(made.json["deployments"].elements.count == 1)
            try await test.settled("/web", 3)
            let first = try await test.app("/web")
            #expect(first["tasks"].elements.count == 3)
            let task = first["tasks"][0]
            #expect(
                task["id"].string?.hasPrefix("web.instance-") == true && task["id"].string?.hasSuffix("._app.1") == true
            )
            #expect((31000...32000).contains(task["ports"][0].int ?? 0))
            #expect(task["servicePorts"] == [10000] && task["state"] == "TASK_RUNNING")
            #expect(try await test.call("POST", "/v2/apps", ["id": "/web", "cmd": "x"]).status == 409)

            // Scaling keeps what runs; the path may hold doubled slashes, switches capital letters.
            #expect(try await test.call("PUT", "/v2/apps//web?force=False", ["instances": 5]).status == 200)
            try await test.settled("/web", 5)
            let ids = Set(first["tasks"].elements.compactMap { $0["id"].string })
            #expect(ids.isSubset(of: Set(try await test.app("/web")["tasks"].elements.compactMap { $0["id"].string })))

            // A change of the program replaces all; the old version can be brought back.
            try await test.call("PUT", "/v2/apps/web", ["cmd": "run 2"])
            try await test.settled("/web", 5)
            let second = try await test.app("/web")
            #expect(second["tasks"].elements.allSatisfy { $0["version"] == second["version"] })
            #expect(second["portDefinitions"] == first["portDefinitions"])
            #expect(try await test.call("GET", "/v2/apps/web/versions").json["versions"].elements.count == 3)
            try await test.call("PUT", "/v2/apps/web", ["version": first["version"]])
            try await test.settled("/web", 3)
            #expect(try await test.app("/web")["cmd"] == "run 1")

            // A killed task is replaced; one that is killed to scale is not.
            let victim = try await test.app("/web")["tasks"][0]["id"].string ?? ""
            #expect(try await test.call("DELETE", "/v2/apps/web/tasks/\(victim)").json["task"]["id"].string == victim)
            try await test.eventually("a replacement", { try await test.app("/web") }) { app in
                app["tasksRunning"].int == 3 && !app["tasks"].elements.contains { $0["id"].string == victim }
            }
            let other = try await test.app("/web")["tasks"][1]["id"].string ?? ""
            #expect(
                try await test.call("DELETE", "/v2/apps/web/tasks/\(other)?scale=true").json["deploymentId"].string
                    != nil)
            try await test.settled("/web", 2)
            #expect(try await !test.app("/web")["tasks"].elements.contains { $0["id"].string == other })

            #expect(try await test.call("DELETE", "/v2/apps/web").status == 200)
            #expect(try await test.call("GET", "/v2/apps/web").status == 404)
            try await test.eventually("no pods", { try await test.client.list(.pods).items.count }) { $0 == 0 }
            try await test.eventually("no deployments", { try await test.call("GET", "/v2/deployments").json }) {
                $0 == []
            }
        }
    }

    @Test func aDeploymentThatCannotSucceedHoldsTheAppUntilItIsRolledBack() async throws {
        try await TestMarathon.run { test in
            try await test.call("POST", "/v2/apps", ["id": "/a", "cmd": "run", "instances": 2, "backoffSeconds": 60])
            try await test.settled("/a", 2)
            let good = try await test.app("/a")
            try await test.call("PUT", "/v2/apps/a", ["cmd": "broken"])
            let refused = try await test.call("PUT", "/v2/apps/a", ["cmd": "other"])
            #expect(refused.status == 409 && refused.json["deployments"].elements.count == 1)
            let running = try await test.call("GET", "/v2/deployments").json[0]
            #expect(running["affectedApps"] == ["/a"] && running["totalSteps"] == 1)
            #expect(running["steps"][0]["actions"][0]["action"] == "RestartApplication")

            // It failed, and waits before it tries again.
            try await test.eventually("the failure", { try await test.app("/a") }) { app in
                app["lastTaskFailure"]["state"] == "TASK_FAILED"
                    && app["lastTaskFailure"]["message"].string?.contains("9") == true
            }
            try await test.eventually("the delay", { try await test.call("GET", "/v2/queue").json["queue"][0] }) {
                item in
                item["app"]["id"] == "/a" && item["delay"]["overdue"] == false
                    && (item["delay"]["timeLeftSeconds"].int ?? 0) > 50
            }
            #expect(try await test.call("DELETE", "/v2/queue/a/delay").status == 204)

            #expect(try await test.call("DELETE", "/v2/deployments/\(running["id"].string ?? "")").status == 200)
            try await test.settled("/a", 2)
            let back = try await test.app("/a")
            #expect(back["cmd"] == "run" && back["version"] == good["version"])
            // What ran before still runs.
            #expect(
                Set(back["tasks"].elements.map { $0["id"].string })
                    == Set(good["tasks"].elements.map { $0["id"].string }))
        }
    }

    @Test func groupsStartInTheOrderOfTheirDependencies() async throws {
        try await TestMarathon.run { test in
            let group: JSON = [
                "id": "/shop",
                "groups": [
                    ["id": "db", "apps": [["id": "redis", "cmd": "run"]]],
                    [
                        "id": "/shop/front", "dependencies": ["/shop/db"],
                        "apps": [["id": "/shop/front/web", "cmd": "run"]],
                    ],
                ],
            ]
            let plan = try await test.call("PUT", "/v2/groups/shop?dryRun=true", group)
            #expect(plan.json["steps"].elements.map { $0["actions"].elements.count } == [2, 1, 1])
            #expect(plan.json["steps"][1]["actions"][0] == ["action": "ScaleApplication", "app": "/shop/db/redis"])
            #expect(try await test.call("POST", "/v2/groups", group).status == 201)
            try await test.settled("/shop/front/web", 1)
            try await test.settled("/shop/db/redis", 1)
            #expect(try await test.call("POST", "/v2/groups", group).status == 409)
            let tree = try await test.call("GET", "/v2/groups").json
            #expect(tree["groups"][0]["groups"][1]["apps"][0]["id"] == "/shop/front/web")
            try await test.call("PUT", "/v2/groups/shop", ["scaleBy": 2])
            try await test.settled("/shop/db/redis", 2)
            let circle = try await test.call(
                "PUT", "/v2/groups/shop/db",
                ["dependencies": ["/shop/front"], "apps": [["id": "redis", "cmd": "run 2"]]])
            #expect(circle.status == 422)
            #expect(try await test.call("DELETE", "/v2/groups/shop?force=true").status == 200)
            #expect(try await test.call("GET", "/v2/groups/shop").status == 404)
            try await test.eventually("no pods", { try await test.client.list(.pods).items.count }) { $0 == 0 }
        }
    }

    @Test func kubectlAndTheAPIChangeTheSameApps() async throws {
        try await TestMarathon.run { test in
            let apps = MesosNames.marathonApps
            try await test.client.create(
                apps,
                [
                    "apiVersion": "marathon.apus.dev/v1", "kind": "MarathonApp",
                    "metadata": ["name": "team.api", "namespace": "default"], "spec": ["cmd": "run", "instances": 2],
                ])
            try await test.settled("/team/api", 2)
            let before = try await test.app("/team/api")
            #expect(before["backoffFactor"] == .number(JSONNumber(text: "1.15")))
            try await test.client.patch(
                apps, ObjectKey(namespace: "default", name: "team.api"), .merge, ["spec": ["instances": 3]])
            try await test.settled("/team/api", 3)
            #expect(try await test.app("/team/api")["version"] != before["version"])
            // A change that is not valid is not taken, and says why.
            try await test.client.patch(
                apps, ObjectKey(namespace: "default", name: "team.api"), .merge, ["spec": ["instances": -1]])
            try await test.eventually(
                "the problem",
                {
                    try await test.client.get(apps, ObjectKey(namespace: "default", name: "team.api")).tree["metadata"][
                        "annotations"]
                }
            ) { $0["marathon.apus.dev/problem"].string?.contains("/instances") == true }
            #expect(try await test.app("/team/api")["instances"] == 3)
            try await test.client.delete(apps, ObjectKey(namespace: "default", name: "team.api"))
            try await test.eventually("no pods", { try await test.client.list(.pods).items.count }) { $0 == 0 }
        }
    }

    @Test func podsRunTheirContainersTogether() async throws {
        try await TestMarathon.run { test in
            let pod: JSON = [
                "id": "/pair", "scaling": ["kind": "fixed", "instances": 2], "networks": [["mode": "host"]],
                "volumes": [["name": "s"]],
                "containers": [
                    [
                        "name": "a", "exec": ["command": ["shell": "run a"]], "resources": ["cpus": 1, "mem": 32],
                        "image": ["kind": "DOCKER", "id": "busybox"],
                        "volumeMounts": [["name": "s", "mountPath": "s"]],
                        "endpoints": [["name": "http", "hostPort": 0]],
                    ],
                    [
                        "name": "b", "exec": ["command": ["shell": "run b"]], "resources": ["cpus": 1, "mem": 32],
                        "image": ["kind": "DOCKER", "id": "busybox"],
                    ],
                ],
            ]
            let made = try await test.call("POST", "/v2/pods", pod)
            #expect(made.status == 201, "\(made)")
            try await test.eventually("both", { try await test.call("GET", "/v2/pods/pair::status").json }) { status in
                status["status"] == "STABLE" && status["instances"].elements.count == 2
            }
            let status = try await test.call("GET", "/v2/pods/pair::status").json
            #expect(status["instances"][0]["containers"][0]["endpoints"][0]["allocatedHostPort"].int ?? 0 >= 31000)
            #expect(
                status["instances"][0]["containers"].elements.map { $0["status"] } == ["TASK_RUNNING", "TASK_RUNNING"])
            #expect(try await test.call("GET", "/v2/pods::status").json.elements.count == 1)
            #expect(try await test.call("GET", "/v2/pods/pair::versions").json.elements.count == 1)
            #expect(try await test.call("HEAD", "/v2/pods").status == 200)
            let first = status["instances"][0]["id"].string ?? ""
            #expect(try await test.call("DELETE", "/v2/pods/pair::instances/\(first)").json["id"].string == first)
            #expect(try await test.call("DELETE", "/v2/pods/pair").status == 202)
            try await test.eventually("no pods", { try await test.client.list(.pods).items.count }) { $0 == 0 }
        }
    }

    @Test func errorsAreThoseThatClientsKnow() async throws {
        try await TestMarathon.run { test in
            func refused(_ body: JSON, _ status: Int, _ path: String, sourceLocation: SourceLocation = #_sourceLocation)
                async throws
            {
                let answer = try await test.call("POST", "/v2/apps", body)
                #expect(answer.status == status, "\(answer)", sourceLocation: sourceLocation)
                #expect(
                    answer.json["details"].elements.contains { $0["path"].string == path }, "\(answer)",
                    sourceLocation: sourceLocation)
            }
            try await refused(["id": "/UPPER", "cmd": "x"], 422, "/id")
            try await refused(["id": "/x", "cmd": "x", "instances": -1], 422, "/instances")
            try await refused(["id": "/x", "cmd": "x", "instances": "1"], 400, "/instances")
            try await refused(["cmd": "x"], 400, "/id")
            try await refused(["id": "/x"], 422, "/")
            try await refused(
                ["id": "/x", "cmd": "x", "constraints": [["hostname", "LIKE", "("]]], 422, "/constraints(0)")
            try await refused(["id": "/x/restart", "cmd": "x"], 422, "/id")
            try await refused(
                ["id": "/x", "cmd": "x", "upgradeStrategy": ["minimumHealthCapacity": 2]], 422,
                "/upgradeStrategy/minimumHealthCapacity")
            try await refused(
                ["id": "/x", "cmd": "x", "healthChecks": [["protocol": "HTTP", "portIndex": 3]]], 422,
                "/healthChecks(0)/portIndex")
            let missing = try await test.call("GET", "/v2/apps/nope")
            #expect(missing.status == 404 && missing.json["message"] == "App '/nope' does not exist")
            #expect(try await test.call("GET", "/v2/nothing").status == 404)
            #expect(try await test.call("GET", "/v2/events").status == 406)
            #expect(try await test.call("DELETE", "/v2/deployments/none").status == 404)
            #expect(try await test.call("GET", "/v2/info").json["name"] == "marathon")
            #expect(try await test.call("GET", "/v2/leader").json["leader"].string != nil)
        }
    }
    @Test func everyHealthCheckOfAnAppHasItsSay() async throws {
        try await TestMarathon.run { test in
            let port = JSON(test.window.port ?? 0)
            try await test.call(
                "POST", "/v2/apps",
                [
                    "id": "/web", "cmd": "run",
                    "healthChecks": [
                        ["protocol": "HTTP", "port": port, "path": "/ping"],
                        ["protocol": "COMMAND", "command": ["value": "true"]],
                        ["protocol": "TCP", "port": 1],
                    ],
                ])
            // The node runs the command, Marathon the others; the pod waits for both.
            try await test.eventually("what the checks say", { try await test.client.list(.pods).items.first?.tree }) {
                pod in
                let conditions = pod?["status"]["conditions"].elements ?? []
                let said = conditions.map { "\($0["type"].string ?? "")=\($0["status"].string ?? "")" }
                return said.contains("marathon.apus.dev/health-0=True")
                    && said.contains("marathon.apus.dev/health-2=False")
            }
            let pod = try #require(try await test.client.list(.pods).items.first?.tree)
            #expect(pod["spec"]["readinessGates"].elements.count == 2)
            #expect(!pod["spec"]["containers"][0]["readinessProbe"]["exec"].isNull)
            let results = try await test.app("/web")["tasks"][0]["healthCheckResults"].elements
            #expect(results.count == 3 && results[0]["alive"] == true && results[2]["alive"] == false)
        }
    }
}
