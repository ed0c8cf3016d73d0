import NIOCore

/// Creates, reads, updates and deletes config maps over many connections at once: what an API server costs per request.
public struct CrudLoad: Sendable {
    public var rig: LoadRig
    /// Requests per phase.
    public var requests: Int
    /// Bytes of data in each config map.
    public var size: Int

    public init(rig: LoadRig, requests: Int, size: Int) {
        self.rig = rig
        self.requests = requests
        self.size = size
    }

    /// Runs the four phases; objects are removed at the end.
    /// - Parameter report: called after each phase.
    public func run(report: @Sendable (Measurement) -> Void) async throws {
        let collection = "/api/v1/namespaces/\(rig.namespace)/configmaps"
        let value = String(repeating: "x", count: size)
        @Sendable func body(_ index: Int, _ text: String) -> String {
            #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"load-\#(index)"},"#
                + #""data":{"value":"\#(text)"}}"#
        }
        let head = RequestHead(rig.access)
        let phases: [(String, @Sendable (Int, inout ByteBuffer) -> Void)] = [
            ("create", { head.write("POST", collection, body: body($0, value), into: &$1) }),
            ("get", { head.write("GET", "\(collection)/load-\($0)", into: &$1) }),
            ("update", { head.write("PUT", "\(collection)/load-\($0)", body: body($0, value + "y"), into: &$1) }),
            ("delete", { head.write("DELETE", "\(collection)/load-\($0)", into: &$1) }),
        ]
        try await rig.inNamespace { _, channels in
            for (name, write) in phases {
                report(try await rig.phase(name, channels, total: requests, write: write))
            }
        }
    }
}
