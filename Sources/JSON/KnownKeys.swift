import Glibc

/// Member names of the Kubernetes API that are too long for `String`'s inline form.
///
/// Such a name costs one allocation per occurrence; a list of 10,000 pods has hundreds of thousands of them. Finding
/// it here shares one allocation for the life of the process.
struct KnownKeys: Sendable {
    static let shared = KnownKeys()

    /// Open addressing, four times as many slots as names; an empty string marks a free slot.
    private let slots: [String]
    private static let mask = 1023

    private init() {
        var slots = [String](repeating: "", count: Self.mask + 1)
        for name in Self.names where name.utf8.count > 15 {
            var name = name
            var slot = name.withUTF8 { Self.hash($0) }
            while !slots[slot].isEmpty { slot = (slot + 1) & Self.mask }
            slots[slot] = name
        }
        self.slots = slots
    }

    /// The shared string with these bytes, if they are a known name.
    func find(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        var slot = Self.hash(bytes)
        while true {
            let name = slots[slot]
            if name.isEmpty { return nil }
            let isSame = name.utf8.withContiguousStorageIfAvailable { stored in
                guard stored.count == bytes.count, let left = stored.baseAddress, let right = bytes.baseAddress else {
                    return false
                }
                return memcmp(left, right, bytes.count) == 0
            }
            if isSame == true { return name }
            slot = (slot + 1) & Self.mask
        }
    }

    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let count = bytes.count
        // Names differ in length, in the first letters and around the middle and the end.
        var hash = UInt(count) &* 0x9e37_79b9
        hash = (hash ^ UInt(bytes[0])) &* 0x0100_0193
        hash = (hash ^ UInt(bytes[2])) &* 0x0100_0193
        hash = (hash ^ UInt(bytes[count / 2])) &* 0x0100_0193
        hash = (hash ^ UInt(bytes[count - 3])) &* 0x0100_0193
        hash = (hash ^ UInt(bytes[count - 1])) &* 0x0100_0193
        return Int((hash >> 12) & UInt(mask))
    }

    private static let names = [
        "activeDeadlineSeconds", "additionalPrinterColumns", "additionalProperties", "admissionReviewVersions",
        "allocateLoadBalancerNodePorts", "allocatedDevices", "allocatedResourceStatuses", "allocatedResources",
        "allocatedResourcesStatus", "allocationMultiplier", "allocationTimestamp", "allowMultipleAllocations",
        "allowPrivilegeEscalation", "allowVolumeExpansion", "allowedTopologies", "app.kubernetes.io/component",
        "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/name",
        "app.kubernetes.io/part-of", "app.kubernetes.io/version", "applyConfiguration", "attachmentMetadata",
        "auditAnnotations", "automountServiceAccountToken", "availableDevices", "availableReplicas",
        "averageUtilization", "awsElasticBlockStore", "backoffLimitPerIndex", "bindingConditions",
        "bindingFailureConditions", "blockOwnerDeletion", "borrowingLimitPercent", "certificateChain",
        "certificateChainPath", "chapAuthDiscovery", "clusterRoleSelectors", "clusterTrustBundle",
        "commonEncodingVersion", "completedIndexes", "concurrencyPolicy", "consumedCapacity", "consumesCounters",
        "containerResource", "containerRuntimeVersion", "containerStatuses", "controllerExpandSecretRef",
        "controllerPublishSecretRef", "conversionReviewVersions", "creationTimestamp", "credentialBundlePath",
        "currentCPUUtilizationPercentage", "currentNumberScheduled", "currentVolumeAttributesClassName",
        "declaredFeatures", "decodableVersions", "deletionGracePeriodSeconds", "deletionTimestamp",
        "deployment.kubernetes.io/revision", "deprecatedFirstTimestamp", "deprecatedLastTimestamp",
        "deprecatedSource", "deprecatedTopology", "deprecationWarning", "desiredNumberScheduled",
        "deviceConfiguration", "disruptionsAllowed", "distinctAttribute", "distinguisherMethod", "emulationVersion",
        "enableServiceLinks", "endpointsNamespace", "endpointslice.kubernetes.io/managed-by", "ephemeral-storage",
        "ephemeralContainerCommon", "ephemeralContainerStatuses", "ephemeralContainers", "excludeResourceRules",
        "exclusiveMaximum", "exclusiveMinimum", "expirationSeconds", "expirationTimestamp", "expressionWarnings",
        "extendedResourceClaimStatus", "extendedResourceName", "externalTrafficPolicy", "f:enableServiceLinks",
        "f:imagePullPolicy", "f:lastTransitionTime", "f:ownerReferences", "f:securityContext",
        "f:terminationGracePeriodSeconds", "f:terminationMessagePath", "f:terminationMessagePolicy",
        "failedJobsHistoryLimit", "failureThreshold", "fsGroupChangePolicy", "fullyLabeledReplicas",
        "gcePersistentDisk", "gmsaCredentialSpec", "gmsaCredentialSpecName", "gracePeriodSeconds",
        "groupPriorityMinimum", "healthCheckNodePort", "hostnameOverride", "imagePullSecrets", "ingressClassName",
        "ingressRuleValue", "initContainerStatuses", "initialDelaySeconds", "inlineVolumeSpec",
        "insecureSkipTLSVerify", "internalTrafficPolicy", "kubeProxyVersion",
        "kubectl.kubernetes.io/last-applied-configuration", "kubeletConfigKey", "kubernetes.io/hostname",
        "kubernetes.io/metadata.name", "kubernetes.io/service-name", "labelSelectorPath", "lastHeartbeatTime",
        "lastObservedTime", "lastPhaseTransitionTime", "lastScheduleTime", "lastSuccessfulTime", "lastTransitionTime",
        "leaseDurationSeconds", "leaseTransitions", "loadBalancerClass", "loadBalancerSourceRanges",
        "localObjectReference", "localhostProfile", "matchConstraints", "matchExpressions", "matchLabelExpressions",
        "matchingPrecedence", "maxExpirationSeconds", "maxFailedIndexes", "maxLimitRequestRatio", "maximumVolumeSize",
        "messageExpression", "minCompatibilityMajor", "minCompatibilityMinor", "mismatchLabelKeys",
        "modifyVolumeStatus", "mountPropagation", "namespaceSelector", "node.kubernetes.io/instance-type",
        "nodeAffinityPolicy", "nodeAllocatableResourceClaimStatuses", "nodeAllocatableResourceMappings",
        "nodeAllocatableUpdatePeriodSeconds", "nodeExpandSecretRef", "nodePublishSecretRef", "nodeSelectorTerms",
        "nodeStageSecretRef", "nodeTaintsPolicy", "nominalConcurrencyShares", "nominatedNodeName",
        "nonResourceAttributes", "nonResourceRules", "notReadyAddresses", "numberMisscheduled", "numberUnavailable",
        "observedGeneration", "orphanDependents", "parameterNotFoundAction", "patternProperties",
        "perDeviceNodeSelection", "persistentVolumeClaim", "persistentVolumeClaimRetentionPolicy",
        "persistentVolumeName", "persistentVolumeReclaimPolicy", "persistentVolumeSource", "photonPersistentDisk",
        "pod-template-hash", "podFailurePolicy", "podGroupTemplateName", "podGroupTemplateRef", "podGroupTemplates",
        "podManagementPolicy", "podReplacementPolicy", "preemptionPolicy", "preferredVersion",
        "preserveUnknownFields", "preventPodSchedulingIfMissing", "priorityClassName", "priorityLevelConfiguration",
        "progressDeadlineSeconds", "proofOfPossession", "propagationPolicy", "protectionDomain",
        "publishNotReadyAddresses", "queueLengthLimit", "readOnlyRootFilesystem", "recursiveReadOnly",
        "recursiveReadOnlyMounts", "reinvocationPolicy", "remainingItemCount", "reportingComponent",
        "reportingController", "reportingInstance", "requiresRepublish", "resourceAttributes", "resourceClaimName",
        "resourceClaimStatuses", "resourceClaimTemplateName", "resourceFieldRef", "resourceSliceCount",
        "restartPolicyRules", "retryAfterSeconds", "revisionHistoryLimit", "ruleWithOperations", "runtimeClassName",
        "schedulingConstraints", "schedulingPolicy", "seLinuxChangePolicy", "selectableFields",
        "serverAddressByClientCIDRs", "serviceAccountName", "serviceAccountToken", "serviceAccountTokenInSecrets",
        "serviceAccountUID", "sessionAffinityConfig", "setHostnameAsFQDN", "shareProcessNamespace",
        "specReplicasPath", "stabilizationWindowSeconds", "startingDeadlineSeconds", "statusReplicasPath",
        "storageClassName", "storagePolicyName", "storageVersionHash", "succeededIndexes", "successThreshold",
        "successfulJobsHistoryLimit", "supplementalGroups", "supplementalGroupsPolicy",
        "targetCPUUtilizationPercentage", "targetContainerName", "targetVolumeAttributesClassName",
        "terminatingReplicas", "terminationGracePeriodSeconds", "terminationMessagePath", "terminationMessagePolicy",
        "tolerationSeconds", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
        "topologySpreadConstraints", "trafficDistribution", "ttlSecondsAfterFinished", "unavailableDevices",
        "unavailableReplicas", "uncountedTerminatedPods", "unhealthyPodEvictionPolicy", "unverifiedUserAnnotations",
        "updatedNumberScheduled", "validationActions", "volumeAttributes", "volumeAttributesClassName",
        "volumeBindingMode", "volumeClaimTemplate", "volumeClaimTemplates", "volumeLifecycleModes",
        "whenUnsatisfiable",
    ]
}
