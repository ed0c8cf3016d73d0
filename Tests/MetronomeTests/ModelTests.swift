import JSON
import ObjectModel
import Testing

@testable import Metronome

private let small: JSON = ["id": "prod.report", "run": ["cmd": "true", "cpus": 0, "mem": 32, "disk": 0]]

/// A job whose run has these members.
private func job(_ run: JSON = [:], _ more: JSON = [:]) throws -> JSON {
    var tree = try JSON.parse(#"{"id":"prod.report","run":{"cmd":"true","cpus":0.5,"mem":32,"disk":0}}"#)
    for (name, value) in run.members { tree["run"][name] = value }
    for (name, value) in more.members { tree[name] = value }
    return tree
}

private func refusal(_ document: JSON) -> String? {
    do {
        _ = try JobValidation.job(document)
        return nil
    } catch { return error.description }
}

@Suite("Metronome's documents")
struct ModelTests {
    @Test("What a definition leaves out is filled in, EQ is shown as IS")
    func defaults() throws {
        let spec = try JobValidation.job(
            job(["placement": ["constraints": [["attribute": "rack", "operator": "EQ", "value": "r1"]]]]))
        let run = spec.run
        #expect(run["gpus"].int == 0 && run["maxLaunchDelay"].int == 3600 && run["cpus"].double == 0.5)
        #expect(run["restart"] == ["policy": "NEVER"])
        #expect(run["placement"]["constraints"][0]["operator"].string == "IS")
        #expect(spec.json["labels"] == .object([:]) && spec.json["description"].isNull)
        let again = JobSpec(spec.json)
        #expect(again == spec)
    }

    @Test("Wrong forms and values are named with their paths")
    func refusals() throws {
        #expect(refusal(small)?.contains("/run/cpus: 0 is smaller than required minimum value of 0.01") == true)
        #expect(refusal(["id": "a"])?.contains("Property run missing") == true)
        #expect(try refusal(job([:], ["id": "Big/Id"]))?.contains("/id: 'Big/Id' does not match pattern") == true)
        #expect(try refusal(job(["colour": "red"]))?.contains("Additional properties are not allowed") == true)
        #expect(try refusal(job(["mem": "much"]))?.contains("Wrong type. Expected number, was string.") == true)
        let both = try refusal(job(["docker": ["image": "a"], "ucr": ["image": ["id": "b"]]]))
        #expect(both?.contains("Either Docker or UCR should be provided, but not both") == true)
        var nothing = try job()
        nothing["run"].removeMember("cmd")
        #expect(refusal(nothing)?.contains("Cmd, Docker or UCR image must be specified") == true)
        let secret = try refusal(job(["env": ["A": ["secret": "s"]]]))
        #expect(secret?.contains("referenced, but undefined: s.") == true)
        let bridge = try refusal(job(["networks": [["mode": "container/bridge"]]]))
        #expect(bridge?.contains("Only containers may join container or bridge networks") == true)
        let two = try refusal(
            job([:], ["schedules": [["id": "aa", "cron": "* * * * *"], ["id": "bb", "cron": "* * * * *"]]]))
        #expect(two?.contains("/schedules: has size 2") == true)
    }

    @Test("Schedules that nothing here can keep are refused, Sunday may be 7")
    func schedules() throws {
        func cron(_ text: String) -> Bool {
            (try? JobValidation.schedule(["id": "nightly", "cron": .string(text)])) != nil
        }
        #expect(cron("*/5 * * * *") && cron("0 3 * JAN MON-FRI") && cron("0 3 * * 7") && cron("0 3 ? * 5-7 *"))
        for text in ["* * * *", "0 0 31 2 *", "0 0 L * *", "0 0 * * 2#1", "0 0 13 * 5", "0 0 1 1 * 2030", "@daily"] {
            #expect(!cron(text), "\(text)")
        }
        #expect(try CronText.standard("0 3 * * 5-7") == "0 3 * * 5-6,0")
        #expect((try? JobValidation.schedule(["id": "aa", "cron": "* * * * *", "timezone": "Mars/One"])) == nil)
        #expect((try? JobValidation.schedule(["id": "aa", "cron": "* * * * *", "startingDeadlineSeconds": 30])) == nil)
        // Berlin was two hours ahead that day.
        let summer = try #require(Timestamp("2026-07-01T00:30:00Z"))
        let next = CronText.next(["cron": "0 3 * * *", "timezone": "Europe/Berlin"], after: summer)
        #expect(next?.rfc3339 == "2026-07-01T01:00:00Z")
    }

    @Test("Dependencies have to exist, and must not run in circles")
    func dependencies() throws {
        func spec(_ id: String, _ parents: [String]) throws -> JobSpec {
            JobSpec(try job([:], ["dependencies": .array(parents.map { ["id": .string($0)] })]), id: id)
        }
        let all = try ["a": spec("a", []), "b": spec("b", ["a"]), "c": spec("c", ["b"])]
        try JobValidation.dependencies(spec("d", ["c", "a"]), all)
        #expect(throws: MetronomeError.self) { try JobValidation.dependencies(try spec("d", ["x"]), all) }
        #expect(throws: MetronomeError.self) { try JobValidation.dependencies(try spec("a", ["c"]), all) }
    }

    @Test("A job becomes a Job of one pod: a plain program without an image, a container with one")
    func mapping() throws {
        let plain = JobMaker(
            trying: try JobValidation.job(
                job([
                    "cmd": "echo $(date)", "env": ["A": "1$$"], "user": "nobody", "mem": 64,
                    "artifacts": [["uri": "http://x/y.tgz"]],
                    "placement": ["constraints": [["attribute": "rack", "operator": "LIKE", "value": "r.*"]]],
                    "volumes": [["containerPath": "data", "hostPath": "/srv", "mode": "RO"]],
                ]))
        ).job(suffix: "x")
        #expect(plain["spec"]["backoffLimit"].int == 0)
        let pod = plain["spec"]["template"]
        let container = pod["spec"]["containers"][0]
        #expect(pod["spec"]["runtimeClassName"].string == "process" && pod["spec"]["hostNetwork"].bool == true)
        #expect(container["command"] == ["/bin/sh", "-c", "echo $$(date)"])
        #expect(container["env"].elements.contains(["name": "A", "value": "1$$$"]))
        #expect(container["resources"]["limits"]["memory"].string == "98304Ki")
        #expect(container["volumeMounts"][0]["readOnly"].bool == true)
        let annotations = pod["metadata"]["annotations"]
        #expect(annotations["marathon.apus.dev/constraints"].string == #"[["rack","LIKE","r.*"]]"#)
        #expect(annotations["mesos.apus.dev/uris"].string?.contains("http://x/y.tgz") == true)

        let document = try job(
            [
                "docker": ["image": "reg/a:1", "forcePullImage": true], "networks": [["mode": "container/bridge"]],
                "restart": ["policy": "ON_FAILURE", "activeDeadlineSeconds": 120],
            ],
            ["schedules": [["id": "nightly", "cron": "0 3 * * *", "enabled": false, "concurrencyPolicy": "FORBID"]]])
        let maker = JobMaker(trying: try JobValidation.job(document))
        let cron = try #require(maker.cronJob)
        #expect(cron["spec"]["suspend"].bool == true && cron["spec"]["concurrencyPolicy"].string == "Forbid")
        #expect(cron["spec"]["timeZone"].string == "UTC" && cron["spec"]["startingDeadlineSeconds"].int == 900)
        let template = cron["spec"]["jobTemplate"]
        #expect(template["metadata"]["annotations"]["metronome.apus.dev/launch-within"].string == "900")
        #expect(template["metadata"]["annotations"]["metronome.apus.dev/retry-within"].string == "120")
        #expect(template["spec"]["backoffLimit"].int == Int(Int32.max))
        let body = template["spec"]["template"]["spec"]
        #expect(body["runtimeClassName"].isNull && body["hostNetwork"].isNull)
        #expect(body["containers"][0]["imagePullPolicy"].string == "Always")
    }

    @Test("Names of what is made fit, however long the id is")
    func names() throws {
        let long = String(repeating: "a", count: 120) + "." + String(repeating: "b", count: 120)
        #expect(IDRule.job.matches(long))
        #expect(MetronomeNames.cronJob(of: long).utf8.count <= 52)
        let spec = JobSpec(try job(), id: long)
        let name = JobMaker(trying: spec).job(suffix: "0123456789")["metadata"]["name"].string ?? ""
        #expect(name.utf8.count <= 63 && Names.dns1123LabelProblems(name).isEmpty)
    }
}
