public import JSON

/// What an offer operation does to the resources of an agent: some go, others come instead.
public struct OperationEffect: Sendable, Equatable {
    /// What must be there and goes.
    public var consumed: Resources
    /// What comes instead; nothing for launches.
    public var converted: Resources

    /// The effect of RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME, SHRINK_VOLUME, LAUNCH or LAUNCH_GROUP.
    ///
    /// - Parameter operation: an `Offer.Operation` message.
    /// - Parameter role: the role of the offers; put on resources that do not say to whom they are allocated. Nil for
    ///   operators' operations, which are about resources that are allocated to nobody.
    /// - Parameter runningExecutors: ids of executors whose own resources a LAUNCH does not take again.
    /// - Throws: `MesosError` with the reason when the operation breaks a rule by itself.
    public init(of operation: JSON, role: String?, runningExecutors: Set<String> = []) throws(MesosError) {
        func read(_ trees: [JSON]) throws(MesosError) -> Resources {
            let resources = try Resources(trees: trees)
            return role.map { resources.allocated(to: $0, keepsExisting: true) } ?? resources
        }
        let type = operation["type"].string ?? "UNKNOWN"
        switch type {
        case "LAUNCH":
            consumed = Resources()
            converted = Resources()
            var started = runningExecutors
            for task in operation["launch"]["task_infos"].elements {
                consumed += try read(task["resources"].elements)
                let executor = task["executor"]
                if let id = executor["executor_id"]["value"].string, started.insert(id).inserted {
                    consumed += try read(executor["resources"].elements)
                }
            }
        case "LAUNCH_GROUP":
            let group = operation["launch_group"]
            consumed = Resources()
            converted = Resources()
            if let id = group["executor"]["executor_id"]["value"].string, !runningExecutors.contains(id) {
                consumed += try read(group["executor"]["resources"].elements)
            }
            for task in group["task_group"]["tasks"].elements { consumed += try read(task["resources"].elements) }
        case "RESERVE":
            converted = try read(operation["reserve"]["resources"].elements)
            let source = operation["reserve"]["source"].elements
            try Self.require(!converted.isEmpty, type, "there are no resources")
            try Self.require(
                converted.resources.allSatisfy { $0.reservations.last?.isDynamic ?? false }, type,
                "resources must be dynamically reserved")
            try Self.require(
                converted.resources.allSatisfy { !$0.isPersistentVolume }, type,
                "a persistent volume must already be reserved")
            consumed = source.isEmpty ? converted.poppingReservation : try read(source)
            if !source.isEmpty {
                for part in [consumed, converted] {
                    try Self.require(
                        part.resources.allSatisfy { $0.reservations == part.first?.reservations }, type,
                        "mixed reservations are not supported")
                }
            }
            try Self.require(
                consumed.flattened == converted.flattened, type, "source and resources must have the same amounts")
        case "UNRESERVE":
            consumed = try read(operation["unreserve"]["resources"].elements)
            try Self.require(!consumed.isEmpty, type, "there are no resources")
            try Self.require(
                consumed.resources.allSatisfy { $0.reservations.last?.isDynamic ?? false }, type,
                "resources are not dynamically reserved")
            try Self.require(
                consumed.persistentVolumes.isEmpty, type,
                "a dynamically reserved persistent volume cannot be unreserved directly; destroy it first")
            converted = consumed.poppingReservation
        case "CREATE":
            converted = try read(operation["create"]["volumes"].elements)
            try Self.require(!converted.isEmpty, type, "there are no volumes")
            for volume in converted.resources { try Self.validate(volume: volume, type) }
            consumed = converted.map(\.withoutVolume)
        case "DESTROY":
            consumed = try read(operation["destroy"]["volumes"].elements)
            try Self.require(!consumed.isEmpty, type, "there are no volumes")
            try Self.require(
                consumed.resources.allSatisfy(\.isPersistentVolume), type, "resources are not persistent volumes")
            converted = consumed.map(\.withoutVolume)
        case "GROW_VOLUME":
            let volume = try read([operation["grow_volume"]["volume"]])
            let addition = try read([operation["grow_volume"]["addition"]])
            (consumed, converted) = (volume + addition, try Self.resized(volume, by: addition.first, 1, type))
            try Self.require(
                addition.first == volume.first?.withoutVolume.withAmount(of: addition.first), type,
                "the addition must be of the same disk and reservation as the volume")
        case "SHRINK_VOLUME":
            let shrink = operation["shrink_volume"]
            consumed = try read([shrink["volume"]])
            let amount = MesosResource.thousandths(shrink["subtract"]["value"].double ?? 0)
            try Self.require(amount > 0, type, "what is subtracted must be greater than zero")
            var freed = consumed.first?.withoutVolume
            freed?.amount = .scalar(amount)
            converted = try Self.resized(consumed, by: freed, -1, type)
            if let freed { converted.add(freed) }
        case "CREATE_DISK", "DESTROY_DISK":
            throw MesosError(.invalid, "\(type) needs a storage resource provider; there is none on this agent")
        default: throw MesosError(.invalid, "Operation type \(type) is not known")
        }
    }

