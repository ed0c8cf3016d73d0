import JSON
import NIOHTTP1
import ObjectModel
import Schema
import Streaming

/// A pod that a stream is opened to, and the node it runs on.
struct PodTarget: Sendable {
    let pod: Object
    let reference: PodReference
    let gateway: any NodeGateway

    /// The container that is meant.
    ///
    /// - Throws: `StatusError` 400 when none is named and there are several, or when it is not in the pod.
    static func container(named name: String, of pod: Object) throws -> String {
        let spec = pod.tree["spec"]
        func names(_ list: String) -> [String] { spec[list].elements.compactMap { $0["name"].string } }
        let (main, initial, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"))
        if name.isEmpty {
            if main.count == 1 { return main[0] }
            guard !main.isEmpty else {
                throw StatusError.badRequest("a container name must be specified for pod \(pod.name)")
            }
            var text =
                "a container name must be specified for pod \(pod.name), choose one of: [\(main.joined(separator: " "))]"
            if !initial.isEmpty { text += " or one of the init containers: [\(initial.joined(separator: " "))]" }
            if !ephemeral.isEmpty {
                text += " or one of the ephemeral containers: [\(ephemeral.joined(separator: " "))]"
            }
            throw StatusError.badRequest(text)
        }
        guard main.contains(name) || initial.contains(name) || ephemeral.contains(name) else {
            throw StatusError.badRequest("container \(name) is not valid for pod \(pod.name)")
        }
        return name
    }

    /// What the pod's status says about a container.
    static func status(of container: String, in pod: Object) -> JSON {
        let status = pod.tree["status"]
        for list in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
            if let found = status[list].elements.first(where: { $0["name"].string == container }) { return found }
        }
        return .null
    }
}

extension Dispatcher {
    /// The pod a request names.
    func pod(_ call: Call) async throws -> Object {
        guard let pods = backend.catalog.resource(.pods) else { throw StatusError.unknownResource() }
        return try await backend.get(
            pods, ObjectKey(namespace: call.info.namespace, name: call.info.name), resourceVersion: "")
    }

    /// The way to the pod's node.
    ///
    /// - Throws: `StatusError` 400 when the pod is not placed, 503 when its node is not connected.
    func target(of pod: Object) async throws -> PodTarget {
        guard let node = pod.tree["spec"]["nodeName"].string, !node.isEmpty else {
            throw StatusError.badRequest("pod \(pod.name) does not have a host assigned")
        }
        guard let gateway = await nodes.gateway(node: node) else {
            throw StatusError.serviceUnavailable("the node \"\(node)\" of pod \"\(pod.name)\" is not connected")
        }
        return PodTarget(
            pod: pod, reference: PodReference(namespace: pod.namespace, name: pod.name, uid: pod.uid), gateway: gateway)
    }
}
