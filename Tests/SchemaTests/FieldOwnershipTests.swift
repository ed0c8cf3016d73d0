import JSON
import ObjectModel
import Schema
import Testing

/// One kind's ownership, with a clock by hand.
private struct Keeper {
    var ownership: FieldOwnership
    var time = "2026-01-01T00:00:00Z"

    init(_ kind: GroupVersionKind = .deployment) {
        ownership = FieldOwnership(catalog: .builtin, kind: kind, ignoresStatus: true)
    }

    func writer(_ manager: String) -> FieldOwnership.Writer { .init(manager: manager, time: time) }

    func created(_ text: String, by manager: String) throws -> JSON {
        var tree = try json(text)
        tree["metadata"].setMember("managedFields", ownership.created(tree, by: writer(manager)))
        return tree
    }

    func updated(_ old: JSON, by manager: String, given: JSON = .null, _ change: (inout JSON) -> Void) -> JSON {
        var new = old
        change(&new)
        let managed = ownership.updated(
            from: old, to: new, stored: old["metadata"]["managedFields"], given: given, by: writer(manager))
        new["metadata"].setMember("managedFields", managed)
        return new
    }

    func applied(_ text: String, to live: JSON?, by manager: String, force: Bool = false) throws -> JSON {
        let result = try ownership.apply(try json(text), to: live, force: force, by: writer(manager))
        var tree = result.object
        tree["metadata"].setMember("managedFields", result.managed)
        return tree
    }
}

/// The fields of a manager's entry, as text.
private func fields(_ tree: JSON, _ manager: String, _ operation: String = "Apply") -> String {
    let entry = tree["metadata"]["managedFields"].elements.first {
        $0["manager"].string == manager && $0["operation"].string == operation
    }
    return entry.map { $0["fieldsV1"].description } ?? "none"
}

/// The error's text.
private func refusal(_ body: () throws -> JSON) -> String {
    do {
        return "no error: \(try body())"
    } catch let error as StatusError {
        return "\(error.code) \(error.message)"
    } catch {
        return "\(error)"
    }
}

private let head = #""apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"default"}"#
private let mapHead = #""apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default"}"#

