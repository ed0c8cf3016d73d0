import ClusterClient
import JSON
import Logging
import ObjectModel

/// What marks a pod that comes from a file.
enum StaticPod {
    static let sourceKey = "kubernetes.io/config.source"
    static let hashKey = "kubernetes.io/config.hash"
    static let mirrorKey = "kubernetes.io/config.mirror"
    static let seenKey = "kubernetes.io/config.seen"
    static let fileSource = "file"

    /// The pod of a manifest, named after its node and bound to it.
    /// - Throws: `ConfigurationError` when the manifest is no pod that can be run from a file.
    static func pod(_ manifest: JSON, node: String, hash: String) throws(ConfigurationError) -> JSON {
        guard manifest["kind"].string == "Pod", manifest["apiVersion"].string == "v1" else {
            throw ConfigurationError("it is not a v1 Pod")
        }
        guard let name = manifest["metadata"]["name"].string, !name.isEmpty else {
            throw ConfigurationError("metadata.name is missing")
        }
        for (member, what) in [
            ("serviceAccountName", "service accounts"), ("ephemeralContainers", "ephemeral containers"),
        ]
        where !manifest["spec"][member].isNull {
            throw ConfigurationError("static pods may not use \(what)")
        }
        for volume in manifest["spec"]["volumes"].elements {
            for type in ["configMap", "secret", "persistentVolumeClaim", "ephemeral"] where !volume[type].isNull {
                throw ConfigurationError("static pods may not use volumes of type \(type)")
            }
        }
        var pod = manifest
        pod.removeMember("status")
        pod["metadata"]["name"] = .string("\(name)-\(node)")
        if pod["metadata"]["namespace"].string ?? "" == "" { pod["metadata"]["namespace"] = "default" }
        for member in ["uid", "resourceVersion", "generateName", "ownerReferences", "creationTimestamp"] {
            pod["metadata"].removeMember(member)
        }
        for (key, value) in [
            (sourceKey, fileSource), (hashKey, hash), (mirrorKey, hash), (seenKey, Timestamp.now.rfc3339),
        ] { pod["metadata"]["annotations"][key] = .string(value) }
        pod["spec"]["nodeName"] = .string(node)
        pod["spec"]["tolerations"] = .array(
            pod["spec"]["tolerations"].elements + [["operator": "Exists", "effect": "NoExecute"]])
        return pod
    }

    /// 16 hexadecimal digits that tell one content from another (FNV-1a).
    static func hash(_ bytes: [UInt8]) -> String {
        var value: UInt64 = 14_695_981_039_346_656_037
        for byte in bytes { value = (value ^ UInt64(byte)) &* 1_099_511_628_211 }
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.utf8.count) + text
    }
}

/// Keeps a pod for every manifest in a directory: made when the file comes, replaced when it changes, deleted when it
/// goes, made again when somebody deletes it through the API.
struct StaticPods: Sendable {
    private static let period: Duration = .seconds(2)
    private static let biggestFile = 1 << 20
    private static let mostFiles = 250

    let context: AgentContext
    let pods: Informer<Pod>
    private var directory: String { context.configuration.dataDirectory + "/manifests" }

    init(context: AgentContext, pods: Informer<Pod>) {
        self.context = context
        self.pods = pods
    }

    func run() async {
        await pods.waitUntilSynced()
        var complained: [String: String] = [:]
        while !Task.isCancelled {
            do {
                try await reconcile(&complained)
            } catch {
                context.logger.warning("static pods cannot be followed", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: Self.period)
        }
    }

    /// - Parameter complained: what was said about a file, so that it is said once.
    private func reconcile(_ complained: inout [String: String]) async throws {
        let directory = directory
        let files = try await blocking {
            var files: [(name: String, bytes: [UInt8])] = []
            for name in Files.names(in: directory).sorted() where files.count < Self.mostFiles {
                let isManifest = [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
                guard isManifest, !name.hasPrefix(".") else { continue }
                files.append((name, try Files.read("\(directory)/\(name)", limit: Self.biggestFile)))
            }
            return files
        }
        var wanted: [ObjectKey: JSON] = [:]
        var problems: [String: String] = [:]
        for file in files {
            do {
                let manifest = try context.configuration.parseManifest(String(decoding: file.bytes, as: UTF8.self))
                let pod = try StaticPod.pod(
                    manifest, node: context.configuration.nodeName, hash: StaticPod.hash(file.bytes))
                let metadata = pod["metadata"]
                let key = ObjectKey(
                    namespace: metadata["namespace"].string ?? "", name: metadata["name"].string ?? "")
                if wanted[key] != nil { throw ConfigurationError("another file has a pod of this name") }
                wanted[key] = pod
            } catch {
                problems[file.name] = "\(error)"
            }
        }
        var existing: [ObjectKey: Pod] = [:]
        for pod in pods.all where pod.isStatic { existing[pod.key] = pod }
        for (key, pod) in existing where !pod.isTerminating {
            let hash = wanted[key]?["metadata"]["annotations"][StaticPod.hashKey].string
            guard pod.annotations[StaticPod.hashKey] != hash else { continue }
            try await context.client.delete(.pods, key, options: DeleteOptions(uid: pod.uid))
        }
        for (key, pod) in wanted where existing[key] == nil {
            do {
                try await context.client.create(.pods, pod)
            } catch let error as StatusError where error.reason == .alreadyExists {
                continue
            } catch let error as StatusError {
                problems[key.description] = error.message
            }
        }
        for (file, problem) in problems where complained[file] != problem {
            context.logger.error(
                "a static pod cannot be run", metadata: ["file": "\(directory)/\(file)", "reason": "\(problem)"])
        }
        complained = problems
    }
}
