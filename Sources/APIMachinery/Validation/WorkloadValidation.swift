import JSON
import ObjectModel

/// Kinds that make pods from a template.
enum WorkloadValidation {
    static func deployment(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        problems.notNegative("spec.replicas", spec["replicas"])
        selecting(spec, &problems)
        problems.notNegative("spec.minReadySeconds", spec["minReadySeconds"])
        problems.notNegative("spec.revisionHistoryLimit", spec["revisionHistoryLimit"])
        if let deadline = spec["progressDeadlineSeconds"].int, deadline <= (spec["minReadySeconds"].int ?? 0) {
            problems.add(
                .invalid(
                    "spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"],
                    "must be greater than minReadySeconds"))
        }
        let strategy = spec["strategy"]
        switch strategy["type"].string ?? "" {
        case "Recreate":
            if !strategy["rollingUpdate"].isNull {
                problems.add(
                    .forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
                )
            }
        case "RollingUpdate": rolling(strategy["rollingUpdate"], "spec.strategy.rollingUpdate", &problems)
        default:
            problems.add(.notSupported("spec.strategy", GoForm.strategy(strategy), ["Recreate", "RollingUpdate"]))
        }
        return problems.list
    }

    static func replicaSet(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        problems.notNegative("spec.replicas", tree["spec"]["replicas"])
        problems.notNegative("spec.minReadySeconds", tree["spec"]["minReadySeconds"])
        selecting(tree["spec"], &problems)
        return problems.list
    }

    static func daemonSet(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        selecting(spec, &problems)
        problems.notNegative("spec.minReadySeconds", spec["minReadySeconds"])
        let update = spec["updateStrategy"]
        switch update["type"].string ?? "" {
        case "OnDelete": break
        case "RollingUpdate": daemonRolling(update["rollingUpdate"], "spec.updateStrategy.rollingUpdate", &problems)
        default:
            problems.add(
                .notSupported(
                    "spec.updateStrategy", GoForm.strategy(update), ["RollingUpdate", "OnDelete"], isSorted: false))
        }
        return problems.list
    }

    /// One of both is more than nothing, and only one.
    private static func daemonRolling(_ update: JSON, _ path: String, _ problems: inout Problems) {
        if update.isNull { return problems.add(.required(path)) }
        problems.share("\(path).maxUnavailable", update["maxUnavailable"])
        problems.share("\(path).maxSurge", update["maxSurge"])
        let isUnavailable = !isZero(update["maxUnavailable"]) && !update["maxUnavailable"].isNull
        let isSurge = !isZero(update["maxSurge"]) && !update["maxSurge"].isNull
        if isUnavailable, isSurge {
            problems.add(
                .invalid("\(path).maxSurge", update["maxSurge"], "may not be set when maxUnavailable is non-zero"))
        } else if !isUnavailable, !isSurge {
            problems.add(.required("\(path).maxUnavailable", "cannot be 0 when maxSurge is 0"))
        }
    }

    private static func isZero(_ value: JSON) -> Bool { value.int == 0 || value.string == "0%" }

    static func statefulSet(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        let management = spec["podManagementPolicy"].string ?? ""
        if management.isEmpty {
            problems.add(.required("spec.podManagementPolicy"))
        } else if !["OrderedReady", "Parallel"].contains(management) {
            problems.add(
                .invalid("spec.podManagementPolicy", .string(management), "must be 'OrderedReady' or 'Parallel'"))
        }
        let update = spec["updateStrategy"]
        switch update["type"].string ?? "" {
        case "": problems.add(.required("spec.updateStrategy"))
        case "OnDelete":
            if !update["rollingUpdate"].isNull {
                problems.add(
                    .invalid(
                        "spec.updateStrategy.rollingUpdate",
                        [
                            "Partition": update["rollingUpdate"]["partition"],
                            "MaxUnavailable": update["rollingUpdate"]["maxUnavailable"],
                        ],
                        "only allowed for updateStrategy 'RollingUpdate'"))
            }
        case "RollingUpdate":
            let rolling = update["rollingUpdate"]
            problems.notNegative("spec.updateStrategy.rollingUpdate.partition", rolling["partition"])
            problems.share("spec.updateStrategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"])
            if isZero(rolling["maxUnavailable"]) {
                problems.add(
                    .invalid(
                        "spec.updateStrategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], "cannot be 0"))
            }
        default:
            problems.add(
                .invalid("spec.updateStrategy", GoForm.strategy(update), "must be 'RollingUpdate' or 'OnDelete'"))
        }
        for member in ["whenDeleted", "whenScaled"] where !spec["persistentVolumeClaimRetentionPolicy"].isNull {
            problems.choice(
                "spec.persistentVolumeClaimRetentionPolicy.\(member)",
                spec["persistentVolumeClaimRetentionPolicy"][member], ["Retain", "Delete"], isSorted: false)
        }
        problems.notNegative("spec.ordinals.start", spec["ordinals"]["start"])
        if let name = spec["serviceName"].string, !name.isEmpty {
            problems.syntax("spec.serviceName", name, Names.dns1123LabelProblems(name))
        }
        problems.notNegative("spec.replicas", spec["replicas"])
        problems.notNegative("spec.minReadySeconds", spec["minReadySeconds"])
        // Containers may mount what the claim templates will be.
        var whole = spec
        var volumes = spec["template"]["spec"]["volumes"].elements
        for claim in spec["volumeClaimTemplates"].elements {
            let name = claim["metadata"]["name"]
            if !volumes.contains(where: { $0["name"] == name }) { volumes.append(["name": name, "emptyDir": [:]]) }
        }
        if !volumes.isEmpty, !spec["template"].isNull { whole["template"]["spec"]["volumes"] = .array(volumes) }
        selecting(whole, &problems)
        return problems.list
    }

    static func statefulSetUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        var rest = new["spec"]
        let before = old["spec"]
        let mutable = [
            "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
        ]
        for field in mutable { rest.setMember(field, before[field]) }
        if rest == before { return [] }
        let list = mutable.dropLast().map { "'\($0)'" }.joined(separator: ", ")
        return [
            .forbidden(
                "spec", "updates to statefulset spec for fields other than \(list) and 'minReadySeconds' are forbidden")
        ]
    }

    static func replicationController(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        problems.notNegative("spec.replicas", spec["replicas"])
        if spec["selector"].members.isEmpty { problems.add(.required("spec.selector")) }
        let labels = spec["template"]["metadata"]["labels"]
        if spec["template"].isNull {
            problems.add(.required("spec.template"))
        } else {
            if !spec["selector"].members.allSatisfy({ labels[$0.key] == $0.value }) { mismatch(labels, &problems) }
            problems.podTemplate(spec["template"], "spec.template")
            onlyAlways(spec, &problems)
        }
        return problems.list
    }

    static func job(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        jobSpec(tree["spec"], "spec", &problems)
        let spec = tree["spec"]
        if spec["selector"].isNull {
            problems.add(.required("spec.selector"))
        } else {
            problems.labelSelector("spec.selector", spec["selector"])
            matching(
                spec["selector"], spec["template"]["metadata"]["labels"], "spec.template.metadata.labels", &problems)
        }
        return problems.list
    }

    private static func jobSpec(_ spec: JSON, _ path: String, _ problems: inout Problems) {
        for field in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
        {
            problems.notNegative("\(path).\(field)", spec[field])
        }
        problems.choice(
            "\(path).completionMode", spec["completionMode"], ["NonIndexed", "Indexed"], isSorted: false)
        if spec["completionMode"].string == "Indexed", spec["completions"].isNull {
            problems.add(.required("\(path).completions", "when completion mode is Indexed"))
        }
        indexes(spec, path, &problems)
        failures(spec["podFailurePolicy"], "\(path).podFailurePolicy", &problems)
        problems.choice(
            "\(path).podReplacementPolicy", spec["podReplacementPolicy"],
            spec["podFailurePolicy"].isNull ? ["Failed", "TerminatingOrFailed"] : ["Failed"])
        if let manager = spec["managedBy"].string {
            problems.domainPath("\(path).managedBy", manager)
            if manager.utf8.count > 63 { problems.add(.tooLong("\(path).managedBy", maximumBytes: 63)) }
        }
        problems.podTemplate(spec["template"], "\(path).template")
        let policy = spec["template"]["spec"]["restartPolicy"]
        if policy.string == "Always" || policy.isNull {
            problems.add(
                .required("\(path).template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\""))
        }
    }

    /// What only jobs with indexes have.
    private static func indexes(_ spec: JSON, _ path: String, _ problems: inout Problems) {
        let isIndexed = spec["completionMode"].string == "Indexed"
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            problems.notNegative("\(path).\(field)", spec[field])
            if !isIndexed, !spec[field].isNull {
                problems.add(.invalid("\(path).\(field)", spec[field], "requires indexed completion mode"))
            }
        }
        if !spec["maxFailedIndexes"].isNull, spec["backoffLimitPerIndex"].isNull {
            problems.add(.required("\(path).backoffLimitPerIndex", "when maxFailedIndexes is specified"))
        }
        guard isIndexed else { return }
        func most(_ field: String, _ limit: Int, _ condition: String = "") {
            guard let value = spec[field].int, value > limit else { return }
            problems.add(
                .invalid("\(path).\(field)", spec[field], "must be less than or equal to \(limit)\(condition)"))
        }
        most("parallelism", 100_000)
        guard !spec["backoffLimitPerIndex"].isNull, let completions = spec["completions"].int else { return }
        most("maxFailedIndexes", 100_000)
        if let failed = spec["maxFailedIndexes"].int, failed > completions {
            problems.add(
                .invalid(
                    "\(path).maxFailedIndexes", spec["maxFailedIndexes"], "must be less than or equal to completions"))
        }
        guard completions > 100_000 else { return }
        let condition = " when completions are above 100000 and used with backoff limit per index"
        if spec["maxFailedIndexes"].isNull {
            problems.add(.required("\(path).maxFailedIndexes", "must be specified when completions is above 100000"))
        }
        most("maxFailedIndexes", 10_000, condition)
        most("parallelism", 10_000, condition)
    }

    private static func failures(_ policy: JSON, _ path: String, _ problems: inout Problems) {
        for (index, rule) in policy["rules"].elements.enumerated() {
            let field = "\(path).rules[\(index)]"
            problems.choice(
                "\(field).action", rule["action"], ["Count", "FailIndex", "FailJob", "Ignore"], isNeeded: true)
            let codes = rule["onExitCodes"]
            let conditions = rule["onPodConditions"].elements
            if !codes.isNull, !conditions.isEmpty {
                problems.add(.invalid(field, .null, "specifying both OnExitCodes and OnPodConditions is not supported"))
            } else if codes.isNull, conditions.isEmpty {
                problems.add(
                    FieldError(
                        field: field, reason: .invalid,
                        message: "Invalid value: specifying one of OnExitCodes and OnPodConditions is required"))
            }
            if !codes.isNull {
                problems.choice(
                    "\(field).onExitCodes.operator", codes["operator"], ["In", "NotIn"], isNeeded: true)
                problems.need("\(field).onExitCodes.values", codes["values"])
            }
            for (place, condition) in conditions.enumerated() {
                problems.choice(
                    "\(field).onPodConditions[\(place)].status", condition["status"], ["False", "True", "Unknown"],
                    isNeeded: true)
            }
        }
    }

    static func jobUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        let after = new["spec"]
        let before = old["spec"]
        var problems = immutable("spec.selector", after["selector"], before["selector"])
        problems += immutable("spec.completionMode", after["completionMode"], before["completionMode"])
        if after["completionMode"].string != "Indexed" {
            problems += immutable("spec.completions", after["completions"], before["completions"])
        }
        // A job that has not started may still learn where its pods are to run.
        let isOpen = before["suspend"].bool == true && old["status"]["startTime"].isNull
        if !isOpen { problems += immutable("spec.template", after["template"], before["template"]) }
        return problems
    }

    static func cronJob(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        let schedule = spec["schedule"].string ?? ""
        if schedule.isEmpty {
            problems.add(.required("spec.schedule"))
        } else if schedule.contains("TZ") {
            problems.add(
                .invalid(
                    "spec.schedule", .string(schedule),
                    "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
        } else {
            do {
                _ = try CronSchedule(parsing: schedule)
            } catch {
                problems.add(.invalid("spec.schedule", .string(schedule), "\(error)"))
            }
        }
        problems.notNegative("spec.startingDeadlineSeconds", spec["startingDeadlineSeconds"])
        if let zone = spec["timeZone"].string {
            if zone.isEmpty {
                problems.add(.invalid("spec.timeZone", "", "timeZone must be nil or non-empty string"))
            } else if zone == "Local" {
                problems.add(
                    .invalid(
                        "spec.timeZone", "Local",
                        "timeZone must be an explicit time zone as defined in "
                            + "https://www.iana.org/time-zones"))
            } else if TimeZones.rules(zone) == nil, TimeZones.rules("Etc/GMT+1") != nil {
                problems.add(.invalid("spec.timeZone", .string(zone), "unknown time zone \(zone)"))
            }
        }
        problems.choice("spec.concurrencyPolicy", spec["concurrencyPolicy"], ["Allow", "Forbid", "Replace"])
        if (tree["metadata"]["name"].string ?? "").utf8.count > 52 {
            problems.add(.invalid("metadata.name", tree["metadata"]["name"], "must be no more than 52 characters"))
        }
        jobSpec(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", &problems)
        for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            problems.notNegative("spec.\(field)", spec[field])
        }
        return problems.list
    }

    static func selectorUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        immutable("spec.selector", new["spec"]["selector"], old["spec"]["selector"])
    }

    // MARK: Parts

    /// Selector and template, and that they fit.
    private static func selecting(_ spec: JSON, _ problems: inout Problems) {
        let selector = spec["selector"]
        if selector.isNull {
            problems.add(.required("spec.selector"))
        } else {
            let before = problems.list.count
            problems.labelSelector("spec.selector", selector)
            if problems.list.count > before {
                problems.add(.invalid("spec.selector", selector, "invalid label selector"))
            }
            if selector["matchLabels"].members.isEmpty, selector["matchExpressions"].elements.isEmpty {
                problems.add(.invalid("spec.selector", selector, "empty selector is invalid for deployment"))
            }
        }
        if spec["template"].isNull {
            problems.add(.required("spec.template"))
            return
        }
        if !selector.isNull {
            matching(selector, spec["template"]["metadata"]["labels"], "spec.template.metadata.labels", &problems)
        }
        problems.podTemplate(spec["template"], "spec.template")
        onlyAlways(spec, &problems)
        if !spec["template"]["spec"]["activeDeadlineSeconds"].isNull {
            problems.add(
                .forbidden(
                    "spec.template.spec.activeDeadlineSeconds", "activeDeadlineSeconds in ReplicaSet is not Supported"))
        }
    }

    private static func matching(_ selector: JSON, _ labels: JSON, _ field: String, _ problems: inout Problems) {
        guard let parsed = try? LabelSelector(labelSelector: selector) else { return }
        if !parsed.matches(labels.stringMap) { mismatch(labels, field: field, &problems) }
    }

    private static func mismatch(
        _ labels: JSON, field: String = "spec.template.metadata.labels", _ problems: inout Problems
    ) {
        problems.add(
            .invalid(field, labels, "`selector` does not match template `labels`"))
    }

    private static func onlyAlways(_ spec: JSON, _ problems: inout Problems) {
        let policy = spec["template"]["spec"]["restartPolicy"]
        if let text = policy.string, text != "Always" {
            problems.add(.notSupported("spec.template.spec.restartPolicy", policy, ["Always"]))
        }
    }

    private static func rolling(_ update: JSON, _ path: String, _ problems: inout Problems) {
        for field in ["maxUnavailable", "maxSurge"] {
            problems.share("\(path).\(field)", update[field], mostPercent: field == "maxUnavailable" ? 100 : nil)
        }
        if isZero(update["maxUnavailable"]), isZero(update["maxSurge"]) {
            problems.add(
                .invalid("\(path).maxUnavailable", update["maxUnavailable"], "may not be 0 when `maxSurge` is 0"))
        }
    }
}
