extension DefaultRoles {
    /// One role per controller; bound to the service account of the same name in `kube-system`. Real controller
    /// managers run each of their controllers as that account.
    static let controllerTable = RoleTable(
        """
        system:controller:attachdetach-controller
          list watch | core | persistentvolumeclaims persistentvolumes
          read | core | nodes
          patch update | core | nodes/status
          list watch | core | pods
          create patch update | core events.k8s.io | events
          create delete read patch update | storage.k8s.io | volumeattachments
          read | storage.k8s.io | csidrivers csinodes
        system:controller:certificate-controller
          delete read | certificates.k8s.io | certificatesigningrequests
          update | certificates.k8s.io | certificatesigningrequests/approval certificatesigningrequests/status
          approve sign | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet
          sign | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client kubernetes.io/kubelet-serving \
            kubernetes.io/legacy-unknown
          create | authorization.k8s.io | subjectaccessreviews
          create patch update | core events.k8s.io | events
        system:controller:clusterrole-aggregation-controller
          escalate read patch update | rbac.authorization.k8s.io | clusterroles
        system:controller:cronjob-controller
          read update | batch | cronjobs
          create delete read patch update | batch | jobs
          update | batch | cronjobs/status
          update | batch | cronjobs/finalizers
          delete list watch | core | pods
          create patch update | core events.k8s.io | events
        system:controller:daemon-set-controller
          read | apps extensions | daemonsets
          update | apps extensions | daemonsets/status
          update | apps extensions | daemonsets/finalizers
          list watch | core | nodes
          create delete list patch watch | core | pods
          create | core | pods/binding
          create delete read patch update | apps | controllerrevisions
          create patch update | core events.k8s.io | events
        system:controller:deployment-controller
          read update | apps extensions | deployments
          update | apps extensions | deployments/status
          update | apps extensions | deployments/finalizers
          create delete read patch update | apps extensions | replicasets
          read update | core | pods
          create patch update | core events.k8s.io | events
        system:controller:device-taint-eviction-controller
          delete read | core | pods
          patch update | core | pods/status
          read | resource.k8s.io | deviceclasses devicetaintrules resourceclaims resourceslices
          patch update | resource.k8s.io | devicetaintrules/status
          create patch update | core events.k8s.io | events
        system:controller:disruption-controller
          read | apps extensions | deployments
          read | apps extensions | replicasets
          read | core | replicationcontrollers
          read | policy | poddisruptionbudgets
          read | apps | statefulsets
          update | policy | poddisruptionbudgets/status
          patch update | core | pods/status
          get | * | */scale
          read | core | pods
          create patch update | core events.k8s.io | events
        system:controller:endpoint-controller
          read | core | pods services
          create delete read update | core | endpoints
          create | core | endpoints/restricted
          create patch update | core events.k8s.io | events
        system:controller:endpointslice-controller
          read | core | nodes pods services
          update | core | services/finalizers
          create delete read update | discovery.k8s.io | endpointslices
          create | discovery.k8s.io | endpointslices/restricted
          create patch update | core events.k8s.io | events
        system:controller:endpointslicemirroring-controller
          read | core | endpoints services
          update | core | services/finalizers endpoints/finalizers
          create delete read update | discovery.k8s.io | endpointslices
          create | discovery.k8s.io | endpointslices/restricted
          create patch update | core events.k8s.io | events
        system:controller:ephemeral-volume-controller
          update | core | pods/finalizers
          read | core | pods
          create read | core | persistentvolumeclaims
          create patch update | core events.k8s.io | events
        system:controller:expand-controller
          read patch update | core | persistentvolumes
          patch update | core | persistentvolumeclaims/status
          read | core | persistentvolumeclaims
          read | storage.k8s.io | storageclasses
          get | core | endpoints secrets services
          create patch update | core events.k8s.io | events
        system:controller:generic-garbage-collector
          delete get list patch update watch | * | *
          create patch update | core events.k8s.io | events
        system:controller:horizontal-pod-autoscaler
          read | autoscaling | horizontalpodautoscalers
          update | autoscaling | horizontalpodautoscalers/status
          get update | * | */scale
          list watch | core | pods
          list watch | metrics.k8s.io | pods
          read | custom.metrics.k8s.io | *
          read | external.metrics.k8s.io | *
          create patch update | core events.k8s.io | events
        system:controller:job-controller
          read patch update | batch | jobs
          update | batch | jobs/status
          update | batch | jobs/finalizers
          create delete list patch watch | core | pods
          create patch update | core events.k8s.io | events
        system:controller:kube-apiserver-serving-clustertrustbundle-publisher
          create delete read update | certificates.k8s.io | clustertrustbundles
          attest | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-serving
          create patch update | core events.k8s.io | events
        system:controller:legacy-service-account-token-cleaner
          get | core | configmaps | kube-apiserver-legacy-service-account-token-tracking
          delete patch | core | secrets
        system:controller:namespace-controller
          delete get list watch | core | namespaces
          update | core | namespaces/finalize namespaces/status
          delete deletecollection get list watch | * | *
        system:controller:node-controller
          delete read patch update | core | nodes
          patch update | core | nodes/status
          patch update | core | pods/status
          delete list watch | core | pods
          get | core | pods
          create patch update | core events.k8s.io | events
        system:controller:persistent-volume-binder
          create delete read update | core | persistentvolumes
          update | core | persistentvolumes/status
          read update | core | persistentvolumeclaims
          update | core | persistentvolumeclaims/status
          create delete read | core | pods
          read | storage.k8s.io | storageclasses
          create delete get update | core | endpoints services
          get list | core | secrets
          read | core | nodes
          create patch update watch | core events.k8s.io | events
        system:controller:pod-garbage-collector
          delete list watch | core | pods
          read | core | nodes
          patch update | core | pods/status
        system:controller:pv-protection-controller
          read update | core | persistentvolumes
          create patch update | core events.k8s.io | events
        system:controller:pvc-protection-controller
          read update | core | persistentvolumeclaims
          patch update | core | persistentvolumeclaims/status
          read | core | pods
          create patch update | core events.k8s.io | events
        system:controller:replicaset-controller
          read update | apps extensions | replicasets
          update | apps extensions | replicasets/status
          update | apps extensions | replicasets/finalizers
          create delete list patch watch | core | pods
          create patch update | core events.k8s.io | events
        system:controller:replication-controller
          read update | core | replicationcontrollers
          update | core | replicationcontrollers/status
          update | core | replicationcontrollers/finalizers
          create delete list patch watch | core | pods
          create patch update | core events.k8s.io | events
        system:controller:resource-claim-controller
          update | core | pods/finalizers
          read | core | pods
          patch update | resource.k8s.io | resourceclaims/binding
          create delete read | resource.k8s.io | resourceclaims
          update patch | resource.k8s.io | resourceclaims resourceclaims/status
          read | resource.k8s.io | deviceclasses resourceclaimtemplates
          patch update | core | pods/status
          create patch update | core events.k8s.io | events
        system:controller:resourcequota-controller
          list watch | * | *
          update | core | resourcequotas/status
          create patch update | core events.k8s.io | events
        system:controller:root-ca-cert-publisher
          create update | core | configmaps
          create patch update | core events.k8s.io | events
        system:controller:route-controller
          list watch | core | nodes
          patch | core | nodes/status
          create patch update | core events.k8s.io | events
        system:controller:selinux-warning-controller
          read | core | persistentvolumeclaims persistentvolumes pods
          read | storage.k8s.io | csidrivers
          create patch update | core events.k8s.io | events
        system:controller:service-account-controller
          create | core | serviceaccounts
          create patch update | core events.k8s.io | events
        system:controller:service-cidrs-controller
          read patch update | networking.k8s.io | servicecidrs
          patch update | networking.k8s.io | servicecidrs/finalizers
          patch update | networking.k8s.io | servicecidrs/status
          read | networking.k8s.io | ipaddresses
          create patch update | core events.k8s.io | events
        system:controller:service-controller
          read | core | services
          patch update | core | services/status
          list watch | core | nodes
          create patch update | core events.k8s.io | events
        system:controller:statefulset-controller
          list watch | core | pods
          read | apps | statefulsets
          update | apps | statefulsets/status
          update | apps | statefulsets/finalizers
          create delete get patch update | core | pods
          update | core | pods/finalizers
          create delete read patch update | apps | controllerrevisions
          create get | core | persistentvolumeclaims
          delete list update watch | core | persistentvolumeclaims
          create patch update | core events.k8s.io | events
        system:controller:storage-version-migrator-controller
          list watch update | * | *
          read | storagemigration.k8s.io | storageversionmigrations
          update | storagemigration.k8s.io | storageversionmigrations/status
          create patch update | core events.k8s.io | events
        system:controller:ttl-after-finished-controller
          delete read | batch | jobs
          create patch update | core events.k8s.io | events
        system:controller:ttl-controller
          list patch update watch | core | nodes
          create patch update | core events.k8s.io | events
        system:controller:validatingadmissionpolicy-status-controller
          read | admissionregistration.k8s.io | validatingadmissionpolicies
          get patch update | admissionregistration.k8s.io | validatingadmissionpolicies/status
          create patch update | core events.k8s.io | events
        system:controller:volumeattributesclass-protection-controller
          read update | storage.k8s.io | volumeattributesclasses
          read | core | persistentvolumeclaims persistentvolumes
          create patch update | core events.k8s.io | events
        """)
}
