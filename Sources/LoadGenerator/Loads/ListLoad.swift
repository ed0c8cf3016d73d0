import NIOCore

/// Lists pods: all of a namespace, a hundredth of them by label, and one page of 500.
public struct ListLoad: Sendable {
    public var rig: LoadRig
    /// Pods in the namespace.
    public var pods: Int
    /// Requests of each kind.
    public var requests: Int

    public init(rig: LoadRig, pods: Int, requests: Int) {
        self.rig = rig
        self.pods = pods
        self.requests = requests
    }

    /// Creates the pods, which no scheduler takes, lists them, and deletes them.
    public func run(report: @Sendable (Measurement) -> Void) async throws {
        let head = RequestHead(rig.access)
        let collection = "/api/v1/namespaces/\(rig.namespace)/pods"
        try await rig.inNamespace { control, channels in
            try await control.ensureAccount(rig.namespace)
            report(
                try await rig.phase("create", channels, total: pods) { index, buffer in
                    head.write("POST", collection, body: Self.pod(index), into: &buffer)
                })
            let lists = [
                ("list all", "\(collection)?resourceVersion=0"),
                ("list by label", "\(collection)?labelSelector=part%3D7"),
                ("list a page", "\(collection)?limit=500"),
            ]
            for (name, path) in lists {
                report(
                    try await rig.phase(name, channels, total: requests) { _, buffer in
                        head.write("GET", path, into: &buffer)
                    })
            }
            report(
                try await rig.phase("delete", channels, total: pods) { index, buffer in
                    head.write("DELETE", "\(collection)/load-\(index)?gracePeriodSeconds=0", into: &buffer)
                })
        }
    }

    /// A pod such as people write: a container with resources, probes, environment and a volume.
    private static func pod(_ index: Int) -> String {
        #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"load-\#(index)","labels":{"app":"load","part":"\#(index % 100)"},"#
            + #""annotations":{"example.com/made-by":"apus bench"}},"spec":{"schedulerName":"none","containers":[{"name":"main","#
            + #""image":"registry.example.com/load:1","command":["/bin/load","--index=\#(index)"],"env":[{"name":"INDEX","#
            + #""value":"\#(index)"},{"name":"NODE","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}],"#
            + #""resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"128Mi"}},"ports":[{"containerPort":8080}],"#
            + #""readinessProbe":{"httpGet":{"path":"/healthz","port":8080}},"volumeMounts":[{"name":"data","mountPath":"/data"}]}],"#
            + #""volumes":[{"name":"data","emptyDir":{}}]}}"#
    }
}
