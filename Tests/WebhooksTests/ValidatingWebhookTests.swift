import APIMachinery
import JSON
import ObjectModel
import Testing

@Suite struct ValidatingWebhookTests {
    @Test("A refusal reaches the client with the webhook's name, code and reason")
    func refusal() async throws {
        let server = try await WebhookServer { _, review in
            switch review["request"]["object"]["data"]["say"].string {
            case "reason": denied(review, ["code": 403, "reason": "Forbidden", "message": "no luck today"])
            case "nothing": denied(review, nil)
            case "patch": allowed(review, patch: [])
            default: allowed(review)
            }
        }
        let cluster = try await HookedCluster()
        try await cluster.serve(server)
        try await cluster.hook(HookedCluster.validating, "check", at: server)
        func say(_ word: String) async -> String {
            await message { try await cluster.create(.configMaps, .configMap("a", ["say": word])) }
        }
        #expect(await say("reason") == "403 admission webhook \"check.example.com\" denied the request: no luck today")
        #expect(
            await say("nothing") == "400 admission webhook \"check.example.com\" denied the request without explanation"
        )
        #expect(
            await say("patch")
                == "500 Internal error occurred: failed calling webhook \"check.example.com\": failed to call webhook: "
                + "received invalid webhook response: a validating webhook must not return a patch")
        #expect(await say("yes") == "no error")
        // Here the object is as it will be stored.
        let last = try #require(server.reviews.last).review["request"]["object"]["metadata"]
        #expect(last["uid"].string?.isEmpty == false && last["creationTimestamp"].string?.isEmpty == false)
        await server.stop()
    }

    @Test("Whoever cannot be asked decides by the failure policy")
    func failure() async throws {
        let server = try await WebhookServer { _, review in allowed(review) }
        let other = try await WebhookServer(names: ["elsewhere.default.svc"]) { _, review in allowed(review) }
        let slow = try await WebhookServer { _, review in
            try? await Task.sleep(for: .seconds(3))
            return allowed(review)
        }
        let cluster = try await HookedCluster()
        func create(_ name: String) async -> String {
            await message { try await cluster.create(.configMaps, .configMap(name)) }
        }
        let begin =
            "500 Internal error occurred: failed calling webhook \"h.example.com\": failed to call webhook: Post "
        try await cluster.hook(HookedCluster.validating, "h", at: server, path: "/p", [:])
        #expect(
            await create("a") == begin + "\"https://hook.default.svc:443/p?timeout=10s\": service \"hook\" not found")
        try await cluster.delete(HookedCluster.validating, "h")

        try await cluster.serve(other)
        try await cluster.hook(HookedCluster.validating, "h", at: other)
        let untrusted = await create("b")
        #expect(
            untrusted.hasPrefix(begin + "\"https://hook.default.svc:443/?timeout=10s\": tls: failed to verify"))
        try await cluster.delete(HookedCluster.validating, "h")

        try await cluster.hook(
            HookedCluster.validating, "h", at: slow, path: "/wait", byURL: true, ["timeoutSeconds": 1])
        #expect(
            await create("c") == begin
                + "\"https://127.0.0.1:\(slow.port)/wait?timeout=1s\": context deadline exceeded")
        try await cluster.delete(HookedCluster.validating, "h")

        await server.stop()
        try await cluster.hook(HookedCluster.validating, "h", at: server, byURL: true)
        let refused = await create("d")
        #expect(
            refused == begin
                + "\"https://127.0.0.1:\(server.port)/?timeout=10s\": dial tcp 127.0.0.1:\(server.port): connect: "
                + "connection refused")
        try await cluster.delete(HookedCluster.validating, "h")
        try await cluster.hook(
            HookedCluster.validating, "h", at: server, byURL: true, ["failurePolicy": "Ignore"])
        #expect(await create("e") == "no error")
        await other.stop()
        await slow.stop()
    }

    @Test("Selectors, dry runs, deletions and evictions")
    func selection() async throws {
        let server = try await WebhookServer { _, review in denied(review, ["message": "no"]) }
        let cluster = try await HookedCluster()
        try await cluster.create(.namespaces, ["metadata": ["name": "free", "labels": ["hooks": "off"]]])
        let rule: JSON = [
            "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["configmaps", "pods/eviction"],
            "operations": ["CREATE", "DELETE"],
        ]
        try await cluster.create(.configMaps, .configMap("old", labels: ["guarded": "yes"]))
        try await cluster.hook(
            HookedCluster.validating, "h", at: server, byURL: true,
            [
                "rules": [rule], "sideEffects": "None",
                "objectSelector": ["matchLabels": ["guarded": "yes"]],
                "namespaceSelector": ["matchExpressions": [["key": "hooks", "operator": "DoesNotExist"]]],
            ])
        let refused = "400 admission webhook \"h.example.com\" denied the request: no"
        #expect(await message { try await cluster.create(.configMaps, .configMap("a")) } == "no error")
        let guarded = JSON.configMap("b", labels: ["guarded": "yes"])
        #expect(await message { try await cluster.create(.configMaps, guarded) } == refused)
        var elsewhere = guarded
        elsewhere["metadata"]["namespace"] = "free"
        #expect(await message { try await cluster.create(.configMaps, elsewhere) } == "no error")
        #expect(await message { try await cluster.delete(.configMaps, "old") } == refused)
        let deletion = try #require(server.reviews.last).review["request"]
        #expect(deletion["object"].isNull && deletion["oldObject"]["metadata"]["name"].string == "old")
        #expect(deletion["options"]["kind"].string == "DeleteOptions")
        let dry = RequestContext(user: .system, isDryRun: true)
        #expect(await message { try await cluster.create(.configMaps, guarded, dry) } == refused)
        #expect(server.reviews.last?.review["request"]["dryRun"].bool == true)
        try await cluster.delete(HookedCluster.validating, "h")
        try await cluster.hook(
            HookedCluster.validating, "h", at: server, byURL: true,
            ["rules": [rule], "admissionReviewVersions": ["v1beta1", "v1"]])
        try await cluster.create(
            .pods,
            [
                "metadata": ["name": "p", "namespace": "default"],
                "spec": ["containers": [["name": "main", "image": "busybox"]]],
            ])
        let eviction: JSON = [
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": "p", "namespace": "default"],
        ]
        #expect(await message { try await cluster.create(.pods, eviction, subresource: "eviction") } == refused)
        let asked = try #require(server.reviews.last).review
        #expect(asked["apiVersion"].string == "admission.k8s.io/v1beta1")
        #expect(asked["request"]["kind"]["kind"].string == "Eviction")
        await server.stop()
    }

    @Test("Webhook configurations are never sent to webhooks")
    func exempt() async throws {
        let server = try await WebhookServer { _, review in denied(review, ["message": "never"]) }
        let cluster = try await HookedCluster()
        try await cluster.hook(
            HookedCluster.validating, "all", at: server, byURL: true,
            [
                "rules": [
                    ["apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"]]
                ]
            ])
        #expect(await message { try await cluster.create(.configMaps, .configMap("a")) }.hasPrefix("400 "))
        try await cluster.patch(HookedCluster.validating, "all", ["metadata": ["labels": ["a": "b"]]])
        try await cluster.delete(HookedCluster.validating, "all")
        #expect(server.reviews.count == 1)
        await server.stop()
    }
}

