extension DefaultRoles {
    /// Roles for people and for what everybody may see.
    static let userTable = RoleTable(
        """
        cluster-admin
          * | * | *
          * | path | *
        system:discovery
          get | path | /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/
        system:public-info-viewer
          get | path | /healthz /livez /readyz /version /version/
        system:monitoring
          get | path | /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz
          get | core | nodes/metrics
        system:basic-user
          create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews
          create | authentication.k8s.io | selfsubjectreviews
        system:aggregate-to-admin +aggregate-to-admin
          create | authorization.k8s.io | localsubjectaccessreviews
          read write | rbac.authorization.k8s.io | rolebindings roles
        system:aggregate-to-edit +aggregate-to-edit
          read | core | pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy
          impersonate | core | serviceaccounts
          write | core | pods pods/attach pods/exec pods/portforward pods/proxy
          create | core | pods/eviction
          write | core | configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale \
            secrets serviceaccounts services services/proxy
          create | core | serviceaccounts/token
          write | apps | daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale \
            statefulsets statefulsets/scale
          write | autoscaling | horizontalpodautoscalers
          write | batch | cronjobs jobs
          write | extensions | daemonsets deployments deployments/rollback deployments/scale ingresses \
            networkpolicies replicasets replicasets/scale replicationcontrollers/scale
          write | events.k8s.io | events
          write | policy | poddisruptionbudgets
          write | networking.k8s.io | ingresses networkpolicies
          read write | coordination.k8s.io | leases
          write | resource.k8s.io | resourceclaims resourceclaimtemplates
        system:aggregate-to-view +aggregate-to-view
          read | core | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods \
            replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status
          read | core | bindings events limitranges namespaces/status pods/log pods/status \
            replicationcontrollers/status resourcequotas resourcequotas/status
          read | core | namespaces
          read | events.k8s.io | events
          read | discovery.k8s.io | endpointslices
          read | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale \
            deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale \
            statefulsets/status
          read | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status
          read | batch | cronjobs cronjobs/status jobs jobs/status
          read | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status \
            ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status \
            replicationcontrollers/scale
          read | policy | poddisruptionbudgets poddisruptionbudgets/status
          read | networking.k8s.io | ingresses ingresses/status networkpolicies
          read | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates
        system:service-account-issuer-discovery
          get | path | /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks \
            /openid/v1/jwks/
        system:cluster-trust-bundle-discovery
          read | certificates.k8s.io | clustertrustbundles
        """)

    /// Roles in namespaces.
    static let namespacedTables: [(namespace: String, table: RoleTable)] = [
        (
            "kube-system",
            RoleTable(
                """
                extension-apiserver-authentication-reader
                  read | core | configmaps | extension-apiserver-authentication
                system::leader-locking-kube-controller-manager
                  watch | core | configmaps
                  get update | core | configmaps | kube-controller-manager
                  create get list update watch | coordination.k8s.io | leases leasecandidates
                system::leader-locking-kube-scheduler
                  watch | core | configmaps
                  get update | core | configmaps | kube-scheduler
                  create get list update watch | coordination.k8s.io | leases leasecandidates
                system:controller:bootstrap-signer
                  read | core | secrets
                system:controller:cloud-provider
                  create read | core | configmaps
                system:controller:token-cleaner
                  delete read | core | secrets
                  create patch update | core events.k8s.io | events
                """)
        ),
        (
            "kube-public",
            RoleTable(
                """
                system:controller:bootstrap-signer
                  read | core | configmaps
                  update | core | configmaps | cluster-info
                  create patch update | core events.k8s.io | events
                """)
        ),
    ]
}
