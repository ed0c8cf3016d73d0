import ArgumentParser

/// `apus server`: the API and what works behind it, on a machine that is no node.
struct Server: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a cluster without a node: API server, store, controllers and scheduler.",
        discussion: """
            Runs in the foreground, as any user. `--without` leaves parts to other programs, for example to the \
            kube-controller-manager and kube-scheduler of another distribution.
            """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var options: ServingOptions
    @OptionGroup var windows: WindowOptions
    @Option(help: "Parts that are not run: controllers, scheduler; can be repeated.")
    var without: [String] = []

    func run() async throws {
        var parts: Set<ClusterPart> = [.controllers, .scheduler]
        for name in without.flatMap({ $0.split(separator: ",").map(String.init) }) {
            guard let part = ClusterPart(rawValue: name), parts.remove(part) != nil else {
                throw UserError("--without is \"\(name)\": give controllers, scheduler or both, once each")
            }
        }
        try await ServerRun(cluster: cluster, options: options, node: nil, windows: windows, parts: parts).run()
    }
}
