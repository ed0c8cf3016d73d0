import JSON
import ObjectModel
import Synchronization

/// Apps as the API answers them: the definition with what runs of it.
struct AppInfo: Sendable {
    let state: MarathonState
    let readiness: ReadinessKeeper

    func json(_ spec: RunSpec, _ embedding: Embedding) -> JSON {
        var json = spec.document
        let instances = state.instances(of: spec.id)
        if embedding.counts {
            let counts = Counts(instances.filter(\.isBound), spec)
            json["tasksStaged"] = JSON(counts.staged)
            json["tasksRunning"] = JSON(counts.running)
            json["tasksHealthy"] = JSON(counts.healthy)
            json["tasksUnhealthy"] = JSON(counts.unhealthy)
        }
        if embedding.deployments {
            json["deployments"] = .array(state.deployments(of: spec.id).map { ["id": .string($0.id)] })
        }
        if embedding.readiness { json["readinessCheckResults"] = .array(readiness.results(spec.id)) }
        if embedding.tasks { json["tasks"] = .array(tasks(instances, spec)) }
        if embedding.lastTaskFailure { json.setMember("lastTaskFailure", TaskJSON.lastFailure(instances, state)) }
        if embedding.taskStats { json["taskStats"] = stats(instances, spec) }
        return json
    }

    /// Tasks that run or will: what ended is no task any more.
    func tasks(_ instances: [Instance], _ spec: RunSpec?) -> [JSON] {
        instances.filter { $0.isBound && !$0.isTerminal }.sorted { $0.id < $1.id }.flatMap { instance in
            instance.tasks.map { TaskJSON.task($0, of: instance, spec, state) }
        }
    }

    private struct Counts {
        var staged = 0
        var running = 0
        var healthy = 0
        var unhealthy = 0

        init(_ instances: [Instance], _ spec: RunSpec) {
            let check = spec.healthChecks.first ?? .null
            let now = Timestamp.now
            for instance in instances where !instance.isTerminal {
                if instance.isTerminating { continue }
                if instance.isRunning { running += 1 } else { staged += 1 }
                switch instance.isHealthy {
                case true: healthy += 1
                case false where instance.isRunning:
                    let failures = instance.failures(
                        interval: check["intervalSeconds"].double ?? 60,
                        grace: check["gracePeriodSeconds"].double ?? 300, now: now)
                    if instance.hasFailed || failures > 0 { unhealthy += 1 }
                default: break
                }
            }
        }
        var json: JSON {
            ["staged": JSON(staged), "running": JSON(running), "healthy": JSON(healthy), "unhealthy": JSON(unhealthy)]
        }
    }

    private func stats(_ instances: [Instance], _ spec: RunSpec) -> JSON {
        let bound = instances.filter { $0.isBound && !$0.isTerminal }
        let now = Timestamp.now
        func summary(_ chosen: [Instance]) -> JSON {
            let ages = chosen.compactMap(\.startedAt).map { (now - $0) / .seconds(1) }.sorted()
            var stats: JSON = ["counts": Counts(chosen, spec).json]
            if !ages.isEmpty {
                let middle = ages.count / 2
                let median = ages.count % 2 == 1 ? ages[middle] : (ages[middle - 1] + ages[middle]) / 2
                stats["lifeTime"] = [
                    "averageSeconds": .double(ages.reduce(0, +) / Double(ages.count)), "medianSeconds": .double(median),
                ]
            }
            return ["stats": stats]
        }
        var json: JSON = .object([:])
        func put(_ name: String, _ chosen: [Instance]) { if !chosen.isEmpty { json[name] = summary(chosen) } }
        put("startedAfterLastScaling", bound.filter { $0.version >= spec.lastScaling })
        put("withLatestConfig", bound.filter { spec.isCurrent($0.version) })
        put("withOutdatedConfig", bound.filter { !spec.isCurrent($0.version) })
        put("totalSummary", bound)
        return json
    }
}

extension Instance {
    /// Was healthy and is no more, or never was although its first checks are over.
    var hasFailed: Bool {
        guard let startedAt, let readySince else { return false }
        return readySince > startedAt + .seconds(1)
    }
}

/// Encoded apps for the list of all: made once for each state of an app.
final class AppCache: Sendable {
    private struct Stamp: Hashable {
        var definition: Revision
        var uid: String
        var instances: Int
        var newest: Revision
        var deployments: [String]
        var embedding: Embedding
    }
    private struct Entry {
        var stamp: Stamp
        var bytes: [UInt8]
    }
    private let entries = Mutex<[PathID: Entry]>([:])
    private let info: AppInfo

    init(_ info: AppInfo) { self.info = info }

    /// `{"apps": […]}`.
    func list(_ specs: [(spec: RunSpec, object: Object)], _ embedding: Embedding) -> [UInt8] {
        var out = Array("{\"apps\":[".utf8)
        // Statistics and failures of checks change with time alone.
        let isCacheable = !embedding.taskStats && !embedding.tasks && !embedding.readiness
        for (index, item) in specs.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            out.append(
                contentsOf: isCacheable
                    ? bytes(item.spec, item.object, embedding) : info.json(item.spec, embedding).encoded())
        }
        out.append(contentsOf: Array("]}".utf8))
        forget(besides: specs.count)
        return out
    }

    private func bytes(_ spec: RunSpec, _ object: Object, _ embedding: Embedding) -> [UInt8] {
        let instances = info.state.instances(of: spec.id)
        // Failures of checks are counted by the clock.
        if instances.contains(where: { $0.hasHealthChecks && $0.isRunning && !$0.isReady }) {
            return info.json(spec, embedding).encoded()
        }
        let stamp = Stamp(
            definition: object.metadata.resourceVersion, uid: object.uid, instances: instances.count,
            newest: instances.map(\.object.metadata.resourceVersion).max() ?? 0,
            deployments: info.state.deployments(of: spec.id).map(\.id), embedding: embedding)
        if let known = entries.withLock({ $0[spec.id] }), known.stamp == stamp { return known.bytes }
        let made = info.json(spec, embedding).encoded()
        entries.withLock { $0[spec.id] = Entry(stamp: stamp, bytes: made) }
        return made
    }

    /// Apps that are gone leave entries; they are dropped when they are many.
    private func forget(besides count: Int) {
        entries.withLock { entries in if entries.count > 2 * info.state.apps.count + 1000 { entries = [:] } }
    }
}
