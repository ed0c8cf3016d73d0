extension DescriptionTables {
    /// Services, configuration, storage, access and nodes.
    static let cluster: StaticString = #"""
        core.v1.Service A stable address and name for a changing set of pods.
        core.v1.ServiceSpec Which pods and ports a service leads to.
         selector Labels of the pods; without it the endpoints are kept by hand.
         ports The ports.
         type ClusterIP, NodePort, LoadBalancer or ExternalName.
         clusterIP The address inside the cluster; None for a service without one.
         clusterIPs All addresses inside the cluster.
         externalIPs Further addresses at which nodes accept traffic for the service.
         externalName The name that an ExternalName service stands for.
         sessionAffinity None, or ClientIP to send a client always to the same pod.
         externalTrafficPolicy Cluster, or Local to use only pods of the node that was reached.
         internalTrafficPolicy Cluster, or Local to use only pods of the client's node.
         ipFamilyPolicy SingleStack, PreferDualStack or RequireDualStack.
         ipFamilies IPv4, IPv6 or both.
         publishNotReadyAddresses Include pods that are not ready.
         loadBalancerClass Which load balancer is meant.
         healthCheckNodePort Port at which nodes say whether they have pods of the service.
        core.v1.ServicePort A port of a service.
         name Name of the port; needed when there are several.
         port The port at the service's address.
         targetPort Number or name of the pods' port; port unless given.
         nodePort The port at every node's address; chosen by the server unless given.
         protocol TCP, UDP or SCTP; TCP unless given.
         appProtocol What is spoken over the port, as a hint.
        core.v1.ConfigMap Configuration as keys and values.
         data Text values.
         binaryData Binary values in base64.
         immutable Whether the values can no longer be changed.
        core.v1.Secret Keys and values that are to be kept confidential.
         data Values in base64.
         stringData Values in plain text; write-only, merged into data.
         type What the secret is for, for example Opaque or kubernetes.io/tls.
         immutable Whether the values can no longer be changed.
        core.v1.Namespace A scope for names, access and quotas.
        core.v1.ServiceAccount An identity for programs.
         imagePullSecrets Secrets with registry credentials that its pods get.
         secrets Secrets that its pods may use.
         automountServiceAccountToken Whether its pods get a token.
        core.v1.Node A machine that runs pods.
        core.v1.NodeSpec How a node is used.
         unschedulable Whether new pods are kept away.
         taints Marks that keep pods away unless they tolerate them.
         podCIDR Addresses for the node's pods.
         podCIDRs Addresses for the node's pods, one range per family.
         providerID The machine's identity at its provider.
        core.v1.NodeStatus What is known of a node.
         capacity All resources of the node.
         allocatable Resources that pods may use.
         addresses Addresses and names of the node.
         nodeInfo Versions and identities of the node's software.
        core.v1.Event A report of something that happened to an object.
         involvedObject The object.
         reason One word for what happened.
         message A sentence for people.
         type Normal or Warning.
         count How often it happened.
        core.v1.PersistentVolume A piece of storage of the cluster.
        core.v1.PersistentVolumeSpec The storage.
         capacity Its size.
         accessModes ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod.
         persistentVolumeReclaimPolicy What happens when its claim goes: Retain or Delete.
         storageClassName The class it belongs to.
         claimRef The claim that uses it.
         nodeAffinity Nodes from which it can be reached.
        core.v1.PersistentVolumeClaim A request for storage.
        core.v1.PersistentVolumeClaimSpec What storage is wanted.
         accessModes Ways in which it is to be mounted.
         resources The size wanted, in requests.storage.
         storageClassName The class wanted; the default class unless given.
         volumeName The volume that is bound to it.
         volumeMode Filesystem or Block.
         selector Labels of the volumes that may be bound.
        core.v1.ResourceQuota Limits what a namespace may use in all.
        core.v1.ResourceQuotaSpec The limits.
         hard The most that may be used of each resource.
        core.v1.LimitRange Limits and defaults for single pods, containers and claims of a namespace.
        networking.v1.Ingress Leads HTTP requests from outside to services.
        networking.v1.IngressSpec Which requests go where.
         ingressClassName The class, and so the program, that serves it.
         rules Rules by host and path.
         tls Hosts with their certificates.
         defaultBackend Where requests go that no rule matches.
        networking.v1.NetworkPolicy Says which connections pods may have.
        networking.v1.NetworkPolicySpec The pods and the connections.
         podSelector The pods it speaks of; empty means all of the namespace.
         ingress Connections to them that are allowed.
         egress Connections from them that are allowed.
         policyTypes Ingress, Egress or both.
        rbac.v1.Role Rights within a namespace.
         rules The rights.
        rbac.v1.ClusterRole Rights in the whole cluster.
         rules The rights.
         aggregationRule Makes the rules the union of other roles'.
        rbac.v1.PolicyRule A right.
         verbs What may be done: get, list, watch, create, update, patch, delete, or * for all.
         apiGroups Groups of the resources; the empty text is the core group.
         resources The resources, also like pods/log.
         resourceNames Names of the only objects it is for.
         nonResourceURLs Paths that are no resources.
        rbac.v1.RoleBinding Gives a role's rights to somebody within a namespace.
         roleRef The role. It cannot be changed.
         subjects Users, groups and service accounts.
        rbac.v1.ClusterRoleBinding Gives a role's rights to somebody in the whole cluster.
         roleRef The role. It cannot be changed.
         subjects Users, groups and service accounts.
        storage.v1.StorageClass A kind of storage that claims can ask for.
         provisioner Who makes the volumes.
         parameters Settings for the provisioner.
         reclaimPolicy What happens to volumes when their claim goes: Delete or Retain.
         volumeBindingMode Immediate, or WaitForFirstConsumer to wait for a pod.
         allowVolumeExpansion Whether claims may grow.
        scheduling.v1.PriorityClass How important pods are.
         value The priority; higher is more important.
         globalDefault Whether pods without a class get it.
        coordination.v1.Lease Says who holds something, and until when.
        apiextensions.v1.CustomResourceDefinition Adds a kind to the API.
        apiextensions.v1.CustomResourceDefinitionSpec The kind.
         group Its API group.
         names Its names.
         scope Namespaced or Cluster.
         versions Its versions with their schemas.
        """#
}
