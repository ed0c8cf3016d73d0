import JSON
import Ledger
import MesosModel

/// Between Mesos's resources and what the ledger counts.
extension Resources {
    /// A list of `Resource` messages; null is nothing.
    init(_ json: JSON) throws(MesosError) {
        try self.init(trees: json.elements)
    }

    /// A list of `Resource` messages with stacks of reservations.
    var json: JSON { .array(trees) }

    /// The list as operators see it.
    var forOperators: JSON { .array(trees.map(LegacyResources.inBothForms)) }

    /// The list in the form that a framework knows.
    func json(for framework: FrameworkRecord) -> JSON {
        let shown = framework.isMultiRole ? self : unallocated
        return .array(shown.trees(isRefined: framework.capabilities.contains("RESERVATION_REFINEMENT")))
    }

    /// What of a node's free amounts Mesos can give out: no port among it.
    static func unreserved(of vector: ResourceVector) -> Resources {
        var resources = Resources()
        func add(_ name: String, _ thousandths: Int64) {
            if thousandths > 0 { resources.add(MesosResource(name, .scalar(thousandths))) }
        }
        add("cpus", vector.milliCPU)
        add("mem", max(vector.memory, 0) >> 20 * 1000)
        add("disk", max(vector.ephemeralStorage, 0) >> 20 * 1000)
        add("gpus", vector["nvidia.com/gpu"] * 1000)
        return resources
    }

    /// Unreserved ports.
    static func ports(_ ranges: [ClosedRange<Int>]) -> Resources {
        let spans = ranges.filter { $0.lowerBound >= 0 }
            .map { ValueRanges.Span(UInt64($0.lowerBound), UInt64($0.upperBound)) }
        return spans.isEmpty ? Resources() : Resources([MesosResource("ports", .ranges(ValueRanges(spans)))])
    }

    /// The amounts in the ledger's units.
    var vector: ResourceVector {
        // No more than 4 exbibytes: the product fits.
        let sums = scalarQuantities.mapValues { min($0, 1 << 42) }
        var vector = ResourceVector(
            milliCPU: sums["cpus"] ?? 0, memory: (sums["mem"] ?? 0) * 1_048_576 / 1000,
            ephemeralStorage: (sums["disk"] ?? 0) * 1_048_576 / 1000)
        if let gpus = sums["gpus"], gpus >= 1000 { vector["nvidia.com/gpu"] = gpus / 1000 }
        return vector
    }

    var portRanges: [ClosedRange<Int>] {
        ports.spans.map { Int(clamping: $0.begin)...Int(clamping: $0.end) }
    }

    /// All that is reserved for somebody.
    var reservedPart: Resources { filter { !$0.reservations.isEmpty } }

    /// What one alone can use.
    var exclusive: Resources { filter { !$0.isShared } }
    /// What has no files that outlive their user.
    var withoutVolumes: Resources { filter { !$0.isPersistentVolume } }

    /// What is reserved for a role, or for one above it.
    func reserved(usableBy role: String) -> Resources {
        filter { $0.reservationRole.map { MesosRoles.mayUse(role, reservation: $0) } ?? false }
    }
}
