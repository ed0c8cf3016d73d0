import ContainerRuntime
import Logging
import ObjectModel

/// Removes images that no container uses when the disk fills up: from 85 % down to 80 %, those used longest ago first.
actor ImageCollector {
    static let high = 85
    static let low = 80
    /// An image that came just now is about to be used.
    static let minimumAge: Duration = .seconds(120)

    /// What is known of one image.
    struct Record: Sendable, Hashable {
        var id: String
        var size: Int
        var firstSeen: Timestamp
        var lastUsed: Timestamp?
    }
    private let runtime: any Runtime
    private let logger: Logger
    private var known: [String: (first: Timestamp, used: Timestamp?)] = [:]

    init(runtime: any Runtime, logger: Logger) {
        self.runtime = runtime
        self.logger = logger
    }

    /// Images to remove, in order, until enough is freed. Pure.
    static func choose(_ records: [Record], bytes: Int, now: Timestamp) -> [Record] {
        var freed = 0
        var chosen: [Record] = []
        let ordered = records.filter { now - $0.firstSeen >= minimumAge }.sorted {
            ($0.lastUsed ?? Timestamp(seconds: 0), $0.firstSeen, $0.id)
                < ($1.lastUsed ?? Timestamp(seconds: 0), $1.firstSeen, $1.id)
        }
        for record in ordered where freed < bytes {
            freed += record.size
            chosen.append(record)
        }
        return chosen
    }

    /// Looks at what images there are, and frees space when the disk is too full.
    /// - Returns: what to tell when too little could be freed.
    func collect(used: Int, capacity: Int) async -> String? {
        guard let unused = await unused() else { return nil }
        guard used * 100 >= capacity * Self.high else { return nil }
        let wanted = used - capacity * Self.low / 100
        let freed = await remove(Self.choose(unused, bytes: wanted, now: .now))
        guard freed < wanted else { return nil }
        return "Failed to garbage collect required amount of images. Attempted to free \(wanted) bytes, "
            + "but only found \(freed) bytes eligible to free."
    }

    /// Frees all that can be freed.
    /// - Parameter names: images that stay, as users write them.
    func removeUnused(keeping names: Set<String> = []) async {
        guard let unused = await unused(keeping: Set(names.map(Self.canonical))) else { return }
        _ = await remove(unused)
    }

    private static func canonical(_ name: String) -> String { ImageName(name)?.canonical ?? name }

    private func unused(keeping kept: Set<String> = []) async -> [Record]? {
        guard let images = try? await runtime.images(), let containers = try? await runtime.containers(labels: [:])
        else { return nil }
        let now = Timestamp.now
        let used = Set(containers.map(\.image))
        var result: [Record] = []
        var next: [String: (first: Timestamp, used: Timestamp?)] = [:]
        for image in images {
            let names = [image.id] + image.tags + image.digests
            var record = known[image.id] ?? (first: now, used: nil)
            let isUsed = names.contains(where: used.contains)
            if isUsed { record.used = now }
            next[image.id] = record
            let isKept = !kept.isEmpty && names.contains { kept.contains(Self.canonical($0)) }
            if !isUsed, !image.isPinned, !isKept {
                result.append(
                    Record(
                        id: image.id, size: Int(clamping: image.sizeBytes), firstSeen: record.first,
                        lastUsed: record.used))
            }
        }
        known = next
        return result
    }

    private func remove(_ records: [Record]) async -> Int {
        var freed = 0
        for record in records {
            do {
                try await runtime.removeImage(record.id)
                freed += record.size
                known[record.id] = nil
                logger.info("removed an unused image", metadata: ["image": "\(record.id)", "bytes": "\(record.size)"])
            } catch {
                logger.warning(
                    "an image cannot be removed", metadata: ["image": "\(record.id)", "error": "\(error)"])
            }
        }
        return freed
    }
}
