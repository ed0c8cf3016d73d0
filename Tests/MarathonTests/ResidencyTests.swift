import ClusterClient
import JSON
import MesosModel
import ObjectModel
import Testing

@Suite struct ResidencyTests {
    private static let data: JSON = [
        "id": "/db", "cmd": "run", "instances": 1,
        "container": [
            "type": "MESOS",
            "volumes": [["containerPath": "data", "mode": "RW", "persistent": ["type": "root", "size": 10]]],
        ],
    ]

    private static func claims(_ test: TestMarathon) async throws -> [Object] {
        try await test.client.list(.persistentVolumeClaims).items.filter { !$0.metadata.isTerminating }
    }
    private static func task(_ test: TestMarathon, after id: String = "") async throws -> JSON {
        try await test.eventually("a task", { try await test.app("/db")["tasks"][0] }) { task in
            task["state"].string == "TASK_RUNNING" && task["id"].string != id
        }
        return try await test.app("/db")["tasks"][0]
    }

    @Test func anInstanceComesBackWithItsVolumes() async throws {
        try await TestMarathon.run { test in
            #expect(try await test.call("POST", "/v2/apps", Self.data).status == 201)
            try await test.settled("/db", 1)
            let app = try await test.app("/db")
            #expect(app["unreachableStrategy"] == "disabled")
            #expect(app["upgradeStrategy"]["minimumHealthCapacity"].double == 0.5)
            #expect(app["upgradeStrategy"]["maximumOverCapacity"].double == 0)
            let first = try await Self.task(test)
            let volume = first["localVolumes"][0]
            let uuid = try #require(volume["uuid"].string)
            #expect(volume["persistenceId"].string == "db#data#\(uuid)" && volume["containerPath"] == "data")
            let claim = try #require(try await Self.claims(test).first)
            #expect(claim.tree["spec"]["resources"]["requests"]["storage"] == "10Mi")
            let pod = try #require(try await test.client.list(.pods).items.first)
            #expect(
                pod.tree["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"].string == claim.name)

            // Killed, it is the same instance once more.
            let id = try #require(first["id"].string)
            #expect(id.hasSuffix("._app.1"))
            try await test.call("DELETE", "/v2/apps/db/tasks/\(id)")
            let second = try await Self.task(test, after: id)
            #expect(second["id"].string == "\(id.dropLast())2")
            #expect(second["localVolumes"][0] == volume)

            // An update stops it before it starts it; scaled to nothing, its volumes wait.
            try await test.call("PUT", "/v2/apps/db", ["cmd": "run more"])
            try await test.settled("/db", 1)
            try await test.call("PUT", "/v2/apps/db", ["instances": 0])
            try await test.settled("/db", 0)
            #expect(try await Self.claims(test).map(\.uid) == [claim.uid])
            try await test.call("PUT", "/v2/apps/db", ["instances": 2])
            try await test.settled("/db", 2)
            let uuids = try await test.app("/db")["tasks"].elements.compactMap {
                $0["localVolumes"][0]["uuid"].string
            }
            #expect(Set(uuids).count == 2 && uuids.contains(uuid))

            // With `wipe` the data goes, and a new instance comes.
            let old = try #require(
                try await test.app("/db")["tasks"].elements.first {
                    $0["localVolumes"][0]["uuid"].string == uuid
                }?["id"].string)
            #expect(try await test.call("DELETE", "/v2/apps/db/tasks/\(old)?wipe=true&scale=true").status == 400)
            #expect(try await test.call("DELETE", "/v2/apps/db/tasks/\(old)?wipe=true").status == 200)
            try await test.eventually("another instance", { try await test.app("/db")["tasks"] }) { tasks in
                tasks.elements.count == 2
                    && !tasks.elements.contains { $0["localVolumes"][0]["uuid"].string == uuid }
            }
            #expect(try await !Self.claims(test).map(\.uid).contains(claim.uid))
            #expect(try await Self.claims(test).count == 2)

            try await test.call("DELETE", "/v2/apps/db")
            try await test.eventually("no claims", { try await Self.claims(test).count }) { $0 == 0 }
        }
    }

    @Test func whatInstancesWithDataCannotFollowIsRefused() async throws {
        try await TestMarathon.run { test in
            var app = Self.data
            app["instances"] = 0
            #expect(try await test.call("POST", "/v2/apps", app).status == 201)
            try await test.settled("/db", 0)
            func refusal(_ update: JSON) async throws -> String {
                let answer = try await test.call("PUT", "/v2/apps/db", update)
                return answer.status == 422
                    ? answer.json["details"][0]["errors"][0].string ?? answer.json.description : "\(answer.status)"
            }
            #expect(try await refusal(["cpus": 2]) == "Resident Tasks may not change resource requirements!")
            #expect(try await refusal(["container": ["volumes": []]]) == "Persistent volumes can not be changed!")
            #expect(try await refusal(["upgradeStrategy": ["maximumOverCapacity": 1]]).contains("must be 0"))
            #expect(try await refusal(["unreachableStrategy": ["inactiveAfterSeconds": 5]]).contains("disabled"))
            var wrong = Self.data
            wrong["id"] = "/other"
            wrong["container"]["volumes"][0]["containerPath"] = "/var/data"
            #expect(try await test.call("POST", "/v2/apps", wrong).status == 422)
        }
    }
}
