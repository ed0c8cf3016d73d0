import NIOHTTP1

extension Dispatcher {
    /// `/healthz`, `/livez`, `/readyz` with `verbose` and `exclude`, and `/livez/{check}`.
    func health(_ call: Call) async -> Answer {
        let segments = call.info.segments
        let endpoint: HealthCheck.Endpoints =
            switch segments[0] {
            case "livez": .livez
            case "readyz": .readyz
            default: .healthz
            }
        let checks = healthChecks().filter { $0.endpoints.contains(endpoint) }
        if segments.count > 1 {
            let name = segments.dropFirst().joined(separator: "/")
            guard let check = checks.first(where: { $0.name == name }) else { return .pageNotFound }
            guard let failure = await check.failure() else { return .text("ok") }
            return unhealthy("internal server error: \(report(check, failure))\n")
        }
        var excluded = Set(call.request.query.all("exclude"))
        var lines: [String] = []
        var isHealthy = true
        for check in checks {
            if excluded.remove(check.name) != nil {
                lines.append("[+]\(check.name) excluded: ok")
            } else if let failure = await check.failure() {
                isHealthy = false
                lines.append(report(check, failure))
            } else {
                lines.append("[+]\(check.name) ok")
            }
        }
        if !excluded.isEmpty {
            let names = excluded.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
            lines.append("warn: some health checks cannot be excluded: no matches for \(names)")
        }
        let text = lines.joined(separator: "\n") + "\n"
        guard isHealthy else { return unhealthy("\(text)\(segments[0]) check failed\n") }
        let isVerbose = call.request.query["verbose"] != nil
        return .text(isVerbose ? "\(text)\(segments[0]) check passed\n" : "ok")
    }

    private func report(_ check: HealthCheck, _ failure: String) -> String {
        logger.warning("health check failed", metadata: ["check": "\(check.name)", "reason": "\(failure)"])
        return "[-]\(check.name) failed: reason withheld"
    }

    private func unhealthy(_ text: String) -> Answer {
        var response = Response(status: .internalServerError, text: text)
        response.headers.add(name: "X-Content-Type-Options", value: "nosniff")
        return .response(response)
    }

    private func healthChecks() -> [HealthCheck] {
        let connections = self.connections
        return [HealthCheck("ping") { nil }] + configuration.healthChecks + [
            HealthCheck("shutdown", endpoints: .readyz) { connections.isDraining ? "the server is stopping" : nil }
        ]
    }
}
