extension DefaultRoles {
    /// Roles for the parts of a cluster and its helpers.
    static let componentTable = RoleTable(
        """
        system:auth-delegator
          create | authentication.k8s.io | tokenreviews
          create | authorization.k8s.io | subjectaccessreviews
        system:kube-aggregator
          read | core | endpoints services
          read | discovery.k8s.io | endpointslices
        system:heapster
          read | core | events namespaces nodes pods
          read | extensions | deployments
        system:kube-dns
          list watch | core | endpoints services
          list watch | discovery.k8s.io | endpointslices
        system:kubelet-api-admin
          read proxy | core | nodes
          * | core | nodes/checkpoint nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats
        system:node-bootstrapper
          create read | certificates.k8s.io | certificatesigningrequests
        system:node-problem-detector
          get | core | nodes
          patch | core | nodes/status
          create patch update | core events.k8s.io | events
        system:node-proxier
          list watch | core | endpoints services
          read | core | nodes
          create patch update | core events.k8s.io | events
          list watch | discovery.k8s.io | endpointslices
          list watch | networking.k8s.io | servicecidrs
        system:node
          create | authentication.k8s.io | tokenreviews
          create | authorization.k8s.io | localsubjectaccessreviews subjectaccessreviews
          read | core | services
          create read | core | nodes
          patch update | core | nodes/status
          patch update | core | nodes
          create patch update | core events.k8s.io | events
          read | core | pods
          create delete | core | pods
          patch update | core | pods/status
          create | core | pods/eviction
          read | core | configmaps secrets
          get | core | persistentvolumeclaims persistentvolumes
          get | core | endpoints
          create read | certificates.k8s.io | certificatesigningrequests
          create delete get patch update | coordination.k8s.io | leases
          get | storage.k8s.io | volumeattachments
          create | core | serviceaccounts/token
          get | core | serviceaccounts
          get patch update | core | persistentvolumeclaims/status
          read | storage.k8s.io | csidrivers
          create delete get patch update | storage.k8s.io | csinodes
          read | node.k8s.io | runtimeclasses
          get | resource.k8s.io | resourceclaims
          create update patch delete deletecollection read | resource.k8s.io | resourceslices
          read | certificates.k8s.io | clustertrustbundles
          create read | certificates.k8s.io | podcertificaterequests
        system:persistent-volume-provisioner
          create delete read | core | persistentvolumes
          get list update watch | core | persistentvolumeclaims
          read | storage.k8s.io | storageclasses
          watch | core | events
          create patch update | core events.k8s.io | events
        system:volume-scheduler
          get list patch update watch | core | persistentvolumes
          read | storage.k8s.io | storageclasses
          get list patch update watch | core | persistentvolumeclaims
        system:kube-controller-manager
          create patch update | core events.k8s.io | events
          create | coordination.k8s.io | leases
          get update | coordination.k8s.io | leases | kube-controller-manager
          create | core | secrets serviceaccounts
          delete | core | secrets
          get | core | configmaps namespaces secrets serviceaccounts
          update | core | secrets serviceaccounts
          create | authentication.k8s.io | tokenreviews
          create | authorization.k8s.io | subjectaccessreviews
          list watch | * | *
          create | core | serviceaccounts/token
        system:kube-scheduler
          create patch update | core events.k8s.io | events
          create | coordination.k8s.io | leases
          get list update watch | coordination.k8s.io | leases | kube-scheduler
          create delete deletecollection read patch update | coordination.k8s.io | leasecandidates
          read | core | nodes
          delete read | core | pods
          create | core | bindings pods/binding
          patch update | core | pods/status
          update | core | pods/finalizers
          read | core | replicationcontrollers services
          read | apps extensions | replicasets
          read | apps | statefulsets
          read | policy | poddisruptionbudgets
          read | core | persistentvolumeclaims persistentvolumes
          create | authentication.k8s.io | tokenreviews
          create | authorization.k8s.io | subjectaccessreviews
          read | storage.k8s.io | csidrivers csinodes csistoragecapacities volumeattachments
          read | core | namespaces
          read | resource.k8s.io | deviceclasses resourceslices
          create delete read patch update | resource.k8s.io | resourceclaims
          read patch update | resource.k8s.io | resourceclaims/status
          patch update | resource.k8s.io | resourceclaims/binding
        system:certificates.k8s.io:certificatesigningrequests:nodeclient
          create | certificates.k8s.io | certificatesigningrequests/nodeclient
        system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
          create | certificates.k8s.io | certificatesigningrequests/selfnodeclient
        system:certificates.k8s.io:kube-apiserver-client-approver
          approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client
        system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
          approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet
        system:certificates.k8s.io:kubelet-serving-approver
          approve | certificates.k8s.io | signers | kubernetes.io/kubelet-serving
        system:certificates.k8s.io:legacy-unknown-approver
          approve | certificates.k8s.io | signers | kubernetes.io/legacy-unknown
        """)
}
