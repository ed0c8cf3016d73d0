import JSON
import ObjectModel

/// What the controller reads of a Job; decoded when it is worked on.
struct JobView: Sendable {
    let object: Object
    let parallelism: Int
    /// Nil: a work queue, done when one pod succeeded and all ended.
    let completions: Int?
    let isIndexed: Bool
    let isSuspended: Bool
    let backoffLimit: Int
    let activeDeadlineSeconds: Int?
    let ttlSeconds: Int?
    /// A replacement is made only when the pod has ended, not when it begins to.
    let replacesOnlyFailed: Bool
    let failureRules: [JSON]
    /// Failures of one index before it is given up; nil: failures count for the whole job.
    let backoffLimitPerIndex: Int?
    let maxFailedIndexes: Int?
    let successRules: [JSON]
    /// Containers are restarted in their pod.
    let restartsInPlace: Bool
    let startTime: Timestamp?
    let conditions: Conditions

    init(_ object: Object) {
        self.object = object
        let tree = object.tree
        let spec = tree["spec"]
        parallelism = spec["parallelism"].int ?? 1
        completions = spec["completions"].int ?? (spec["parallelism"].isNull ? 1 : nil)
        isIndexed = spec["completionMode"].string == "Indexed"
        isSuspended = spec["suspend"].bool ?? false
        backoffLimit = spec["backoffLimit"].int ?? 6
        activeDeadlineSeconds = spec["activeDeadlineSeconds"].int
        ttlSeconds = spec["ttlSecondsAfterFinished"].int
        replacesOnlyFailed = spec["podReplacementPolicy"].string == "Failed"
        failureRules = spec["podFailurePolicy"]["rules"].elements
        backoffLimitPerIndex = spec["backoffLimitPerIndex"].int
        maxFailedIndexes = spec["maxFailedIndexes"].int
        successRules = spec["successPolicy"]["rules"].elements
        restartsInPlace = spec["template"]["spec"]["restartPolicy"].string == "OnFailure"
        startTime = tree["status"]["startTime"].string.flatMap { Timestamp($0) }
        conditions = Conditions(tree["status"]["conditions"])
    }

    /// When it became Complete or Failed.
    var finished: Timestamp? {
        for type in ["Complete", "Failed"] where conditions.isTrue(type) {
            return conditions[type]?["lastTransitionTime"].string.flatMap { Timestamp($0) } ?? Timestamp(seconds: 0)
        }
        return nil
    }
    /// Whether somebody else runs this job.
    var isManagedElsewhere: Bool {
        let manager = object.tree["spec"]["managedBy"].string
        return manager != nil && manager != "kubernetes.io/job-controller"
    }
}

/// Decisions of the job controller. Pure.
enum JobPlan {
    enum Outcome: Sendable, Hashable {
        case running
        case complete(reason: String, message: String)
        case failed(reason: String, message: String)
    }

    /// - Parameters:
    ///   - failed: pods that count against the backoff limit.
    ///   - restarts: of containers in pods that go on.
    ///   - completed: indexes that succeeded.
    ///   - givenUp: indexes that failed too often.
    ///   - policyFailure: message of a failure policy rule that fails the job.
    static func outcome(
        of job: JobView, succeeded: Int, failed: Int, active: Int, restarts: Int = 0, completed: Set<Int> = [],
        givenUp: Set<Int> = [], policyFailure: String?, now: Timestamp
    ) -> Outcome {
        if let policyFailure { return .failed(reason: "PodFailurePolicy", message: policyFailure) }
        let restartsTooOften =
            job.restartsInPlace && (job.backoffLimit == 0 ? restarts > 0 : restarts >= job.backoffLimit)
        if failed > job.backoffLimit || restartsTooOften {
            return .failed(
                reason: "BackoffLimitExceeded", message: "Job has reached the specified backoff limit")
        }
        if let deadline = job.activeDeadlineSeconds, let start = job.startTime, !job.isSuspended,
            start + .seconds(deadline) <= now
        {
            return .failed(
                reason: "DeadlineExceeded", message: "Job was active longer than specified deadline")
        }
        if job.isIndexed {
            for (index, rule) in job.successRules.enumerated() where isMet(rule, completed) {
                return .complete(reason: "SuccessPolicy", message: "Matched rules at index \(index)")
            }
        }
        if job.backoffLimitPerIndex != nil, !givenUp.isEmpty {
            if let most = job.maxFailedIndexes, givenUp.count > most {
                return .failed(
                    reason: "MaxFailedIndexesExceeded",
                    message: "Job has exceeded the specified maximal number of failed indexes")
            }
            if let completions = job.completions, givenUp.union(completed).count >= completions {
                return .failed(reason: "FailedIndexes", message: "Job has failed indexes")
            }
        }
        let reached = job.completions.map { succeeded >= $0 } ?? (succeeded > 0 && active == 0)
        if reached {
            return .complete(reason: "CompletionsReached", message: "Reached expected number of succeeded pods")
        }
        return .running
    }

