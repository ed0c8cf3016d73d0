import NIOHTTP1
import Testing

@testable import APIServer

@Suite struct RequestInfoTests {
    @Test(
        "Paths become API attributes",
        arguments: [
            ("GET", "/api/v1/namespaces/a/pods", "list  v1 pods a  "),
            ("GET", "/api/v1/namespaces/a/pods?watch=1", "watch  v1 pods a  "),
            ("GET", "/api/v1/pods/", "list  v1 pods   "),
            ("GET", "/api/v1/namespaces/a", "get  v1 namespaces a a "),
            ("PUT", "/api/v1/namespaces/a/finalize", "update  v1 namespaces a a finalize"),
            ("GET", "/api/v1/namespaces", "list  v1 namespaces   "),
            ("GET", "/apis/apps/v1/namespaces/a/deployments/d/scale", "get apps v1 deployments a d scale"),
            ("POST", "/apis/apps/v1/namespaces/a/deployments", "create apps v1 deployments a  "),
            ("DELETE", "/apis/apps/v1/namespaces/a/deployments", "deletecollection apps v1 deployments a  "),
            ("DELETE", "/api/v1/nodes/n", "delete  v1 nodes  n "),
            ("PATCH", "/api/v1/nodes/n/status", "patch  v1 nodes  n status"),
            ("GET", "/api/v1/watch/namespaces/a/pods", "watch  v1 pods a  "),
            ("GET", "/api/v1/watch/namespaces/a/pods/p", "watch  v1 pods a p "),
            ("GET", "/api/v1/namespaces/a/pods/p%2Fq", "get  v1 pods a p/q "),
        ])
    func attributes(method: String, uri: String, expected: String) {
        let parts = uri.split(separator: "?", maxSplits: 1)
        let info = RequestInfo(
            method: HTTPMethod(rawValue: method), path: String(parts[0]), query: Query(parts.count > 1 ? parts[1] : ""))
        let text = [info.verb, info.group, info.version, info.resource, info.namespace, info.name, info.subresource]
        #expect(text.joined(separator: " ") == expected)
    }

    @Test func otherPathsAreNoResource() {
        for path in ["/", "/api", "/api/v1", "/apis/apps/v1/", "/healthz/", "/version"] {
            let info = RequestInfo(method: .GET, path: path, query: Query(""))
            #expect(!info.isResource)
            #expect(info.verb == "get")
        }
    }
}
