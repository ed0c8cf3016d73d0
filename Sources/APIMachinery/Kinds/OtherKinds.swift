import JSON
import ObjectModel

/// Namespaces: active at first, held by `spec.finalizers` until their content is gone.
enum NamespaceKind {
    static func customize(_ rules: inout KindRules) {
        rules.naming = .label
        rules.hasSpecFinalizers = true
        rules.prepareCreate = { namespace, _ in
            namespace["spec"]["finalizers"] = ["kubernetes"]
            namespace["status"] = ["phase": "Active"]
        }
        rules.prepareUpdate = { namespace, old in
            // Only /finalize changes them.
            let finalizers = old["spec"]["finalizers"]
            namespace["spec"].setMember("finalizers", finalizers)
        }
    }
}

/// Services; their addresses and ports come from `ServiceAllocator`.
enum ServiceKind {
    static func customize(_ rules: inout KindRules) {
        rules.naming = .label
        rules.prepareCreate = { service, _ in service["status"] = ["loadBalancer": [:]] }
        rules.validate = ServiceValidation.service
        rules.validateUpdate = ServiceValidation.serviceUpdate
    }
}

/// Workloads: pod templates and the selectors that go with them.
enum WorkloadKinds {
    static func customize(_ rules: inout KindRules, _ name: String) {
        switch name {
        case "deployments.apps":
            rules.validate = WorkloadValidation.deployment
            rules.validateUpdate = WorkloadValidation.selectorUpdate
        case "replicasets.apps":
            rules.validate = WorkloadValidation.replicaSet
            rules.validateUpdate = WorkloadValidation.selectorUpdate
        case "daemonsets.apps":
            rules.validate = WorkloadValidation.daemonSet
            rules.validateUpdate = WorkloadValidation.selectorUpdate
        case "statefulsets.apps":
            rules.validate = WorkloadValidation.statefulSet
            rules.validateUpdate = WorkloadValidation.statefulSetUpdate
        case "replicationcontrollers":
            rules.orphansByDefault = true
            rules.validate = WorkloadValidation.replicationController
        case "jobs.batch":
            rules.orphansByDefault = true
            rules.prepareCreate = { job, _ in
                job["status"] = [:]
                identify(&job)
                let labels = job["spec"]["template"]["metadata"]["labels"]
                if job["metadata"]["labels"].isNull, !labels.isNull { job["metadata"]["labels"] = labels }
            }
            rules.validate = WorkloadValidation.job
            rules.validateUpdate = WorkloadValidation.jobUpdate
        case "cronjobs.batch":
            rules.validate = WorkloadValidation.cronJob
        case "podtemplates":
            rules.validate = { tree in
                var problems = Problems()
                problems.podTemplate(tree["template"], "template")
                return problems.list
            }
        case "controllerrevisions.apps":
            rules.validate = { revision in
                var problems = Problems()
                problems.notNegative("revision", revision["revision"])
                if revision["data"].isNull { problems.add(.required("data", "data is mandatory")) }
                return problems.list
            }
            rules.validateUpdate = { immutable("data", $0["data"], $1["data"]) }
        default: break
        }
    }

    /// A job selects its pods by its uid, which nobody else can have.
    private static func identify(_ job: inout JSON) {
        guard job["spec"]["manualSelector"].bool != true else { return }
        let uid = job["metadata"]["uid"]
        let name = job["metadata"]["name"]
        if job["spec"]["selector"].isNull {
            job["spec"]["selector"] = ["matchLabels": ["batch.kubernetes.io/controller-uid": uid]]
        }
        var labels = job["spec"]["template"]["metadata"]["labels"]
        for key in ["batch.kubernetes.io/controller-uid", "controller-uid"] where labels[key].isNull {
            labels[key] = uid
        }
        for key in ["batch.kubernetes.io/job-name", "job-name"] where labels[key].isNull { labels[key] = name }
        job["spec"]["template"]["metadata"]["labels"] = labels
    }
}
