import ClusterClient
import JSON
import NIOCore
import NIOHTTP1
import ObjectModel
import Schema
import Streaming

/// `nodes/proxy`: what a kubelet's port tells, answered from the node's gateway and the objects it reports.
extension Dispatcher {
    func nodeProxy(_ call: Call, _ name: ProxyName, _ place: ProxyPlace) async throws -> Answer {
        guard let definition = backend.catalog.resource(.nodes) else { throw StatusError.unknownResource() }
        let node = try await backend.get(definition, ObjectKey(name: name.name), resourceVersion: "")
        let kubelet = node.tree["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].int ?? 10250
        guard name.port.isEmpty || name.port == String(kubelet) else {
            // Another program on the node.
            let addresses = node.tree["status"]["addresses"].elements
            let address = addresses.first { $0["type"] == "InternalIP" }?["address"].string ?? ""
            guard let port = Int(name.port), (1...65535).contains(port) else {
                throw StatusError.badRequest("invalid port \"\(name.port)\": must be a number from 1 to 65535")
            }
            guard !address.isEmpty, Self.mayBeProxied(address) else {
                throw StatusError.badRequest("address not allowed")
            }
            return try await relay(call, place, to: ProxyTarget(host: address, port: port, isTLS: name.isTLS))
        }
        guard let gateway = await nodes.gateway(node: node.name) else {
            throw StatusError.serviceUnavailable("the node \"\(node.name)\" is not connected")
        }
        guard call.request.method == .GET || call.request.method == .HEAD else {
            return .text("405 this node answers GET here\n", status: .methodNotAllowed)
        }
        let segments = call.info.tail
        switch segments.first ?? "" {
        case "healthz": return .text("ok")
        case "pods", "runningpods":
            let pods = try await pods(on: node.name)
            let running = segments[0] == "pods" ? pods : pods.filter { $0.tree["status"]["phase"] == "Running" }
            let list: JSON = [
                "kind": "PodList", "apiVersion": "v1", "metadata": [:], "items": .array(running.map(\.tree)),
            ]
            return .response(Response(json: list))
        case "stats" where segments.count < 2 || segments[1] == "summary":
            return .response(Response(json: try await summary(node, gateway)))
        case "metrics" where segments.count == 1: return .text(try await nodeMetricsText(node, gateway))
        case "configz": return .response(Response(json: configz(node)))
        case "containerLogs" where segments.count == 4: return try await containerLogs(call, segments, node, gateway)
        default:
            return .text(
                "404 this node serves healthz, pods, runningpods, stats/summary, metrics, configz and"
                    + " containerLogs/NAMESPACE/POD/CONTAINER here\n", status: .notFound)
        }
    }

    private func pods(on node: String) async throws -> [Object] {
        guard let definition = backend.catalog.resource(.pods) else { return [] }
        var options = ListOptions()
        options.resourceVersion = "0"
        options.fieldSelector.requirements = [.init(field: "spec.nodeName", value: node, isEqual: true)]
        return try await backend.list(definition, namespace: nil, options: options).items
    }

    private func containerLogs(_ call: Call, _ segments: [String], _ node: Object, _ gateway: any NodeGateway)
        async throws -> Answer
    {
        let pods = try await pods(on: node.name)
        guard let pod = pods.first(where: { $0.namespace == segments[1] && $0.name == segments[2] }) else {
            return .text("404 pod \"\(segments[2])\" not found\n", status: .notFound)
        }
        let container = try PodTarget.container(named: segments[3], of: pod)
        let reference = PodReference(namespace: pod.namespace, name: pod.name, uid: pod.uid)
        let chunks = try await gateway.logs(
            ContainerReference(pod: reference, container: container), options: try logOptions(call))
        return .streamed(Response(status: .ok, headers: ["Content-Type": "text/plain"])) { exchange in
            for try await chunk in chunks where !chunk.isEmpty {
                try await exchange.write(ByteBuffer(bytes: chunk), isImpatient: false)
            }
        }
    }

    // MARK: Usage

    /// The Summary API of kubelets (`stats/v1alpha1`), as far as the node measures.
    private func summary(_ node: Object, _ gateway: any NodeGateway) async throws -> JSON {
        let usage = try await gateway.nodeUsage()
        let uids = Dictionary(
            try await pods(on: node.name).map { ($0.key, $0.uid) }, uniquingKeysWith: { first, _ in first })
        let pods = try await gateway.podUsage().compactMap { pod -> JSON? in
            let metadata = pod["metadata"]
            let key = ObjectKey(namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "")
            guard let uid = uids[key] else { return nil }
            let containers = pod["containers"].elements.map { container -> JSON in
                var json = Self.measured(container["usage"], at: pod["timestamp"])
                json["name"] = container["name"]
                return json
            }
            return [
                "podRef": ["name": .string(key.name), "namespace": .string(key.namespace), "uid": .string(uid)],
                "containers": .array(containers),
            ]
        }
        var json = Self.measured(usage["usage"], at: usage["timestamp"])
        json["nodeName"] = .string(node.name)
        return ["node": json, "pods": .array(pods)]
    }

    private static func measured(_ usage: JSON, at time: JSON) -> JSON {
        var json: JSON = [:]
        if let cpu = usage["cpu"].string.flatMap({ Quantity($0) }) {
            json["cpu"] = ["time": time, "usageNanoCores": .integer(Int64(bounded: cpu.doubleValue * 1e9))]
        }
        if let memory = usage["memory"].string.flatMap({ Quantity($0) }) {
            json["memory"] = ["time": time, "workingSetBytes": .integer(Int64(bounded: memory.doubleValue))]
        }
        return json
    }

    private func nodeMetricsText(_ node: Object, _ gateway: any NodeGateway) async throws -> String {
        let pods = try await pods(on: node.name)
        let running = pods.filter { $0.tree["status"]["phase"] == "Running" }
        let containers = running.reduce(0) { count, pod in
            count + pod.tree["status"]["containerStatuses"].elements.count { !$0["state"]["running"].isNull }
        }
        return """
            # TYPE kubelet_node_name gauge
            kubelet_node_name{node="\(node.name)"} 1
            # TYPE kubelet_desired_pods gauge
            kubelet_desired_pods{static=""} \(pods.count)
            # TYPE kubelet_running_pods gauge
            kubelet_running_pods \(running.count)
            # TYPE kubelet_running_containers gauge
            kubelet_running_containers{container_state="running"} \(containers)

            """
    }

    /// What of a kubelet's configuration has a meaning here.
    private func configz(_ node: Object) -> JSON {
        var configuration: JSON = ["kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1"]
        if let most = node.tree["status"]["capacity"]["pods"].string.flatMap({ Int($0) }) {
            configuration["maxPods"] = JSON(most)
        }
        if let range = node.tree["spec"]["podCIDR"].string { configuration["podCIDR"] = .string(range) }
        return ["kubeletconfig": configuration]
    }
}