@Suite struct FieldOwnershipTests {
    @Test("A created object belongs to who made it, except what the server writes")
    func create() throws {
        let tree = try Keeper().created(
            #"""
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"x","uid":"1","generation":1,
            "labels":{"l":"1"}},"spec":{"replicas":1,"selector":{"matchLabels":{"l":"1"}},"strategy":{"type":"R",
            "rollingUpdate":{"maxSurge":1}},"template":{"spec":{"containers":[{"name":"c","image":"i","args":["1"],
            "ports":[{"containerPort":80}]}]}}},"status":{"replicas":1}}
            """#, by: "kubectl-create")
        #expect(
            fields(tree, "kubectl-create", "Update")
                == #"{"f:metadata":{"f:labels":{".":{},"f:l":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"#
                + #""f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{}},"f:type":{}},"f:template":{"f:spec":{"#
                + #""f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{},"f:image":{},"f:name":{},"#
                + #""f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}}"#
        )
        let entry = tree["metadata"]["managedFields"][0]
        #expect(entry["apiVersion"].string == "apps/v1" && entry["fieldsType"].string == "FieldsV1")
        // The short way of a create and the sets of an update name the same fields.
        let long = Keeper().ownership.created(
            tree, given: [["manager": "z", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": ["f:z": [:]]]],
            by: Keeper().writer("kubectl-create"))
        #expect(long.elements.last?["fieldsV1"] == entry["fieldsV1"] && long.elements.count == 2)
    }

    @Test("An update takes what it changes, and only that")
    func update() throws {
        let keeper = Keeper(.configMap)
        let first = try keeper.created("{\(mapHead),\"data\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}}", by: "one")
        let second = keeper.updated(first, by: "two") {
            $0["data"]["a"] = "9"
            $0["data"]["d"] = "4"
            $0["data"].removeMember("c")
        }
        #expect(fields(second, "one", "Update") == #"{"f:data":{".":{},"f:b":{}}}"#)
        #expect(fields(second, "two", "Update") == #"{"f:data":{"f:a":{},"f:d":{}}}"#)
        var later = keeper
        later.time = "2026-01-01T00:00:09Z"
        #expect(later.updated(second, by: "two") { _ in } == second)
        #expect(
            later.updated(second, by: "two") { $0["metadata"]["generation"] = 7 }["metadata"]["managedFields"]
                == second["metadata"]["managedFields"])
        #expect(later.updated(second, by: "x", given: [[:]]) { _ in }["metadata"]["managedFields"].isNull)
        let broken: JSON = [["manager": "z", "operation": "Steal", "fieldsType": "FieldsV1", "fieldsV1": [:]]]
        #expect(later.updated(second, by: "x", given: broken) { _ in } == second)
        let untracked = try json("{\(mapHead),\"data\":{}}")
        #expect(later.updated(untracked, by: "x") { $0["data"]["q"] = "1" }["metadata"]["managedFields"].isNull)
    }

    @Test("Applying shares equal values, refuses others, and takes them by force")
    func conflicts() throws {
        let keeper = Keeper(.configMap)
        let red = try keeper.applied("{\(mapHead),\"data\":{\"a\":\"1\",\"b\":\"2\"}}", to: nil, by: "red")
        #expect(fields(red, "red") == #"{"f:data":{"f:a":{},"f:b":{}}}"#)
        let shared = try keeper.applied("{\(mapHead),\"data\":{\"b\":\"2\"}}", to: red, by: "blue")
        #expect(fields(shared, "blue") == #"{"f:data":{"f:b":{}}}"#)
        #expect(fields(shared, "red") == fields(red, "red"))
        #expect(
            refusal { try keeper.applied("{\(mapHead),\"data\":{\"a\":\"9\"}}", to: shared, by: "blue") }
                == "409 Apply failed with 1 conflict: conflict with \"red\": .data.a")
        let edited = keeper.updated(shared, by: "kubectl-edit") { $0["data"]["a"] = "5" }
        #expect(fields(edited, "red") == #"{"f:data":{"f:b":{}}}"#)
        #expect(
            refusal { try keeper.applied("{\(mapHead),\"data\":{\"a\":\"1\",\"b\":\"3\"}}", to: edited, by: "red") }
                == "409 Apply failed with 2 conflicts: conflicts with \"blue\":\n- .data.b\nconflicts with "
                + "\"kubectl-edit\" using v1 at 2026-01-01T00:00:00Z:\n- .data.a")
        let forced = try keeper.applied(
            "{\(mapHead),\"data\":{\"a\":\"1\",\"b\":\"3\"}}", to: edited, by: "red", force: true)
        #expect(forced["data"] == ["a": "1", "b": "3"])
        #expect(
            fields(forced, "blue") == "none" && fields(forced, "kubectl-edit", "Update") == #"{"f:data":{".":{}}}"#
                || fields(forced, "kubectl-edit", "Update") == "none")
    }

    @Test("What a manager no longer applies goes, unless somebody else owns it")
    func removal() throws {
        let keeper = Keeper(.configMap)
        var tree = try keeper.applied("{\(mapHead),\"data\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}}", to: nil, by: "red")
        tree = try keeper.applied("{\(mapHead),\"data\":{\"b\":\"2\"}}", to: tree, by: "blue")
        tree = keeper.updated(tree, by: "other") { $0["data"]["z"] = "0" }
        tree = try keeper.applied("{\(mapHead),\"data\":{\"c\":\"3\"}}", to: tree, by: "red")
        #expect(tree["data"] == ["b": "2", "c": "3", "z": "0"])
        tree = try keeper.applied("{\(mapHead)}", to: tree, by: "red")
        #expect(tree["data"] == ["b": "2", "z": "0"])
        #expect(fields(tree, "red") == "none")
        tree = try keeper.applied("{\(mapHead)}", to: tree, by: "blue")
        #expect(tree["data"] == ["z": "0"])
    }

    @Test("A container that was applied goes with its defaults; an item of a list by its key")
    func containers() throws {
        let keeper = Keeper()
        func spec(_ containers: String) -> String {
            "{\(head),\"spec\":{\"template\":{\"spec\":{\"containers\":\(containers)}}}}"
        }
        var tree = try keeper.applied(
            spec(#"[{"name":"a","image":"1","livenessProbe":{"httpGet":{"port":80}}},{"name":"b","image":"2"}]"#),
            to: nil, by: "red")
        // Defaults, which nobody owns.
        tree["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["periodSeconds"] = 10
        tree["spec"]["template"]["spec"]["containers"][1]["imagePullPolicy"] = "Always"
        tree = keeper.updated(tree, by: "injector") {
            let items = $0["spec"]["template"]["spec"]["containers"].elements
            $0["spec"]["template"]["spec"]["containers"] = .array([["name": "side", "image": "s"]] + items)
        }
        tree = try keeper.applied(spec(#"[{"name":"a","image":"1"}]"#), to: tree, by: "red")
        #expect(
            tree["spec"]["template"]["spec"]["containers"]
                == [["name": "side", "image": "s"], ["name": "a", "image": "1"]])
    }

    @Test("Items that both have take the applied order; the others keep their neighbours")
    func order() throws {
        let keeper = Keeper()
        func spec(_ names: [String]) -> String {
            let items = names.map { "{\"name\":\"\($0)\"}" }.joined(separator: ",")
            return "{\(head),\"spec\":{\"template\":{\"spec\":{\"containers\":[\(items)]}}}}"
        }
        func names(_ tree: JSON) -> [String] {
            tree["spec"]["template"]["spec"]["containers"].elements.compactMap { $0["name"].string }
        }
        let live = try keeper.applied(spec(["a", "x", "b", "y"]), to: nil, by: "red")
        #expect(names(try keeper.applied(spec(["b", "n", "a"]), to: live, by: "blue")) == ["x", "b", "n", "a", "y"])
    }

    @Test("Ambiguous and alien configurations are refused")
    func badConfigurations() throws {
        let keeper = Keeper()
        let twice = #"{\#(head),"spec":{"template":{"spec":{"containers":[{"name":"a"},{"name":"a"}]}}}}"#
        #expect(
            refusal { try keeper.applied(twice, to: nil, by: "red") }
                == "500 failed to create typed patch object (default/a; apps/v1, Kind=Deployment): "
                + ".spec.template.spec.containers: duplicate entries for key [name=\"a\"]")
    }

    @Test("What was there before the first apply has an owner of its own, and kubectl's own fields are no conflict")
    func upgrades() throws {
        let keeper = Keeper(.configMap)
        let old = try json("{\(mapHead),\"data\":{\"a\":\"1\",\"b\":\"2\"}}")
        let first = try keeper.applied("{\(mapHead),\"data\":{\"a\":\"1\"}}", to: old, by: "red")
        #expect(fields(first, "before-first-apply", "Update") == #"{"f:data":{".":{},"f:a":{},"f:b":{}}}"#)
        var client = try json("{\(mapHead),\"data\":{\"a\":\"1\"}}")
        client["metadata"]["annotations"][last] = .string("{\(mapHead),\"data\":{\"a\":\"1\"}}")
        client["metadata"]["managedFields"] = keeper.ownership.created(
            client, by: keeper.writer("kubectl-client-side-apply"))
        let upgraded = try keeper.applied("{\(mapHead),\"data\":{\"a\":\"2\"}}", to: client, by: "kubectl")
        #expect(upgraded["data"]["a"].string == "2")
        #expect(upgraded["metadata"]["annotations"][last].string?.contains(#""a":"2""#) == true)
        #expect(
            refusal { try keeper.applied("{\(mapHead),\"data\":{\"a\":\"2\"}}", to: client, by: "helm") }
                .hasPrefix("409"))
    }
    private let last = "kubectl.kubernetes.io/last-applied-configuration"

    @Test("At most ten updates are told apart")
    func ancientChanges() throws {
        var keeper = Keeper(.configMap)
        var tree = try keeper.created("{\(mapHead),\"data\":{\"k\":\"0\"}}", by: "first")
        for index in 0..<14 {
            keeper.time = "2026-01-01T00:00:\(index + 10)Z"
            tree = keeper.updated(tree, by: "m\(index)") { $0["data"]["k\(index)"] = "1" }
        }
        let managers = tree["metadata"]["managedFields"].elements.compactMap { $0["manager"].string }
        #expect(managers == ["ancient-changes"] + (5..<14).map { "m\($0)" })
        #expect(
            fields(tree, "ancient-changes", "Update")
                == #"{"f:data":{".":{},"f:k":{},"f:k0":{},"f:k1":{},"f:k2":{},"f:k3":{},"f:k4":{}}}"#)
    }
}

@Suite struct FieldSetLawTests {
    /// A small random set over few names, so that sets overlap.
    private static func set(_ random: inout some RandomNumberGenerator, depth: Int = 3) -> JSON {
        var members: JSON = [:]
        for step in ["f:a", "f:b", #"k:{"name":"x"}"#, #"v:"s""#] where Int.random(in: 0..<3, using: &random) > 0 {
            var inner = depth > 0 ? set(&random, depth: depth - 1) : [:]
            if !inner.members.isEmpty, Bool.random(using: &random) { inner["."] = [:] }
            members[step] = inner
        }
        return members
    }

    @Test("Union, intersection and difference obey the laws of sets; the text form is exact")
    func laws() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            let text = Self.set(&random)
            if text.members.isEmpty { continue }
            let a = try FieldSet(fieldsV1: text)
            let b = try FieldSet(fieldsV1: Self.set(&random))
            #expect(a.fieldsV1 == text)
            #expect(try FieldSet(fieldsV1: a.fieldsV1) == a)
            let (pa, pb) = (Set(a.paths), Set(b.paths))
            #expect(Set(a.union(b).paths) == pa.union(pb))
            #expect(Set(a.intersection(b).paths) == pa.intersection(pb))
            #expect(Set(a.subtracting(b).paths) == pa.subtracting(pb))
            #expect(a.union(b) == b.union(a))
            #expect(a.subtracting(b).union(a.intersection(b)) == a)
        }
    }

    @Test("Applying a second time is no event; applying nothing gives the live object back")
    func idempotence() throws {
        var random = SystemRandomNumberGenerator()
        func object() -> JSON {
            var spec: JSON = [:]
            for name in ["a", "b", "c"] where Bool.random(using: &random) {
                var item: JSON = ["name": .string(name), "image": .string("i\(Int.random(in: 0..<3, using: &random))")]
                if Bool.random(using: &random) {
                    item["ports"] = [["containerPort": 80], ["containerPort": 81, "protocol": "UDP"]]
                }
                if Bool.random(using: &random) {
                    item["env"] = [["name": "E", "value": .string("\(random.next() % 3)")]]
                }
                spec["containers"] = .array(spec["containers"].elements + [item])
            }
            if Bool.random(using: &random) { spec["nodeSelector"] = ["x": .string("\(random.next() % 2)")] }
            var tree: JSON = [
                "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "namespace": "n"], "spec": spec,
            ]
            if Bool.random(using: &random) { tree["metadata"]["labels"] = ["l": .string("\(random.next() % 2)")] }
            return tree
        }
        let ownership = FieldOwnership(catalog: .builtin, kind: .pod)
        for round in 0..<100 {
            let live: JSON
            if round % 2 == 0 {
                live = object()
            } else {
                var tree = try ownership.apply(object(), to: nil, force: false, by: .init(manager: "one", time: "t1"))
                tree.object["metadata"].setMember("managedFields", tree.managed)
                live = tree.object
            }
            let wanted = object()
            let first = try ownership.apply(wanted, to: live, force: true, by: .init(manager: "two", time: "t2"))
            var once = first.object
            once["metadata"].setMember("managedFields", first.managed)
            let again = try ownership.apply(wanted, to: once, force: false, by: .init(manager: "two", time: "t3"))
            #expect(again.object == once)
            #expect(again.managed == first.managed)
        }
    }
}
