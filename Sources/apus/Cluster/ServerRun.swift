import APIServer
import ArgumentParser
import ClusterDNS
import Glibc
import Logging
import ObjectModel
import Security
import ServiceLifecycle
import Store

/// `apus up` and `apus server` once their options are known: checks the machine, runs the parts until a signal ends them.
struct ServerRun {
    let cluster: ClusterOptions
    let options: ServingOptions
    /// Nil when this machine is no node.
    let node: NodeOptions?
    let windows: WindowOptions
    let parts: Set<ClusterPart>

    func run() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let lookup = try cluster.lookup()
        let logger = try Self.logger(lookup.string("log-level", flag: options.logLevel))
        let plan = try await prepare(lookup)
        Self.say("starting cluster \(plan.identity.clusterID) in \(plan.data.path)")

        let process: ClusterProcess
        do {
            process = try await ClusterProcess.start(plan, logger: logger)
        } catch let error as StoreError {
            throw UserError("the store in \(plan.data.sub("store")) cannot be used: \(error)")
        } catch let error as SecurityError {
            throw UserError("\(error)")
        }
        let announcer = Announcer(process: process, start: start)
        var configuration = ServiceGroupConfiguration(
            services: (process.services + [announcer]).map {
                .init(
                    service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(20)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch {
            // A start that failed leaves no containerd behind; one with workloads goes on, as after every stop.
            await process.containerd?.stopIfIdle()
            await process.store.close()
            switch error {
            case let error as APIServerError: throw UserError("\(error)")
            case let error as DNSPortInUse: throw UserError("\(error)")
            default: throw error
            }
        }
        await process.store.close()
        Self.say(
            plan.parts.contains(.node)
                ? "stopped; workloads and services go on (end them with `apus down --data-dir \(plan.data.path)`)"
                : "stopped")
    }

    /// Checks the machine and takes the data directory.
    private func prepare(_ lookup: SettingsLookup) async throws -> ClusterPlan {
        // Node agents hold many sockets and files; the soft limit is often 1024.
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        signal(SIGPIPE, SIG_IGN)
        let data = DataDirectory(path: cluster.dataDirectory(lookup))
        let recorded = try data.identity()
        if recorded == nil { try data.requireNotForeign() }
        let registry = ClusterRegistry()
        var plan = try ClusterPlan.make(
            options, node, parts: parts, lookup: lookup, data: data, recorded: recorded, registry: registry)
        if parts.contains(.node) {
            try Preflight.requirePrograms(ownContainerd: plan.identity.externalContainerd == nil)
        }
        try data.open()
        try Preflight.requireDiskSpace(data.path)
        try await Preflight.requireFreePort(plan.identity.port, address: plan.bindAddress, option: "--port")
        plan.windows = try WindowSettings.make(windows, hasNode: node != nil, lookup: lookup)
        for note in try await plan.windows.leaveOutTaken() { Self.say(note) }
        if recorded != plan.identity { try data.record(plan.identity) }
        // Without a node no address of its ranges is used on this machine.
        if parts.contains(.node) { registry.record(plan.identity, path: data.path) }
        return plan
    }

    private static func logger(_ level: String?) throws -> Logger {
        let text = level ?? "warning"
        guard let level = Logger.Level(rawValue: text) else {
            throw UserError("--log-level is \"\(text)\": give trace, debug, info, notice, warning or error")
        }
        var logger = Logger(label: "apus", factory: { PlainLogHandler(label: $0) })
        logger.logLevel = level
        return logger
    }

    /// Tells the user on standard output, at once also when that is a file.
    static func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}

/// Says what is waited for, and `ready` when all of it is there.
private struct Announcer: Service {
    let process: ClusterProcess
    let start: ContinuousClock.Instant

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            _ = try await process.server.listeningPort
            ServerRun.say("the API is served at \(process.plan.server)")
            var told: [String] = []
            while !Task.isCancelled {
                let missing = await process.readiness.missing()
                if missing.isEmpty { break }
                if missing != told {
                    ServerRun.say("waiting for \(missing.joined(separator: ", "))")
                    told = missing
                }
                try? await Task.sleep(for: .milliseconds(20))
            }
            if Task.isCancelled { return }
            let elapsed = ContinuousClock().now - start
            let tenths = elapsed.components.seconds * 10 + elapsed.components.attoseconds / 100_000_000_000_000_000
            let plan = process.plan
            for (name, window) in process.readiness.windows where !window.isLeftOut {
                let place = window.configuration
                ServerRun.say("\(name) http://\(place.address):\(window.port ?? place.port)")
            }
            ServerRun.say(
                """
                kubeconfig \(plan.kubeconfig ?? plan.data.sub("pki/admin.kubeconfig"))
                ready in \(tenths / 10).\(tenths % 10) s
                """)
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        }
    }
}