@Suite struct WebhookConfigurationTests {
    @Test("What a configuration must say")
    func problems() async throws {
        let cluster = try await HookedCluster()
        let good: JSON = [
            "name": "a.example.com", "clientConfig": ["url": "https://127.0.0.1/x"], "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "rules": [["apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]]],
        ]
        func problem(_ field: String, _ value: JSON) async -> String {
            var webhook = good
            webhook.setMember(field, value)
            let body: JSON = ["metadata": ["name": "c"], "webhooks": [webhook]]
            let text = await message { try await cluster.create(HookedCluster.validating, body) }
            let start =
                "422 ValidatingWebhookConfiguration.admissionregistration.k8s.io \"c\" is invalid: webhooks[0]."
            return text.hasPrefix(start) ? String(text.dropFirst(start.count)) : text
        }
        #expect(
            await problem("name", "short") == "name: Invalid value: \"short\": should be a domain with at least three "
                + "segments separated by dots")
        #expect(
            await problem("sideEffects", nil) == "sideEffects: Required value: must specify one of None, NoneOnDryRun")
        #expect(
            await problem("clientConfig", ["url": "http://x"])
                == "clientConfig.url: Invalid value: \"http://x\": must be an absolute https URL with a host; no other "
                + "scheme is supported")
        #expect(
            await problem("clientConfig", [:])
                == "clientConfig: Required value: exactly one of url or service is required")
        #expect(
            await problem("timeoutSeconds", 31)
                == "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds")
        #expect(
            await problem("admissionReviewVersions", ["v9"])
                == "admissionReviewVersions: Invalid value: [\"v9\"]: must include "
                + "at least one of v1, v1beta1")
        #expect(await problem("rules", [["operations": ["CREATE"]]]).contains("rules[0].apiGroups: Required value"))
        #expect(
            await problem("matchConditions", [["name": "x", "expression": "true +"]]).hasPrefix(
                "matchConditions[0].expression: Invalid value: \"true +\": compilation failed: ERROR: <input>:1:"))
        #expect(await problem("failurePolicy", "Fail") == "no error")
    }
}
