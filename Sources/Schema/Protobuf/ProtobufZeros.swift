import JSON

/// Which zeros in protobuf mean something.
///
/// Go writes members it holds by value even when nobody set them, and members it holds by pointer only when they are
/// set. The tables do not tell the two apart, so the pointers whose zero differs from their absence are named here; all
/// other zeros are left out.
enum ProtobufZeros {
    static func isUnset(_ value: JSON, _ field: SchemaField) -> Bool {
        switch value {
        case .string(let text): text.isEmpty && !strings.contains(field.name)
        case .bool(let flag): !flag && !field.isRequired && !flags.contains(field.name)
        case .integer(0):
            // A service port without a target has an integer target of zero.
            if case .intOrString = field.value {
                field.name == "targetPort"
            } else {
                !field.isRequired && !numbers.contains(field.name)
            }
        default: false
        }
    }

    private static let strings: Set = ["storageClassName", "volumeAttributesClassName"]

    private static let flags: Set = [
        "allocateLoadBalancerNodePorts", "allowPrivilegeEscalation", "allowVolumeExpansion", "attachRequired",
        "automountServiceAccountToken", "blockOwnerDeletion", "controller", "enableServiceLinks", "hostProcess",
        "hostUsers", "immutable", "isolated", "manualSelector", "optional",
        "orphanDependents", "podInfoOnMount", "privileged", "readOnlyRootFilesystem", "ready", "requiresRepublish",
        "runAsNonRoot", "seLinuxMount", "serving", "setHostnameAsFQDN", "shareProcessNamespace", "started",
        "storageCapacity", "suspend", "terminating",
    ]

    private static let numbers: Set = [
        "activeDeadlineSeconds", "averageUtilization", "backoffLimit", "backoffLimitPerIndex", "collisionCount",
        "completions", "currentAverageUtilization", "defaultMode", "deletionGracePeriodSeconds", "expirationSeconds",
        "failedJobsHistoryLimit", "fsGroup", "gracePeriodSeconds", "leaseTransitions", "maxFailedIndexes",
        "minReplicas", "mode", "nominalConcurrencyShares", "parallelism", "partition", "priority",
        "progressDeadlineSeconds", "ready", "replicas", "revisionHistoryLimit", "runAsGroup", "runAsUser",
        "stabilizationWindowSeconds", "startingDeadlineSeconds", "successfulJobsHistoryLimit", "terminating",
        "terminationGracePeriodSeconds", "tolerationSeconds", "ttlSecondsAfterFinished", "weight",
    ]
}
