import ArgumentParser
import HTTPAccess
import JSON
import NIOCore

/// `apus status`: every component with its health.
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show every component with its health.")

    @OptionGroup var cluster: ClusterOptions

    func run() async throws {
        let lookup = try cluster.lookup()
        let data = DataDirectory(path: cluster.dataDirectory(lookup))
        guard let identity = try data.identity() else {
            throw UserError("there is no cluster in \(data.path): start one with `apus up --data-dir \(data.path)`")
        }
        print("cluster    \(identity.clusterID)")
        print("data       \(data.path)")
        guard let process = data.runningProcess() else {
            print("apus       stopped (workloads and services go on; start it with `apus up`)")
            throw ExitCode(3)
        }
        print("apus       running, process \(process)")
        print("server     https://127.0.0.1:\(identity.port)")
        guard data.canReadCredentials else {
            throw UserError(
                "the components' health needs the administrator's key, which only root can read: run it with sudo")
        }
        let access = try KubeconfigLocation.access(data.sub("pki/admin.kubeconfig"))
        let connection: HTTPConnection
        do {
            connection = try await HTTPConnection.open(access, tls: HTTPConnection.context(access))
        } catch {
            print("api        not reachable: \(error)")
            throw ExitCode(1)
        }
        let health = try await connection.send("GET", "/healthz?verbose").get()
        print("\ncomponents")
        var isHealthy = health.status == 200
        for line in String(buffer: health.body).split(separator: "\n") where line.hasPrefix("[") {
            let isGood = line.hasPrefix("[+]")
            isHealthy = isHealthy && isGood
            print("  \(isGood ? "ok  " : "FAIL") \(line.dropFirst(3).prefix { $0 != " " })")
        }
        let nodes = try await connection.send("GET", "/api/v1/nodes").get()
        print("\nnodes")
        for node in (try? JSON.parse(nodes.body.readableBytesView))?["items"].elements ?? [] {
            let isReady = node["status"]["conditions"].elements.contains {
                $0["type"].string == "Ready" && $0["status"].string == "True"
            }
            isHealthy = isHealthy && isReady
            print("  \(isReady ? "ok  " : "FAIL") \(node["metadata"]["name"].string ?? "")")
        }
        await connection.close()
        if !isHealthy { throw ExitCode(1) }
    }
}
