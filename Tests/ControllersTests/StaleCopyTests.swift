import ClusterClient
import JSON
import ObjectModel
import Testing

@testable import Controllers

/// What controllers do while the copy of what they look after is behind that of pods, or the other way round.
@Suite struct StaleCopyTests {
    private static let late: Duration = .milliseconds(300)

    private static func job(_ name: String, _ spec: JSON) -> JSON {
        [
            "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name), "namespace": "default"],
            "spec": spec.mergePatched(with: ["template": TestCluster.template(name, restartPolicy: "Never")]),
        ]
    }

    /// Every name that a pod ever had.
    private static func pods(_ cluster: TestCluster, _ body: () async throws -> Void) async throws -> Set<String> {
        let start = try await cluster.client.list(.pods, namespace: "default").resourceVersion
        try await body()
        var options = ListOptions()
        options.resourceVersion = String(start)
        options.allowBookmarks = false
        let end = try await cluster.client.create(.configMaps, TestCluster.configMap("end")).metadata.resourceVersion
        // A pod that says where to stop.
        let last = try await cluster.client.create(.pods, TestCluster.pod("last"))
        #expect(last.metadata.resourceVersion > end)
        var names: Set<String> = []
        for try await event in try await cluster.client.watch(.pods, namespace: "default", options: options) {
            if event.object.name == "last" { break }
            names.insert(event.object.name)
        }
        return names
    }

    @Test("A pod that was counted is not made once more", arguments: [GroupVersionResource.jobs, .pods])
    func jobs(late: GroupVersionResource) async throws {
        try await TestCluster.run(behind: (late, Self.late)) { cluster in
            let names = try await Self.pods(cluster) {
                try await cluster.client.create(.jobs, Self.job("j", ["completions": 2, "parallelism": 1]))
                for done in 1...2 {
                    try await cluster.eventually("pod \(done)", { try await cluster.list(.pods) }) { pods in
                        pods.contains { $0.tree["status"]["phase"].string == "Running" }
                    }
                    let running = try await cluster.list(.pods).filter {
                        $0.tree["status"]["phase"].string == "Running"
                    }
                    for pod in running { try await cluster.finish(pod.key) }
                }
                try await cluster.eventually("the end", { try await cluster.find(.jobs, "j") }) { job in
                    job?["status"]["conditions"].elements.contains { $0["type"].string == "Complete" } == true
                }
            }
            #expect(names.count == 2)
            #expect(try await cluster.find(.jobs, "j")?["status"]["succeeded"].int == 2)
        }
    }
}
