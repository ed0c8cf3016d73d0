import ContainerRuntime
import MesosModel

/// Where the sandboxes of pods are, and what the names mean by which clients ask for files.
struct SandboxPaths: Sendable {
    /// A place in a sandbox.
    struct Place: Sendable {
        let pod: NodePod
        /// The container whose sandbox it is; nil for the folder above a group's.
        let container: String?
        /// Below the sandbox, without a slash at its ends; may be empty.
        let path: String
    }
    let caches: AgentCaches
    let dataDirectory: String

    /// The folder of a container's sandbox on this machine; nil for a container that has none.
    func folder(_ pod: NodePod, _ container: String) -> String? {
        if pod.usesProcessRuntime {
            return "\(dataDirectory)/process/\(pod.uid)/\(container)"
        }
        if pod.hasSandboxVolume {
            let volume = "\(dataDirectory)/pods/\(pod.uid)/volumes/kubernetes.io~empty-dir/\(MesosNames.sandboxVolume)"
            return pod.sandboxSubPath(of: container).map { "\(volume)/\($0)" } ?? volume
        }
        return nil
    }

    /// What `/state` shows as an executor's directory, and `/files` takes.
    func directory(of pod: NodePod) -> String {
        if pod.containers.count == 1, let container = pod.containers.first,
            let folder = folder(pod, container.name)
        {
            return folder
        }
        let (framework, executor) = (pod.frameworkID ?? "", pod.executorID ?? "")
        if pod.isPast { return "/frameworks/\(framework)/executors/\(executor)/runs/\(pod.uid)" }
        return "/framework/\(framework)/executor/\(executor)/latest"
    }

    /// What a path of a client means; nil when it means nothing here.
    ///
    /// The last names of it may be links in the sandbox: whoever opens it must see that it stays there.
    func place(_ path: String) -> Place? {
        guard path.hasPrefix("/") else { return nil }
        let parts = path.split(separator: "/").map(String.init)
        guard !parts.contains("..") else { return nil }
        return virtual(parts) ?? real(parts) ?? layout(parts) ?? standalone(parts)
    }

    /// `/framework/F/executor/E/latest/…`
    private func virtual(_ parts: [String]) -> Place? {
        guard parts.count >= 5, parts[0] == "framework", parts[2] == "executor", parts[4] == "latest" else {
            return nil
        }
        return below(executor(ExecutorKey(framework: parts[1], executor: parts[3])), Array(parts.dropFirst(5)))
    }

    /// `…/slaves/A/frameworks/F/executors/E/runs/latest|CONTAINER/…`
    private func layout(_ parts: [String]) -> Place? {
        guard let start = parts.firstIndex(of: "frameworks"), parts.count >= start + 6,
            parts[start + 2] == "executors", parts[start + 4] == "runs"
        else { return nil }
        let key = ExecutorKey(framework: parts[start + 1], executor: parts[start + 3])
        let run = parts[start + 5]
        let pod =
            run == "latest"
            ? executor(key)
            : caches.podsByExecutor[key].first { $0.uid == run }
                ?? caches.past.pod(uid: run).flatMap { $0.executorKey == key ? $0 : nil }
        return below(pod, Array(parts.dropFirst(start + 6)))
    }

    /// `/containers/ID/…`, of standalone containers; inside of it `containers/ID/…` of what is nested there.
    private func standalone(_ parts: [String]) -> Place? {
        guard parts.count >= 2, parts[0] == "containers" else { return nil }
        return nested(ContainerPath(ids: [parts[1]]), Array(parts.dropFirst(2)))
    }
    private func nested(_ path: ContainerPath, _ rest: [String]) -> Place? {
        if rest.count >= 2, rest[0] == "containers",
            let inner = nested(ContainerPath(ids: path.ids + [rest[1]]), Array(rest.dropFirst(2)))
        {
            return inner
        }
        guard let pod = caches.podsByContainer[path].first else { return nil }
        return Place(pod: pod, container: pod.containers.first?.name, path: rest.joined(separator: "/"))
    }

    /// The folder itself, as `/state` shows it.
    private func real(_ parts: [String]) -> Place? {
        let root = dataDirectory.split(separator: "/").map(String.init)
        guard parts.starts(with: root), parts.count >= root.count + 2 else { return nil }
        let below = Array(parts.dropFirst(root.count))
        guard below[0] == "process" || below[0] == "pods",
            let pod = caches.podsByUID[below[1]].first ?? caches.past.pod(uid: below[1])
        else { return nil }
        for container in pod.containers {
            guard let folder = folder(pod, container.name)?.split(separator: "/").map(String.init),
                parts.starts(with: folder)
            else { continue }
            let rest = Array(parts.dropFirst(folder.count))
            // The folder of a group with one task stands for the executor's, which has its tasks below it.
            if rest.first == "tasks" || rest.first == "containers", let place = self.below(pod, rest),
                place.container != nil
            {
                return place
            }
            return Place(pod: pod, container: container.name, path: rest.joined(separator: "/"))
        }
        return nil
    }

    private func executor(_ key: ExecutorKey) -> NodePod? {
        let pods = caches.podsByExecutor[key]
        return pods.first { !$0.isEnded }
            ?? pods.max { $0.object.metadata.resourceVersion < $1.object.metadata.resourceVersion }
            ?? caches.past.pod(of: key)
    }

    /// Names below an executor's sandbox: those of a group lead to its tasks' first.
    private func below(_ pod: NodePod?, _ rest: [String]) -> Place? {
        guard let pod else { return nil }
        if rest.count >= 2, rest[0] == "containers",
            let inner = nested(ContainerPath(ids: [pod.uid, rest[1]]), Array(rest.dropFirst(2)))
        {
            return inner
        }
        guard case .group(_, let tasks) = pod.role else {
            return Place(pod: pod, container: pod.containers.first?.name, path: rest.joined(separator: "/"))
        }
        guard let first = rest.first else { return Place(pod: pod, container: nil, path: "") }
        guard first == "tasks" || first == "containers" else { return nil }
        guard rest.count > 1 else { return Place(pod: pod, container: nil, path: first) }
        let names = MesosNames.containerNames(ofTasks: tasks.map { $0["task_id"]["value"].string ?? "" })
        let index = tasks.firstIndex { $0["task_id"]["value"].string == rest[1] }
        guard let name = index.map({ names[$0] }) ?? (names.contains(rest[1]) ? rest[1] : nil) else { return nil }
        return Place(pod: pod, container: name, path: rest.dropFirst(2).joined(separator: "/"))
    }
}

extension NodePod {
    /// The part of the sandbox volume that a container sees; nil for all of it.
    func sandboxSubPath(of container: String) -> String? {
        let spec = object.tree["spec"]["containers"].elements.first { $0["name"].string == container } ?? .null
        let mount = spec["volumeMounts"].elements.first { $0["name"].string == MesosNames.sandboxVolume } ?? .null
        guard let path = mount["subPath"].string, !path.isEmpty else { return nil }
        return path
    }
}
