import ClusterClient
import Logging
import ObjectModel
import ServiceLifecycle

/// One informer per resource for all controllers, with the indexes they share.
final class SharedInformers: Sendable {
    let pods: Informer<PodView>
    /// By uid of the controlling owner.
    let podsByController: InformerIndex<PodView, String>
    /// Pods nobody controls, by namespace: the ones that can be adopted.
    let orphanPodsByNamespace: InformerIndex<PodView, String>
    let podsByNamespace: InformerIndex<PodView, String>
    let podsByNode: InformerIndex<PodView, String>

    let nodes: Informer<Object>
    let namespaces: Informer<Object>
    let services: Informer<ServiceView>
    let servicesByNamespace: InformerIndex<ServiceView, String>
    let endpoints: Informer<Object>
    let endpointSlices: Informer<Object>
    /// By namespace and service name.
    let endpointSlicesByService: InformerIndex<Object, ObjectKey>
    let serviceAccounts: Informer<Object>
    let deployments: Informer<DeploymentView>
    let deploymentsByNamespace: InformerIndex<DeploymentView, String>
    let replicaSets: Informer<ReplicaSetView>
    let replicaSetsByController: InformerIndex<ReplicaSetView, String>
    let replicaSetsByNamespace: InformerIndex<ReplicaSetView, String>
    let replicationControllers: Informer<ReplicaSetView>
    let replicationControllersByNamespace: InformerIndex<ReplicaSetView, String>
    let statefulSets: Informer<Object>
    let statefulSetsByNamespace: InformerIndex<Object, String>
    let daemonSets: Informer<Object>
    let daemonSetsByNamespace: InformerIndex<Object, String>
    let controllerRevisionsByController: InformerIndex<Object, String>
    let controllerRevisions: Informer<Object>
    let jobs: Informer<Object>
    let jobsByController: InformerIndex<Object, String>
    let cronJobs: Informer<Object>
    let autoscalers: Informer<Object>
    let leases: Informer<Object>
    let clusterRoles: Informer<Object>
    let claims: Informer<Object>
    let volumes: Informer<Object>
    /// By the claim they are bound to or reserved for.
    let volumesByClaim: InformerIndex<Object, ObjectKey>
    let storageClasses: Informer<Object>
    let volumeAttributesClasses: Informer<Object>
    let budgets: Informer<Object>
    let budgetsByNamespace: InformerIndex<Object, String>

    /// The metadata side of every shared informer, for the garbage collector.
    let feeds: [MetadataFeed]
    let runnable: [any Service]

