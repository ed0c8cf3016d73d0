import ClusterClient
import HTTPWindow
import JSON
import MesosModel
import ObjectModel

extension ExecutorCalls {
    /// The pod of an executor that calls.
    ///
    /// The node may have started it before the local copies show it, and clients take a refusal for their end: what they
    /// do not know is asked of the API, and waited for when it is there.
    /// - Throws: `WindowError` 400 when there is no such framework or executor.
    func knownPod(of key: ExecutorKey) async throws -> NodePod {
        if let pod = caches.executorPod(key), caches.framework(key.framework) != nil { return pod }
        guard !key.framework.isEmpty,
            let framework = try await client.find(MesosNames.frameworks, ObjectKey(name: key.framework))
        else { throw WindowError(400, "Framework cannot be found") }
        let label = LabelSelector.Requirement(
            key: MesosNames.executorLabel, op: .in, values: [MesosNames.labelValue(key.executor)])
        let live = try await client.list(
            .pods,
            options: ListOptions(
                labelSelector: LabelSelector([label]),
                fieldSelector: FieldSelector([.init(field: "spec.nodeName", value: caches.node, isEqual: true)])))
        if let pod = live.items.first(where: { NodePod($0).executorKey == key }) {
            await show(pod, in: caches.pods)
            await show(framework, in: caches.frameworks)
        }
        guard let pod = caches.executorPod(key), caches.framework(key.framework) != nil else {
            throw WindowError(400, "Executor cannot be found")
        }
        return pod
    }

    /// Waits (at most some seconds) until a local copy shows what the API has.
    private func show<View>(_ object: Object, in copy: Informer<View>) async {
        let end = ContinuousClock.now + .seconds(5)
        while copy[object.key] == nil, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}
