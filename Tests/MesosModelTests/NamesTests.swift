import JSON
import Testing

@testable import MesosModel

@Suite struct NamesTests {
    @Test("Ids become safe names that differ when the ids do")
    func podNames() {
        let a = MesosNames.podName(taskID: "My.Task/1", frameworkID: "f")
        #expect(a.hasPrefix("my-task-1-") && a != MesosNames.podName(taskID: "my-task-1", frameworkID: "f"))
        #expect(MesosNames.podName(taskID: String(repeating: "x", count: 255), frameworkID: "f").count == 63)
        #expect(MesosNames.podName(taskID: "___", frameworkID: "f").hasPrefix("x-"))
        #expect(MesosNames.containerNames(ofTasks: ["A", "a", "a.", "b"]).count == 4)
        #expect(MesosNames.labelValue("instance-1._app") == "instance-1._app")
        #expect(MesosNames.labelValue("a/b c").hasPrefix("a-b-c-"))
        #expect(
            MesosNames.objectName(ofMarathonID: "/a/b") == "a.b" && MesosNames.objectName(ofMarathonID: "/") == "root")
    }

    @Test("Roles and namespaces stand for each other")
    func namespaces() {
        #expect(MesosNames.namespace(ofRole: "*") == "default" && MesosNames.role(ofNamespace: "default") == "*")
        #expect(MesosNames.namespace(ofRole: "batch") == "batch" && MesosNames.role(ofNamespace: "batch") == "batch")
        #expect(MesosNames.namespace(ofRole: "default") != "default")
        #expect(MesosNames.namespace(ofRole: "eng/a") != MesosNames.namespace(ofRole: "eng-a"))
    }

    @Test(
        "Roles that are none", arguments: ["", "/a", "a/", "a//b", "a/*", ".", "a/..", "-a", "a b", "a\\b", "a\u{7F}"])
    func badRoles(role: String) {
        #expect(MesosRoles.problem(role) != nil)
    }
    @Test("Roles that are some", arguments: ["*", "a", "a/b", "a.b-c_d", "a/b/c"])
    func goodRoles(role: String) {
        #expect(MesosRoles.problem(role) == nil)
    }

    @Test("Durations are read and written")
    func durations() {
        #expect(DurationText.nanoseconds("1.5mins") == 90_000_000_000 && DurationText.nanoseconds("5") == nil)
        #expect(DurationText.text(nanoseconds: 5_000_000_000) == "5secs" && DurationText.text(nanoseconds: 0) == "0ns")
        #expect(DurationText.text(nanoseconds: 900_000_000_000) == "15mins")
    }

    @Test("Filters have a default, an end and a zero")
    func filters() {
        #expect(MesosFilters.refuseSeconds(.null) == 5 && MesosFilters.refuseSeconds(["refuse_seconds": 0]) == nil)
        #expect(MesosFilters.refuseSeconds(["refuse_seconds": -1]) == 5)
        #expect(MesosFilters.refuseSeconds(["refuse_seconds": "Infinity"]) == 31_536_000)
    }

    @Test("Constraints look at attributes; numbers stand in nobody's way")
    func constraints() throws {
        let agent = OfferConstraints.Agent(
            hostname: "n1", zone: "z", attributes: MesosAttributes.parse("rack:a;level:3"))
        func allows(_ selector: JSON, _ predicate: JSON) throws -> Bool {
            let group: JSON = ["attribute_constraints": [["selector": selector, "predicate": predicate]]]
            return try OfferConstraints(["role_constraints": ["r": ["groups": [group]]]]).allows(agent, role: "r")
        }
        let rack: JSON = ["attribute_name": "rack"], level: JSON = ["attribute_name": "level"]
        #expect(try allows(rack, ["text_equals": ["value": "a"]]))
        #expect(!(try allows(rack, ["text_matches": ["regex": "b|aa"]])))
        #expect(try allows(level, ["text_equals": ["value": "x"]]))
        #expect(try allows(["attribute_name": "none"], ["not_exists": .object([:])]))
        #expect(try allows(["pseudoattribute_type": "ZONE"], ["text_not_equals": ["value": "y"]]))
        #expect(!(try allows(["pseudoattribute_type": "REGION"], ["exists": .object([:])])))
        #expect(throws: MesosError.self) { try allows(rack, ["text_matches": ["regex": "("]]) }
        #expect(throws: MesosError.self) { try OfferConstraints(["role_constraints": ["r": ["groups": []]]]) }
    }
}
