import ClusterClient
import JSON
import Logging
import ObjectModel

/// An extension: keeps the number of instances where their use of CPU or memory is what the app's policy asks for.
struct Autoscaler: Sendable {
    private static let metrics = GroupVersionResource(group: "metrics.k8s.io", version: "v1beta1", resource: "pods")
    /// Use within a tenth of the target changes nothing.
    private static let tolerance = 0.1

    let state: MarathonState
    let changes: Changes
    let client: ClusterClient
    let logger: Logger

    func run() async {
        while (try? await Task.sleep(for: .seconds(15))) != nil {
            let scaled = state.apps.all.filter { !$0.spec.json["autoscaling"].isNull && $0.isAdopted }.map(\.spec)
            guard !scaled.isEmpty else { continue }
            var use: [ObjectKey: Object] = [:]
            do {
                for metrics in try await client.list(Self.metrics).items { use[metrics.key] = metrics }
            } catch {
                logger.warning("the use of instances cannot be measured", metadata: ["error": "\(error)"])
                continue
            }
            for spec in scaled {
                do {
                    try await look(spec, use)
                } catch {
                    logger.debug("an app cannot be scaled", metadata: ["app": "\(spec.id)", "error": "\(error)"])
                }
            }
        }
    }

    private func look(_ spec: RunSpec, _ use: [ObjectKey: Object]) async throws {
        guard state.deployments(of: spec.id).isEmpty else { return }
        let running = state.instances(of: spec.id).filter(\.isRunning)
        var used: (cpu: Double, memory: Double, count: Int) = (0, 0, 0)
        for instance in running {
            guard let metrics = use[instance.key] else { continue }
            used.count += 1
            for container in metrics.tree["containers"].elements {
                used.cpu += Quantity(container["usage"]["cpu"])?.doubleValue ?? 0
                used.memory += Quantity(container["usage"]["memory"])?.doubleValue ?? 0
            }
        }
        guard used.count > 0, used.count == running.count else { return }
        let wanted = Self.instances(
            spec, cpu: used.cpu / Double(used.count), memory: used.memory / Double(used.count), running: used.count)
        guard wanted != spec.instances else { return }
        _ = try await changes.submit("App", force: false, by: .all) { definitions, _ in
            var change = DefinitionChange()
            guard var current = definitions.spec(spec.id), current.version == spec.version else { return change }
            current.instances = wanted
            change.specs[spec.id] = .some(current)
            return change
        }
    }

    /// How many instances the policy wants.
    /// - Parameters:
    ///   - cpu: cores that one instance uses on average.
    ///   - memory: bytes.
    static func instances(_ spec: RunSpec, cpu: Double, memory: Double, running: Int) -> Int {
        let policy = spec.json["autoscaling"]
        var ratios: [Double] = []
        if let target = policy["targetCpuPercent"].double, let cpus = spec.json["cpus"].double, cpus > 0 {
            ratios.append(cpu / cpus * 100 / target)
        }
        if let target = policy["targetMemPercent"].double, let mem = spec.json["mem"].double, mem > 0 {
            ratios.append(memory / (mem * 1_048_576) * 100 / target)
        }
        let ratio = ratios.max() ?? 1
        let wanted = abs(ratio - 1) <= tolerance ? spec.instances : Int(bounded: (Double(running) * ratio).rounded(.up))
        return min(max(wanted, policy["minInstances"].int ?? 1), policy["maxInstances"].int ?? wanted)
    }
}
