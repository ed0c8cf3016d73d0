import JSON
import MesosModel
import ObjectModel
import Testing

@Suite struct AnswerTests {
    @Test func whatWasAnsweredCanBeSentBack() async throws {
        try await TestMarathon.run { test in
            try await test.call(
                "POST", "/v2/apps",
                ["id": "/a", "cmd": "run", "healthChecks": [["protocol": "COMMAND", "command": ["value": "true"]]]])
            try await test.settled("/a", 1)
            let made = try await test.app("/a")
            #expect(made["env"].isNull && made["labels"] == [:])
            #expect(made["healthChecks"][0]["delaySeconds"] == 15)
            #expect(made["tasks"][0]["slaveId"] == "n1")

            // Clients read, change one thing and send all of it.
            let back: JSON = ["id": "/elsewhere", "cmd": made["cmd"], "env": [:], "healthChecks": made["healthChecks"]]
            #expect(try await test.call("PUT", "/v2/apps/a", back).status == 200)
            let after = try await test.app("/a")
            #expect(after["version"] == made["version"] && after["deployments"] == [])
            #expect(after["tasks"][0]["id"] == made["tasks"][0]["id"])
            #expect(try await test.call("GET", "/v2/apps/elsewhere").status == 404)

            // The Mesos window gave the node an id meanwhile.
            try await test.client.create(
                MesosNames.agents,
                [
                    "apiVersion": "mesos.apus.dev/v1", "kind": "Agent", "metadata": ["name": "n1"],
                    "spec": ["id": "id-S0"],
                ])
            try await test.eventually("the agent's id", { try await test.app("/a")["tasks"][0]["slaveId"].string }) {
                $0 == "id-S0"
            }
        }
    }

    @Test func anImageThatIsNotThereIsAFailure() async throws {
        try await TestMarathon.run { test in
            try await test.call(
                "POST", "/v2/apps",
                [
                    "id": "/a", "cmd": "run", "backoffSeconds": 60,
                    "container": ["type": "DOCKER", "docker": ["image": "unknown-image"]],
                ])
            try await test.eventually("the failure", { try await test.app("/a") }) { app in
                app["lastTaskFailure"]["message"] == "Failed to launch container: no such image"
                    && app["lastTaskFailure"]["state"] == "TASK_FAILED" && app["tasks"] == []
            }
            let item = try await test.call("GET", "/v2/queue").json["queue"][0]
            #expect(item["app"]["id"] == "/a" && item["role"] == "*" && item["count"] == 1)
            #expect(item["delay"]["overdue"] == false && (item["delay"]["timeLeftSeconds"].int ?? 0) > 50)
            // One failure is counted once.
            #expect(try await test.client.list(.pods).items.count == 1)
        }
    }

    @Test func whatIsWrongIsSaidInTheWordsOfMarathon() async throws {
        try await TestMarathon.run { test in
            func refused(_ more: JSON, _ message: String, sourceLocation: SourceLocation = #_sourceLocation)
                async throws
            {
                var body: JSON = ["id": "/x", "cmd": "run"]
                for (key, value) in more.members { body[key] = value }
                let answer = try await test.call("POST", "/v2/apps", body)
                #expect(
                    answer.status == 422 && answer.json["details"][0]["errors"][0].string == message, "\(answer)",
                    sourceLocation: sourceLocation)
            }
            try await refused(["uris": ["a"], "fetch": [["uri": "b"]]], "may not be set in conjunction with fetch")
            try await refused(
                ["ports": [1], "portDefinitions": [["port": 2]]], "cannot specify both ports and port definitions")
            try await refused(
                ["constraints": [["hostname", "NEAR"]]],
                "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS")
            try await refused(
                ["networks": [["mode": "host", "name": "n"]]], "Host networks may not have names or labels")
            // What a group enforces is changed by itself.
            #expect(try await test.call("POST", "/v2/groups", ["id": "/team"]).status == 201)
            #expect(
                try await test.call("PUT", "/v2/groups/team", ["enforceRole": true, "apps": []]).status == 422)
            #expect(try await test.call("PATCH", "/v2/groups/team", ["enforceRole": true]).status == 200)
        }
    }
}
