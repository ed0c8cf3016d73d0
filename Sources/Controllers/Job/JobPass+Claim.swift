import ClusterClient
import ObjectModel

extension JobPass {
    static let nameLabel = "batch.kubernetes.io/job-name"

    /// The job's pods, after adopting matching ones nobody controls and releasing those that match no more.
    func claim() async throws -> [PodView] {
        let informers = context.informers
        let object = job.object
        let mine = informers.podsByController[object.uid]
        guard let selector = try LabelSelector(labelSelector: object.tree["spec"]["selector"]), !selector.isEmpty
        else { return mine }
        let claims = Claims(client: context.client, ownerResource: .jobs, owner: object)
        var pods: [PodView] = []
        for pod in mine {
            if selector.matches(pod.labels) || pod.isTerminating {
                pods.append(pod)
            } else {
                try await claims.release(.pods, pod.key, uid: pod.uid, finalizer: JobController.finalizer)
            }
        }
        for pod in informers.orphanPodsByNamespace[object.namespace]
        where !pod.isTerminating && selector.matches(pod.labels) {
            // The finalizer comes with it: a pod without one counts for nothing when it ends.
            if try await claims.adopt(.pods, pod.key, uid: pod.uid, finalizer: JobController.finalizer) {
                pods.append(pod)
            }
        }
        return pods
    }
}
