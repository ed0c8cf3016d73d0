/// The members whose empty value is not the same as their absence.
///
/// Clients and servers in Go hold most members by value and leave them out of JSON when they are empty (`omitempty`): such a
/// member may as well not be there, and an object that says `"tolerations": []` is the object that does not. Exceptions
/// are members that Go holds by pointer, which are there when they are set, and those without `omitempty`, which are
/// always there. Members that must be given (`req` in the tables) are not listed.
enum Presence {
    /// The members of each type that are held by pointer, by its short name.
    static let pointers = read(pointerTable)
    /// Those that are always written, although nobody has to give them.
    static let alwaysWritten = read(alwaysWrittenTable)

    private static func read(_ table: StaticString) -> [Substring: Set<Substring>] {
        let text = table.withUTF8Buffer { String(decoding: $0, as: UTF8.self) }
        var members: [Substring: Set<Substring>] = [:]
        for line in text.split(separator: "\n") {
            let columns = line.split(separator: " ")
            guard let type = columns.first else { continue }
            members[type, default: []].formUnion(columns.dropFirst())
        }
        return members
    }

    /// A line per type: its short name, then its members. Facts of `k8s.io/api` v1.36.
    private static let pointerTable: StaticString = """
        admissionregistration.v1.MatchResources matchPolicy
        admissionregistration.v1.MutatingAdmissionPolicySpec failurePolicy
        admissionregistration.v1.MutatingWebhook failurePolicy matchPolicy reinvocationPolicy sideEffects
        admissionregistration.v1.MutatingWebhook timeoutSeconds
        admissionregistration.v1.NamedRuleWithOperations scope
        admissionregistration.v1.ParamRef parameterNotFoundAction
        admissionregistration.v1.RuleWithOperations scope
        admissionregistration.v1.ServiceReference path port
        admissionregistration.v1.ValidatingAdmissionPolicySpec failurePolicy
        admissionregistration.v1.ValidatingWebhook failurePolicy matchPolicy sideEffects timeoutSeconds
        admissionregistration.v1.Validation reason
        admissionregistration.v1.WebhookClientConfig url
        apiextensions.v1.CustomResourceDefinitionVersion deprecationWarning served storage
        apiextensions.v1.CustomResourceSubresourceScale labelSelectorPath
        apiextensions.v1.JSONSchemaProps $ref maxItems maxLength maxProperties maximum minItems minLength
        apiextensions.v1.JSONSchemaProps minProperties minimum multipleOf x-kubernetes-list-type
        apiextensions.v1.JSONSchemaProps x-kubernetes-map-type x-kubernetes-preserve-unknown-fields
        apiextensions.v1.ServiceReference path port
        apiextensions.v1.ValidationRule optionalOldSelf reason
        apiextensions.v1.WebhookClientConfig url
        apiregistration.v1.APIServiceSpec groupPriorityMinimum versionPriority
        apiregistration.v1.ServiceReference port
        apps.v1.ControllerRevision revision
        apps.v1.DaemonSetSpec revisionHistoryLimit
        apps.v1.DaemonSetStatus collisionCount currentNumberScheduled desiredNumberScheduled numberMisscheduled
        apps.v1.DaemonSetStatus numberReady
        apps.v1.DeploymentSpec progressDeadlineSeconds replicas revisionHistoryLimit
        apps.v1.DeploymentStatus collisionCount terminatingReplicas
        apps.v1.ReplicaSetSpec replicas
        apps.v1.ReplicaSetStatus replicas terminatingReplicas
        apps.v1.RollingUpdateDaemonSet maxSurge maxUnavailable
        apps.v1.RollingUpdateDeployment maxSurge maxUnavailable
        apps.v1.RollingUpdateStatefulSetStrategy maxUnavailable partition
        apps.v1.StatefulSetOrdinals start
        apps.v1.StatefulSetSpec replicas revisionHistoryLimit
        apps.v1.StatefulSetStatus collisionCount replicas
        authentication.v1.TokenRequestSpec expirationSeconds
        authorization.v1.SubjectAccessReviewStatus allowed
        authorization.v1.SubjectRulesReviewStatus incomplete
        autoscaling.v1.HorizontalPodAutoscalerSpec maxReplicas minReplicas targetCPUUtilizationPercentage
        autoscaling.v1.HorizontalPodAutoscalerStatus currentCPUUtilizationPercentage currentReplicas desiredReplicas
        autoscaling.v1.HorizontalPodAutoscalerStatus observedGeneration
        autoscaling.v1.ScaleStatus replicas
        autoscaling.v2.HPAScalingPolicy periodSeconds value
        autoscaling.v2.HPAScalingRules selectPolicy stabilizationWindowSeconds
        autoscaling.v2.HorizontalPodAutoscalerSpec maxReplicas minReplicas
        autoscaling.v2.HorizontalPodAutoscalerStatus desiredReplicas observedGeneration
        autoscaling.v2.MetricTarget averageUtilization
        autoscaling.v2.MetricValueStatus averageUtilization
        batch.v1.CronJobSpec failedJobsHistoryLimit startingDeadlineSeconds successfulJobsHistoryLimit suspend
        batch.v1.CronJobSpec timeZone
        batch.v1.JobSpec activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions
        batch.v1.JobSpec managedBy manualSelector maxFailedIndexes parallelism podReplacementPolicy suspend
        batch.v1.JobSpec ttlSecondsAfterFinished
        batch.v1.JobStatus failedIndexes ready terminating
        batch.v1.PodFailurePolicyOnExitCodesRequirement containerName
        batch.v1.PodFailurePolicyOnPodConditionsPattern status
        batch.v1.SuccessPolicyRule succeededCount succeededIndexes
        certificates.v1.CertificateSigningRequestSpec expirationSeconds
        coordination.v1.LeaseSpec holderIdentity leaseDurationSeconds leaseTransitions preferredHolder strategy
        core.v1.AppArmorProfile localhostProfile
        core.v1.AzureDiskVolumeSource cachingMode fsType kind readOnly
        core.v1.AzureFilePersistentVolumeSource secretNamespace
        core.v1.CSIVolumeSource fsType readOnly
        core.v1.ClientIPConfig timeoutSeconds
        core.v1.ClusterTrustBundleProjection name optional signerName
        core.v1.ConfigMap immutable
        core.v1.ConfigMapEnvSource optional
        core.v1.ConfigMapKeySelector optional
        core.v1.ConfigMapProjection optional
        core.v1.ConfigMapVolumeSource defaultMode optional
        core.v1.Container restartPolicy
        core.v1.ContainerPort containerPort
        core.v1.ContainerStateTerminated exitCode
        core.v1.ContainerStatus ready restartCount started stopSignal
        core.v1.DaemonEndpoint Port
        core.v1.DownwardAPIVolumeFile mode
        core.v1.DownwardAPIVolumeSource defaultMode
        core.v1.EndpointAddress nodeName
        core.v1.EndpointPort appProtocol port
        core.v1.EphemeralContainer restartPolicy
        core.v1.FCVolumeSource lun
        core.v1.FileKeySelector optional
        core.v1.GRPCAction port service
        core.v1.GlusterfsPersistentVolumeSource endpointsNamespace
        core.v1.HTTPGetAction port
        core.v1.HostPathVolumeSource type
        core.v1.ISCSIPersistentVolumeSource initiatorName lun
        core.v1.ISCSIVolumeSource initiatorName lun
        core.v1.KeyToPath mode
        core.v1.Lifecycle stopSignal
        core.v1.LinuxContainerUser gid uid
        core.v1.LoadBalancerIngress ipMode
        core.v1.LocalVolumeSource fsType
        core.v1.NodeFeatures supplementalGroupsPolicy
        core.v1.NodeRuntimeHandlerFeatures recursiveReadOnlyMounts userNamespaces
        core.v1.NodeSwapStatus capacity
        core.v1.PersistentVolumeClaimSpec storageClassName volumeAttributesClassName volumeMode
        core.v1.PersistentVolumeClaimStatus currentVolumeAttributesClassName
        core.v1.PersistentVolumeSpec volumeAttributesClassName volumeMode
        core.v1.PodCertificateProjection maxExpirationSeconds
        core.v1.PodDNSConfigOption value
        core.v1.PodResourceClaim resourceClaimName resourceClaimTemplateName
        core.v1.PodResourceClaimStatus resourceClaimName
        core.v1.PodSchedulingGroup podGroupName
        core.v1.PodSecurityContext fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser seLinuxChangePolicy
        core.v1.PodSecurityContext supplementalGroupsPolicy
        core.v1.PodSpec activeDeadlineSeconds automountServiceAccountToken enableServiceLinks hostUsers
        core.v1.PodSpec hostnameOverride preemptionPolicy priority runtimeClassName setHostnameAsFQDN
        core.v1.PodSpec shareProcessNamespace terminationGracePeriodSeconds
        core.v1.PortStatus error port
        core.v1.PreferredSchedulingTerm weight
        core.v1.Probe terminationGracePeriodSeconds
        core.v1.ProjectedVolumeSource defaultMode
        core.v1.ProjectedVolumeSource sources
        core.v1.ReplicationControllerSpec replicas
        core.v1.ReplicationControllerStatus replicas
        core.v1.ResourceHealth message
        core.v1.SeccompProfile localhostProfile
        core.v1.Secret immutable
        core.v1.SecretEnvSource optional
        core.v1.SecretKeySelector optional
        core.v1.SecretProjection optional
        core.v1.SecretVolumeSource defaultMode optional
        core.v1.SecurityContext allowPrivilegeEscalation privileged procMount readOnlyRootFilesystem runAsGroup
        core.v1.SecurityContext runAsNonRoot runAsUser
        core.v1.ServiceAccount automountServiceAccountToken
        core.v1.ServiceAccountTokenProjection expirationSeconds
        core.v1.ServicePort appProtocol port
        core.v1.ServiceSpec allocateLoadBalancerNodePorts internalTrafficPolicy ipFamilyPolicy loadBalancerClass
        core.v1.ServiceSpec trafficDistribution
        core.v1.SleepAction seconds
        core.v1.TCPSocketAction port
        core.v1.Toleration tolerationSeconds
        core.v1.TopologySpreadConstraint maxSkew minDomains nodeAffinityPolicy nodeTaintsPolicy
        core.v1.TypedLocalObjectReference apiGroup
        core.v1.TypedObjectReference apiGroup namespace
        core.v1.VolumeMount mountPropagation recursiveReadOnly
        core.v1.VolumeMountStatus recursiveReadOnly
        core.v1.WeightedPodAffinityTerm weight
        core.v1.WindowsSecurityContextOptions gmsaCredentialSpec gmsaCredentialSpecName hostProcess runAsUserName
        discovery.v1.Endpoint hostname nodeName zone
        discovery.v1.EndpointConditions ready serving terminating
        discovery.v1.EndpointPort appProtocol name port protocol
        events.v1.EventSeries count
        flowcontrol.v1.ExemptPriorityLevelConfiguration lendablePercent nominalConcurrencyShares
        flowcontrol.v1.LimitedPriorityLevelConfiguration borrowingLimitPercent lendablePercent
        flowcontrol.v1.LimitedPriorityLevelConfiguration nominalConcurrencyShares
        flowcontrol.v1.QueuingConfiguration handSize queueLengthLimit queues
        meta.v1.APIResource namespaced
        meta.v1.DeleteOptions gracePeriodSeconds ignoreStoreReadErrorWithClusterBreakingPotential orphanDependents
        meta.v1.DeleteOptions propagationPolicy
        meta.v1.ListMeta remainingItemCount
        meta.v1.ObjectMeta deletionGracePeriodSeconds
        meta.v1.OwnerReference blockOwnerDeletion controller
        meta.v1.Preconditions resourceVersion uid
        networking.v1.HTTPIngressPath pathType
        networking.v1.IngressClassParametersReference apiGroup namespace scope
        networking.v1.IngressPortStatus error port
        networking.v1.IngressSpec ingressClassName
        networking.v1.NetworkPolicyPort endPort port protocol
        policy.v1.PodDisruptionBudgetSpec maxUnavailable minAvailable unhealthyPodEvictionPolicy
        resource.v1.AllocatedDeviceStatus conditions
        resource.v1.AllocatedDeviceStatus shareID
        resource.v1.Device allNodes allowMultipleAllocations bindsToNode nodeName
        resource.v1.DeviceAttribute bool int string version
        resource.v1.DeviceClassSpec extendedResourceName
        resource.v1.DeviceConstraint distinctAttribute matchAttribute
        resource.v1.DeviceRequestAllocationResult adminAccess shareID
        resource.v1.DeviceToleration tolerationSeconds
        resource.v1.ExactDeviceRequest adminAccess
        resource.v1.NodeAllocatableResourceMapping capacityKey
        resource.v1.ResourcePool generation resourceSliceCount
        resource.v1.ResourceSliceSpec allNodes nodeName perDeviceNodeSelection
        scheduling.v1.PriorityClass preemptionPolicy
        storage.v1.CSIDriverSpec attachRequired fsGroupPolicy nodeAllocatableUpdatePeriodSeconds podInfoOnMount
        storage.v1.CSIDriverSpec preventPodSchedulingIfMissing requiresRepublish seLinuxMount
        storage.v1.CSIDriverSpec serviceAccountTokenInSecrets storageCapacity
        storage.v1.CSINodeDriver topologyKeys
        storage.v1.StorageClass allowVolumeExpansion reclaimPolicy volumeBindingMode
        storage.v1.TokenRequest expirationSeconds
        storage.v1.VolumeAttachmentSource persistentVolumeName
        storage.v1.VolumeAttachmentStatus attached
        storage.v1.VolumeError errorCode
        storage.v1.VolumeNodeResources count
        """

    private static let alwaysWrittenTable: StaticString = """
        apiextensions.v1.CustomResourceDefinitionStatus conditions storedVersions
        apps.v1.StatefulSetSpec serviceName
        apps.v1.StatefulSetStatus availableReplicas
        authentication.v1.TokenRequestSpec audiences
        authentication.v1.TokenRequestStatus token
        autoscaling.v2.HorizontalPodAutoscalerStatus currentMetrics
        core.v1.ContainerImage names
        core.v1.Event reportingComponent reportingInstance
        core.v1.NodeRuntimeHandler name
        discovery.v1.EndpointSlice endpoints ports
        flowcontrol.v1.FlowSchemaSpec matchingPrecedence
        flowcontrol.v1.ResourcePolicyRule namespaces
        policy.v1.PodDisruptionBudgetStatus currentHealthy desiredHealthy disruptionsAllowed expectedPods
        rbac.v1.ClusterRole rules
        rbac.v1.Role rules
        rbac.v1.RoleRef apiGroup
        resource.v1.DeviceClaim requests
        scheduling.v1.PriorityClass value
        """
}
