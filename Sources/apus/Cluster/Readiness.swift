import APIServer
import ClusterClient
import ClusterDNS
import ContainerRuntime
import HTTPWindow
import JSON
import ObjectModel
import ServiceNetwork

/// Whether the parts of the cluster do their work, for `apus up`, `/readyz?verbose` and `apus status`.
struct Readiness: Sendable {
    let client: ClusterClient
    /// Nil when this machine is no node.
    let node: NodeServices?
    let authorizer: ClusterAuthorizer
    let monitored: [Monitored]
    let windows: [(name: String, window: Window)]

    /// Checks that the health paths list. `/livez` counts the store alone; `/readyz` also what this server needs to serve
    /// its API fully: permissions, controllers, scheduler. The parts of the node and the windows count for `/healthz` only:
    /// a cluster whose DNS is down still has to answer those who want to repair it.
    var checks: [HealthCheck] {
        var checks = [
            HealthCheck("store", endpoints: .all) {
                do {
                    _ = try await client.get(.namespaces, ObjectKey(name: "default"))
                    return nil
                } catch {
                    return "\(error)"
                }
            }
        ]
        let authorizer = authorizer
        checks.append(
            HealthCheck("informer-sync", endpoints: [.healthz, .readyz]) {
                authorizer.isSynced ? nil : "roles and bindings are not read yet"
            })
        if let node {
            checks += Self.checks(node)
        }
        checks += monitored.map { component in
            HealthCheck(component.name, endpoints: [.healthz, .readyz]) {
                component.isRunning ? nil : "it does not run"
            }
        }
        checks += windows.map { name, window in
            HealthCheck(name, endpoints: .healthz) {
                window.port == nil && !window.isLeftOut ? "nothing listens on port \(window.configuration.port)" : nil
            }
        }
        return checks
    }

    private static func checks(_ node: NodeServices) -> [HealthCheck] {
        let (proxy, dns, containerd) = (node.proxy, node.dns, node.containerd)
        return [
            HealthCheck("service-network", endpoints: .healthz) {
                proxy.isProgrammed ? nil : "the nftables table is not written"
            },
            HealthCheck("dns", endpoints: .healthz) { dns.isServing ? nil : "the server does not listen" },
            HealthCheck("containerd", endpoints: .healthz) { containerd.isReady ? nil : "it does not answer" },
        ]
    }

    /// What is not there yet, in the words of `apus up`; empty when the cluster is ready.
    func missing() async -> [String] {
        var missing = windows.filter { $0.window.port == nil && !$0.window.isLeftOut }.map(\.window.configuration.name)
        guard let node else { return missing }
        if !node.proxy.isProgrammed { missing.append("the service network") }
        if !node.dns.isServing { missing.append("DNS") }
        let object = try? await client.find(.nodes, ObjectKey(name: node.name))
        let isReady = object?.tree["status"]["conditions"].elements.contains {
            $0["type"].string == "Ready" && $0["status"].string == "True"
        }
        if isReady != true { missing.append("the node") }
        return missing
    }
}