    /// A success rule: enough of the named indexes, all of them when no number is given.
    private static func isMet(_ rule: JSON, _ completed: Set<Int>) -> Bool {
        let named = rule["succeededIndexes"].string.map(indexes)
        let found = named.map(completed.intersection) ?? completed
        return found.count >= rule["succeededCount"].int ?? named?.count ?? .max
    }

    /// How many pods should be active now.
    /// - Parameter givenUp: indexes for which none is made any more.
    static func wanted(of job: JobView, succeeded: Int, active: Int, givenUp: Int = 0) -> Int {
        if job.isSuspended { return 0 }
        guard let completions = job.completions else {
            // A work queue makes no new pods once one has succeeded.
            return succeeded > 0 ? active : job.parallelism
        }
        return min(max(completions - succeeded - givenUp, 0), job.parallelism)
    }

    /// What a failure policy says about a failed pod: the first rule that applies.
    enum PolicyAction: Sendable, Hashable {
        case count
        case ignore
        case failJob(String)
        /// Gives the pod's index up, however often it may fail.
        case failIndex
    }

    static func policy(_ rules: [JSON], pod: JSON) -> PolicyAction {
        for (index, rule) in rules.enumerated() where applies(rule, pod) {
            switch rule["action"].string {
            case "Ignore": return .ignore
            case "FailIndex": return .failIndex
            case "FailJob":
                let namespace = pod["metadata"]["namespace"].string ?? ""
                let name = pod["metadata"]["name"].string ?? ""
                return .failJob("Pod \(namespace)/\(name) failed, matching FailJob rule at index \(index)")
            default: return .count
            }
        }
        return .count
    }

    private static func applies(_ rule: JSON, _ pod: JSON) -> Bool {
        let codes = rule["onExitCodes"]
        if !codes.isNull {
            let wanted = codes["values"].elements.compactMap(\.int)
            let isIn = codes["operator"].string == "In"
            let statuses = pod["status"]["initContainerStatuses"].elements + pod["status"]["containerStatuses"].elements
            return statuses.contains { status in
                if let name = codes["containerName"].string, name != status["name"].string { return false }
                guard let code = status["state"]["terminated"]["exitCode"].int, code != 0 else { return false }
                return wanted.contains(code) == isIn
            }
        }
        let conditions = pod["status"]["conditions"].elements
        return rule["onPodConditions"].elements.contains { pattern in
            conditions.contains {
                $0["type"] == pattern["type"] && $0["status"].string == pattern["status"].string ?? "True"
            }
        }
    }

    /// Wait before the next pod after failures: 10 s doubling to 10 minutes.
    static func backoff(failures: Int) -> Duration {
        failures > 0 ? .seconds(min(10 << min(failures - 1, 6), 600)) : .zero
    }

    /// `0,2-4` as numbers.
    static func indexes(_ text: String) -> Set<Int> {
        var found: Set<Int> = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last, last - first < 1_000_000,
                last < 1 << 32, found.count < 1_000_000
            else {
                continue
            }
            found.formUnion(first...last)
        }
        return found
    }

    /// Numbers as `0,2-4`.
    static func text(_ indexes: Set<Int>) -> String {
        var parts: [String] = []
        var run: ClosedRange<Int>?
        func close() {
            guard let run else { return }
            parts.append(
                run.count == 1
                    ? "\(run.lowerBound)"
                    : run.count == 2
                        ? "\(run.lowerBound),\(run.upperBound)" : "\(run.lowerBound)-\(run.upperBound)")
        }
        for index in indexes.sorted() {
            if let current = run, current.upperBound + 1 == index {
                run = current.lowerBound...index
            } else {
                close()
                run = index...index
            }
        }
        close()
        return parts.joined(separator: ",")
    }
}
