import ClusterClient
import JSON
import ObjectModel
import Testing

@testable import APIMachinery

@Suite struct CertificateRequestTests {
    private static let requests = GroupVersionResource(
        group: "certificates.k8s.io", version: "v1", resource: "certificatesigningrequests")

    private static func request(_ spec: JSON = [:]) -> JSON {
        var request: JSON = [
            "metadata": ["name": "r"],
            "spec": [
                "request": Fixture.certificateRequest, "signerName": "example.com/own", "usages": ["client auth"],
                "username": "liar",
            ],
        ]
        for (key, value) in spec.members { request["spec"][key] = value }
        return request
    }
    private static func verdict(_ type: String) -> JSON {
        ["status": ["conditions": [["type": .string(type), "status": "True", "reason": "r"]]]]
    }

    @Test("The server says who asks; verdicts are made in approval only, and stay")
    func verdicts() async throws {
        let cluster = try await Cluster()
        let made = try await cluster.create(Self.requests, Self.request()).tree
        #expect(made["spec"]["username"].string == "system:apiserver")
        let sneaky = try await cluster.patch(Self.requests, "r", Self.verdict("Approved"), subresource: "status").tree
        #expect(sneaky["status"]["conditions"].elements.isEmpty)
        var patch = Self.verdict("Approved")
        patch["metadata"] = ["annotations": ["by": "anna"]]
        patch["spec"] = ["signerName": "example.com/other"]
        let approved = try await cluster.patch(Self.requests, "r", patch, subresource: "approval").tree
        #expect(approved["status"]["conditions"][0]["lastTransitionTime"].string != nil)
        #expect(
            approved["metadata"]["annotations"]["by"] == "anna" && approved["spec"]["signerName"] == "example.com/own")
        #expect(
            await message {
                try await cluster.patch(Self.requests, "r", Self.verdict("Denied"), subresource: "approval")
            }.contains("updates may not remove a condition of type \"Approved\""))
        let signed = try await cluster.patch(
            Self.requests, "r", ["status": ["certificate": "eA==", "conditions": []]], subresource: "status"
        ).tree
        #expect(signed["status"]["certificate"] == "eA==" && signed["status"]["conditions"].elements.count == 1)
    }

    @Test("Requests that no signer could take are refused")
    func invalid() async throws {
        let cluster = try await Cluster()
        for (spec, problem) in [
            (["signerName": "short"], "must be a fully qualified domain and path"),
            (["signerName": "kubernetes.io/legacy-unknown"], "the legacy signerName is not allowed"),
            (["expirationSeconds": 60], "may not specify a duration less than 600 seconds"),
            (["usages": []], "spec.usages: Required value"),
        ] as [(JSON, String)] {
            #expect(await message { try await cluster.create(Self.requests, Self.request(spec)) }.contains(problem))
        }
    }

    @Test("Status updates of built-in kinds carry annotations, and nothing of the spec")
    func metadata() async throws {
        let cluster = try await Cluster()
        try await cluster.create(.pods, Fixture.pod("p"))
        let pod = try await cluster.patch(
            .pods, "p",
            ["metadata": ["annotations": ["a": "b"]], "spec": ["nodeName": "n"], "status": ["message": "hm"]],
            subresource: "status"
        ).tree
        #expect(pod["metadata"]["annotations"]["a"] == "b" && pod["status"]["message"] == "hm")
        #expect(pod["spec"]["nodeName"].isNull)
    }
}
