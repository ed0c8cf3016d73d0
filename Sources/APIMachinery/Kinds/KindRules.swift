import CustomResources
import JSON
import ObjectModel
import Schema

/// What a kind does beyond its schema: how its objects are named, which part is status, what it fills in and refuses.
struct KindRules: Sendable {
    /// Syntax of `metadata.name`.
    enum Naming: Sendable {
        case subdomain
        case label
        /// RBAC: anything that can stand in a path.
        case pathSegment
        /// The address is the name, in its shortest form.
        case address

        func problems(_ name: String) -> [String] {
            switch self {
            case .subdomain: Names.dns1123SubdomainProblems(name)
            case .label: Names.dns1123LabelProblems(name)
            case .pathSegment: Names.pathSegmentProblems(name)
            case .address: Self.addressProblems(name)
            }
        }

        private static func addressProblems(_ name: String) -> [String] {
            guard let address = IPAddress(name) else {
                return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
            }
            return address.description == name ? [] : ["must be in canonical form (\"\(address)\")"]
        }
    }

    var naming: Naming = .subdomain
    /// Main writes leave `status` alone.
    var hasStatus = false
    /// What of the metadata status writes may change too: agents annotate an object together with its status.
    var statusMetadata: [String] = []
    /// The conditions `Approved` and `Denied` are written through `approval`, not through `status`.
    var hasVerdicts = false
    var tracksGeneration = false
    /// Any change outside of metadata and status counts as a new generation, not only one of `spec`.
    var generationCountsEverything = false
    /// Annotations count too: those of deployments are copied to their replica sets.
    var generationCountsAnnotations = false
    var allowsUnconditionalUpdate = true
    var createsOnUpdate = false
    /// Dependents are orphaned when a delete says nothing else.
    var orphansByDefault = false
    /// Events: no garbage collection policies.
    var ignoresPropagation = false
    /// Namespaces: `spec.finalizers` hold the object too.
    var hasSpecFinalizers = false
    /// Custom resources without a status subresource: their status is a part like any other.
    var statusIsContent = false
    /// The version of a custom kind; its schema says what is valid.
    var custom: CustomVersion?
    /// Finalizers may be names without a domain: only kinds of Kubernetes itself insist on one.
    var allowsBareFinalizers: Bool { custom != nil || cleanupFinalizer != nil }
    /// Put on an object when its deletion begins, for whoever cleans up.
    var cleanupFinalizer: String?
    /// Changes an object that a first delete marks.
    var prepareDelete: @Sendable (inout JSON) -> Void = { _ in }
    var prepareCreate: @Sendable (inout JSON, RequestContext) -> Void = { _, _ in }
    var prepareUpdate: @Sendable (inout JSON, _ old: JSON) -> Void = { _, _ in }
    /// Problems of an object by itself.
    var validate: @Sendable (JSON) -> [FieldError] = { _ in [] }
    /// Problems of a change.
    var validateUpdate: @Sendable (JSON, _ old: JSON) -> [FieldError] = { _, _ in [] }
    /// Problems of a new status.
    var validateStatus: @Sendable (JSON, _ old: JSON) -> [FieldError] = { _, _ in [] }

    /// Whether a change makes a new generation.
    func countsAsNewGeneration(_ new: JSON, _ old: JSON) -> Bool {
        if generationCountsAnnotations, new["metadata"]["annotations"] != old["metadata"]["annotations"] { return true }
        guard generationCountsEverything else { return new["spec"] != old["spec"] }
        func rest(_ tree: JSON) -> JSON {
            var tree = tree
            for field in ["metadata", "apiVersion", "kind"] { tree.removeMember(field) }
            if !statusIsContent { tree.removeMember("status") }
            return tree
        }
        return rest(new) != rest(old)
    }
}

/// The rules of every stored resource.
struct KindTable: Sendable {
    private var rules: [GroupResource: KindRules] = [:]
    /// Custom kinds differ by version.
    private var customs: [GroupVersionKind: KindRules] = [:]

    init(catalog: Catalog) {
        for definition in catalog.resources {
            let place = StorageLayout.place(of: definition.resource.groupResource)
            guard rules[place] == nil else { continue }
            rules[place] = Self.rules(for: definition)
        }
    }

    subscript(place: GroupResource) -> KindRules { rules[place] ?? KindRules() }

    /// The rules for a version of what is stored at a place.
    subscript(place: GroupResource, kind: GroupVersionKind) -> KindRules {
        if !customs.isEmpty, let custom = customs[kind] { return custom }
        return self[place]
    }