    private static func require(_ holds: Bool, _ type: String, _ reason: String) throws(MesosError) {
        if !holds { throw MesosError(.invalid, "Invalid \(type) operation: \(reason)") }
    }

    private static func validate(volume: MesosResource, _ type: String) throws(MesosError) {
        let disk = volume.disk ?? .null
        try require(volume.isPersistentVolume, type, "'persistence' is not set in DiskInfo")
        try require(!volume.isRevocable, type, "persistent volumes cannot be created from revocable resources")
        try require(
            !volume.reservations.isEmpty, type, "persistent volumes cannot be created from unreserved resources")
        let id = disk["persistence"]["id"].string ?? ""
        try require(MesosIDs.problem(id) == nil, type, "the persistence id '\(id)' is not valid")
        try require(!disk["volume"].isNull, type, "expecting 'volume' to be set for persistent volume")
        try require(disk["volume"]["mode"].string != "RO", type, "read-only persistent volume not supported")
        try require(disk["volume"]["host_path"].isNull, type, "expecting 'host_path' to be unset for persistent volume")
        let path = disk["volume"]["container_path"].string ?? ""
        try require(
            !path.isEmpty && !path.split(separator: "/").contains(".."), type,
            "the container path '\(path)' of a persistent volume must stay inside the container")
    }

    private static func resized(
        _ volume: Resources, by change: MesosResource?, _ sign: Int64, _ type: String
    ) throws(MesosError) -> Resources {
        guard var result = volume.first, result.isPersistentVolume, volume.resources.count == 1 else {
            throw MesosError(.invalid, "Invalid \(type) operation: it is about one persistent volume")
        }
        try require(!result.isShared, type, "growing or shrinking a shared persistent volume is not supported")
        try require(
            result.diskSource == nil || result.diskSource == "PATH", type,
            "volumes of a \(result.diskSource ?? "") disk cannot be resized")
        guard case .scalar(let size) = result.amount, case .scalar(let more)? = change?.amount,
            size.addingSaturated(sign * more) > 0
        else { throw MesosError(.invalid, "Invalid \(type) operation: the size would not be greater than zero") }
        result.amount = .scalar(size.addingSaturated(sign * more))
        return Resources([result])
    }
}

extension MesosResource {
    /// The disk that a persistent volume is made of.
    var withoutVolume: MesosResource {
        var copy = self
        copy.isShared = false
        guard let source = disk?["source"], !source.isNull else {
            copy.disk = nil
            return copy
        }
        copy.disk = ["source": source]
        return copy
    }
    func withAmount(of other: MesosResource?) -> MesosResource {
        var copy = self
        if let other { copy.amount = other.amount }
        return copy
    }
}

extension Resources {
    var first: MesosResource? { entries.first?.resource }

    /// Applies an operation's effect to what there is.
    /// - Throws: `MesosError` when what it consumes is not all there; nothing is changed then.
    public mutating func apply(_ effect: OperationEffect) throws(MesosError) {
        guard contains(effect.consumed) else {
            throw MesosError(.invalid, "\(effect.consumed) is not contained in \(self)")
        }
        self -= effect.consumed
        self += effect.converted
    }
}
