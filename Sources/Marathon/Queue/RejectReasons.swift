import JSON
import ObjectModel

/// Why nodes did not take instances, in Marathon's words, from what the scheduler says of their pods.
enum RejectReasons {
    static let all = [
        "UnfulfilledRole", "UnfulfilledConstraint", "NoCorrespondingReservationFound", "AgentMaintenance",
        "DeclinedScarceResources", "InsufficientCpus", "InsufficientMemory", "InsufficientDisk", "InsufficientGpus",
        "InsufficientPorts",
    ]
    private static let words: [(text: String, reason: String)] = [
        ("Marathon constraint", "UnfulfilledConstraint"), ("free host ports", "InsufficientPorts"),
        ("free ports", "InsufficientPorts"), ("Insufficient cpu", "InsufficientCpus"),
        ("Insufficient memory", "InsufficientMemory"), ("Insufficient ephemeral-storage", "InsufficientDisk"),
        ("nvidia.com/gpu", "InsufficientGpus"), ("unschedulable", "AgentMaintenance"),
        ("untolerated taint", "AgentMaintenance"), ("resource role", "UnfulfilledRole"),
        ("node affinity/selector", "UnfulfilledRole"), ("reserv", "NoCorrespondingReservationFound"),
    ]

    /// The number of nodes by reason: `0/3 nodes are available: 2 Insufficient cpu, 1 …`.
    static func counts(in message: String) -> (total: Int, byReason: [String: Int]) {
        var total = 0
        var byReason: [String: Int] = [:]
        if let first = message.split(separator: " ").first, let slash = first.firstIndex(of: "/") {
            total = Int(first[first.index(after: slash)...]) ?? 0
        }
        let parts = message.split(separator: ":", maxSplits: 1)
        let rest = (parts.count > 1 ? parts[1] : Substring(message)).split(separator: ". preemption").first ?? ""
        for part in rest.split(separator: ",") {
            guard let entry = words.first(where: { part.contains($0.text) }) else { continue }
            let number = part.split(separator: " ").first.flatMap { Int($0) } ?? max(total, 1)
            byReason[entry.reason, default: 0] += number
        }
        return (max(total, byReason.values.max() ?? 0), byReason)
    }

    /// `processedOffersSummary` of a queue item.
    static func summary(_ pending: [Instance], since: Timestamp) -> JSON {
        var total = 0
        var declined: [String: Int] = [:]
        for message in pending.compactMap(\.pendingReason) {
            let counts = counts(in: message)
            total = max(total, counts.total)
            for (reason, number) in counts.byReason { declined[reason] = max(declined[reason] ?? 0, number) }
        }
        // The funnel: what one reason rejects the next does not see.
        var left = total
        let reasons = all.map { reason -> JSON in
            let number = min(declined[reason] ?? 0, max(left, declined[reason] ?? 0))
            defer { left = max(0, left - number) }
            return ["reason": .string(reason), "declined": JSON(number), "processed": JSON(max(left, number))]
        }
        var summary: JSON = [
            "processedOffersCount": JSON(total), "unusedOffersCount": JSON(min(total, declined.values.reduce(0, +))),
            "rejectSummaryLastOffers": .array(reasons), "rejectSummaryLaunchAttempt": .array(reasons),
        ]
        if total > 0 { summary["lastUnusedOfferAt"] = .string(since.milliText) }
        return summary
    }
}