    init(client: ClusterClient, logger: Logger) {
        func plain(_ resource: GroupVersionResource, namespace: String? = nil) -> Informer<Object> {
            Informer(resource, client: client, namespace: namespace, logger: logger) { $0 }
        }
        let byNamespace: @Sendable (Object) -> [String] = { [$0.namespace] }
        let byController: @Sendable (Object) -> [String] = { $0.metadata.controller.map { [$0.uid] } ?? [] }

        pods = Informer(.pods, client: client, logger: logger) { PodView($0) }
        podsByController = InformerIndex(pods) { $0.controller.map { [$0.uid] } ?? [] }
        orphanPodsByNamespace = InformerIndex(pods) { $0.controller == nil ? [$0.namespace] : [] }
        podsByNamespace = InformerIndex(pods) { [$0.namespace] }
        podsByNode = InformerIndex(pods) { [$0.nodeName] }
        nodes = plain(.nodes)
        namespaces = plain(.namespaces)
        services = Informer(.services, client: client, logger: logger) { ServiceView($0) }
        servicesByNamespace = InformerIndex(services) { [$0.object.namespace] }
        endpoints = plain(.endpoints)
        endpointSlices = plain(.endpointSlices)
        endpointSlicesByService = InformerIndex(endpointSlices) { slice in
            guard let service = slice.metadata.labels[EndpointLabels.serviceName] else { return [] }
            return [ObjectKey(namespace: slice.namespace, name: service)]
        }
        serviceAccounts = plain(.serviceAccounts)
        deployments = Informer(.deployments, client: client, logger: logger) { try DeploymentView($0) }
        deploymentsByNamespace = InformerIndex(deployments) { [$0.object.namespace] }
        replicaSets = Informer(.replicaSets, client: client, logger: logger) { try ReplicaSetView($0) }
        replicaSetsByController = InformerIndex(replicaSets) { $0.object.metadata.controller.map { [$0.uid] } ?? [] }
        replicaSetsByNamespace = InformerIndex(replicaSets) { [$0.object.namespace] }
        replicationControllers = Informer(.replicationControllers, client: client, logger: logger) {
            try ReplicaSetView($0)
        }
        replicationControllersByNamespace = InformerIndex(replicationControllers) { [$0.object.namespace] }
        statefulSets = plain(.statefulSets)
        statefulSetsByNamespace = InformerIndex(statefulSets, values: byNamespace)
        daemonSets = plain(.daemonSets)
        daemonSetsByNamespace = InformerIndex(daemonSets, values: byNamespace)
        controllerRevisions = plain(.controllerRevisions)
        controllerRevisionsByController = InformerIndex(controllerRevisions, values: byController)
        jobs = plain(.jobs)
        jobsByController = InformerIndex(jobs, values: byController)
        cronJobs = plain(.cronJobs)
        autoscalers = plain(.autoscalers)
        leases = plain(.leases, namespace: "kube-node-lease")
        clusterRoles = plain(.clusterRoles)
        claims = plain(.persistentVolumeClaims)
        volumes = plain(.persistentVolumes)
        volumesByClaim = InformerIndex(volumes) { VolumeMatch.claim(of: $0.tree).map { [$0] } ?? [] }
        storageClasses = plain(.storageClasses)
        volumeAttributesClasses = plain(.volumeAttributesClasses)
        budgets = plain(.podDisruptionBudgets)
        budgetsByNamespace = InformerIndex(budgets, values: byNamespace)

        let plainOnes = [
            nodes, namespaces, endpoints, endpointSlices, serviceAccounts, statefulSets, daemonSets,
            controllerRevisions, jobs, cronJobs, autoscalers, clusterRoles, claims, volumes, storageClasses, budgets,
            volumeAttributesClasses,
        ]
        feeds =
            plainOnes.map { MetadataFeed($0) { $0 } } + [
                MetadataFeed(pods) { $0.object }, MetadataFeed(services) { $0.object },
                MetadataFeed(deployments) { $0.object }, MetadataFeed(replicaSets) { $0.object },
                MetadataFeed(replicationControllers) { $0.object },
            ]
        runnable =
            plainOnes + [leases] + [pods, services, deployments, replicaSets, replicationControllers] as [any Service]
    }
}

/// A type-erased informer: objects of one resource, whatever view its owner keeps of them.
struct MetadataFeed: Sendable {
    let resource: GroupVersionResource
    let waitUntilSynced: @Sendable () async -> Void
    let isSynced: @Sendable () -> Bool
    let find: @Sendable (ObjectKey) -> Object?
    /// Calls back with (old, new); before the informer runs.
    let subscribe: @Sendable (@escaping @Sendable (Object?, Object?) -> Void) -> Void

    init<View: Sendable>(_ informer: Informer<View>, _ object: @escaping @Sendable (View) -> Object) {
        resource = informer.resource
        waitUntilSynced = { await informer.waitUntilSynced() }
        isSynced = { informer.isSynced }
        find = { informer[$0].map(object) }
        subscribe = { handler in
            informer.subscribe { event in
                switch event {
                case .added(let new): handler(nil, object(new))
                case .modified(let old, let new): handler(object(old), object(new))
                case .deleted(let old): handler(object(old), nil)
                }
            }
        }
    }
}

extension InformerEvent {
    /// The versions before and after.
    var versions: (old: View?, new: View?) {
        switch self {
        case .added(let new): (nil, new)
        case .modified(let old, let new): (old, new)
        case .deleted(let old): (old, nil)
        }
    }
}