    /// This table with custom kinds beside the others.
    func with(_ definitions: some Collection<CustomDefinition>) -> KindTable {
        var table = self
        for definition in definitions where rules[definition.groupResource] == nil {
            for version in definition.versions {
                let rules = CustomKinds.rules(for: version)
                table.customs[version.definition.kind] = rules
                if version.isStorage { table.rules[definition.groupResource] = rules }
            }
        }
        return table
    }

    private static let everythingIsGeneration: Set<String> = [
        "endpointslices.discovery.k8s.io", "podtemplates", "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
    ]
    private static let countingSpec: Set<String> = [
        "pods", "replicationcontrollers", "daemonsets.apps", "deployments.apps", "replicasets.apps",
        "statefulsets.apps",
        "jobs.batch", "cronjobs.batch", "ingresses.networking.k8s.io", "networkpolicies.networking.k8s.io",
        "poddisruptionbudgets.policy", "csidrivers.storage.k8s.io", "flowschemas.flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "resourceslices.resource.k8s.io",
        "deviceclasses.resource.k8s.io", "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io",
        "ingressclasses.networking.k8s.io", "priorityclasses.scheduling.k8s.io",
    ]
    private static let conditionalUpdate: Set<String> = [
        "leases.coordination.k8s.io", "customresourcedefinitions.apiextensions.k8s.io",
        "apiservices.apiregistration.k8s.io", "poddisruptionbudgets.policy", "runtimeclasses.node.k8s.io",
        "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io", "csistoragecapacities.storage.k8s.io",
        "volumeattachments.storage.k8s.io", "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    ]
    /// Whose metadata is not written through `status`.
    private static let plainStatus: Set<String> = [
        "customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io", "flowschemas.flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "resourceclaims.resource.k8s.io",
        "volumeattachments.storage.k8s.io",
    ]
    private static let createdOnUpdate: Set<String> = [
        "leases.coordination.k8s.io", "endpoints", "events", "services", "limitranges", "runtimeclasses.node.k8s.io",
        "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
    ]

    private static func rules(for definition: ResourceDefinition) -> KindRules {
        let name = definition.resource.groupResource.description
        var rules = KindRules()
        rules.hasStatus = definition.subresource("status") != nil
        if rules.hasStatus, !plainStatus.contains(name) {
            rules.statusMetadata = ["labels", "annotations", "finalizers"]
            // Upstream keeps the labels of a deployment.
            if name == "deployments.apps" { rules.statusMetadata = ["annotations", "finalizers"] }
        }
        rules.tracksGeneration = countingSpec.contains(name) || everythingIsGeneration.contains(name)
        rules.generationCountsEverything = everythingIsGeneration.contains(name)
        rules.generationCountsAnnotations = name == "deployments.apps"
        rules.allowsUnconditionalUpdate = !conditionalUpdate.contains(name)
        rules.createsOnUpdate = createdOnUpdate.contains(name)
        if name.hasSuffix(".rbac.authorization.k8s.io") { rules.naming = .pathSegment }
        if name == "ipaddresses.networking.k8s.io" { rules.naming = .address }
        if rules.hasStatus { rules.prepareCreate = { tree, _ in tree["status"] = emptyStatus(name) } }
        customize(&rules, name)
        return rules
    }

    /// What an object's status is before anybody reported one: the fields that are always written.
    static func emptyStatus(_ resource: String) -> JSON {
        switch resource {
        case "replicationcontrollers", "replicasets.apps": ["replicas": 0]
        case "statefulsets.apps": ["replicas": 0, "availableReplicas": 0]
        case "daemonsets.apps":
            ["currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0]
        case "poddisruptionbudgets.policy":
            ["currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0]
        case "services", "ingresses.networking.k8s.io": ["loadBalancer": [:]]
        case "horizontalpodautoscalers.autoscaling": ["desiredReplicas": 0, "currentMetrics": []]
        case "persistentvolumeclaims": ["phase": "Pending"]
        case "persistentvolumes": ["phase": "Pending", "lastPhaseTransitionTime": .string(Timestamp.now.rfc3339)]
        default: [:]
        }
    }

    private static func customize(_ rules: inout KindRules, _ name: String) {
        switch name {
        case "pods": PodKind.customize(&rules)
        case "nodes":
            rules.prepareCreate = { node, _ in
                let range = node["spec"]["podCIDR"]
                if node["spec"]["podCIDRs"].isNull, !range.isNull { node["spec"]["podCIDRs"] = .array([range]) }
            }
            rules.validate = ClusterValidation.node
            rules.validateUpdate = ClusterValidation.nodeUpdate
        case "namespaces": NamespaceKind.customize(&rules)
        case "services": ServiceKind.customize(&rules)
        case "events":
            rules.ignoresPropagation = true
            rules.validate = ClusterValidation.event
        case "configmaps":
            rules.validate = ConfigValidation.configMap
            rules.validateUpdate = ConfigValidation.configMapUpdate
        case "secrets":
            rules.validate = ConfigValidation.secret
            rules.validateUpdate = ConfigValidation.secretUpdate
        case "endpoints": rules.validate = ServiceValidation.endpoints
        case "endpointslices.discovery.k8s.io":
            rules.validate = ServiceValidation.endpointSlice
            rules.validateUpdate = { immutable("addressType", $0["addressType"], $1["addressType"]) }
        case "limitranges": rules.validate = QuotaValidation.limitRange
        case "resourcequotas":
            rules.validate = QuotaValidation.quota
            rules.validateUpdate = { immutable("spec.scopes", $0["spec"]["scopes"], $1["spec"]["scopes"]) }
        case "persistentvolumeclaims":
            rules.validate = StorageValidation.claim
            rules.validateUpdate = StorageValidation.claimUpdate
        case "persistentvolumes":
            rules.validate = StorageValidation.volume
            rules.validateUpdate = StorageValidation.volumeUpdate
        case "storageclasses.storage.k8s.io":
            rules.validate = StorageValidation.storageClass
            rules.validateUpdate = StorageValidation.classUpdate
        case "ingresses.networking.k8s.io": rules.validate = NetworkValidation.ingress
        case "networkpolicies.networking.k8s.io": rules.validate = NetworkValidation.policy
        case "ingressclasses.networking.k8s.io":
            rules.validate = NetworkValidation.ingressClass
            rules.validateUpdate = {
                immutable("spec.controller", $0["spec"]["controller"], $1["spec"]["controller"])
            }
        case "customresourcedefinitions.apiextensions.k8s.io": CustomKinds.customizeDefinitions(&rules)
        case "leases.coordination.k8s.io": rules.validate = ClusterValidation.lease
        case "priorityclasses.scheduling.k8s.io":
            rules.validate = ClusterValidation.priorityClass
            rules.validateUpdate = ClusterValidation.priorityClassUpdate
        case "runtimeclasses.node.k8s.io":
            rules.validate = ClusterValidation.runtimeClass
            rules.validateUpdate = { immutable("handler", $0["handler"], $1["handler"]) }
        case "poddisruptionbudgets.policy": rules.validate = ClusterValidation.disruptionBudget
        case "horizontalpodautoscalers.autoscaling": rules.validate = AutoscalerValidation.autoscaler
        case "certificatesigningrequests.certificates.k8s.io": CertificateKind.customize(&rules)
        case "roles.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io":
            rules.validate = AccessValidation.role
        case "rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io":
            rules.validate = AccessValidation.binding
            rules.validateUpdate = AccessValidation.bindingUpdate
        case "mutatingwebhookconfigurations.admissionregistration.k8s.io":
            rules.validate = AdmissionValidation.mutatingWebhooks
        case "validatingwebhookconfigurations.admissionregistration.k8s.io":
            rules.validate = AdmissionValidation.validatingWebhooks
        case "validatingadmissionpolicies.admissionregistration.k8s.io":
            rules.validate = PolicyValidation.validatingPolicy
        case "mutatingadmissionpolicies.admissionregistration.k8s.io":
            rules.validate = PolicyValidation.mutatingPolicy
        case "validatingadmissionpolicybindings.admissionregistration.k8s.io":
            rules.validate = PolicyValidation.validatingBinding
        case "mutatingadmissionpolicybindings.admissionregistration.k8s.io":
            rules.validate = PolicyValidation.mutatingBinding
        default: WorkloadKinds.customize(&rules, name)
        }
    }
}

/// `field is immutable` when it changed.
func immutable(_ field: String, _ new: JSON, _ old: JSON) -> [FieldError] {
    new == old ? [] : [.invalid(field, new, "field is immutable")]
}

/// `Required value` when it is absent or empty.
func required(_ field: String, _ value: JSON) -> [FieldError] {
    switch value {
    case .null: [.required(field)]
    case .string(let text) where text.isEmpty: [.required(field)]
    case .array(let elements) where elements.isEmpty: [.required(field)]
    default: []
    }
}
