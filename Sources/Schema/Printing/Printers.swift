import JSON
import ObjectModel

/// The printers of all kinds that have more to show than a name and a time.
enum Printers {
    /// Kinds without columns of their own.
    static let generic = Printer("Name|Created At:date") { [$0.name, $0.createdAt] }
    static let nameAndAge = Printer("Name|Age") { [$0.name, $0.age] }

    static let byResource: [GroupResource: Printer] = {
        var all: [GroupResource: Printer] = [:]
        let groups: [(String, [String: Printer])] = [
            ("", core), ("", storageOfCore), ("apps", apps), ("batch", batch),
            ("autoscaling", ["horizontalpodautoscalers": autoscaler]),
            ("networking.k8s.io", networking), ("discovery.k8s.io", ["endpointslices": endpointSlice]),
            ("events.k8s.io", ["events": newEvent]), ("policy", ["poddisruptionbudgets": disruptionBudget]),
            ("rbac.authorization.k8s.io", rbac), ("storage.k8s.io", storage),
            ("admissionregistration.k8s.io", admission), ("apiregistration.k8s.io", ["apiservices": apiService]),
            ("certificates.k8s.io", ["certificatesigningrequests": signingRequest]),
            ("coordination.k8s.io", ["leases": lease]), ("node.k8s.io", ["runtimeclasses": runtimeClass]),
            ("scheduling.k8s.io", ["priorityclasses": priorityClass]),
            ("flowcontrol.apiserver.k8s.io", flowControl), ("resource.k8s.io", devices),
        ]
        for (group, printers) in groups {
            for (resource, printer) in printers { all[GroupResource(group: group, resource: resource)] = printer }
        }
        return all
    }()
}
