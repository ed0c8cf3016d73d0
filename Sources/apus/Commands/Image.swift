import ArgumentParser
import ContainerRuntime

/// `apus image`: images of this node.
struct Image: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Work with this node's images.", subcommands: [Import.self])

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Load images from a tar file (OCI or Docker format), without a registry.")

        @OptionGroup var cluster: ClusterOptions
        @Argument(help: "The tar file.")
        var file: String

        func run() async throws {
            let lookup = try cluster.lookup()
            let data = DataDirectory(path: cluster.dataDirectory(lookup))
            guard let identity = try data.identity() else {
                throw UserError("there is no cluster in \(data.path): start one with `apus up --data-dir \(data.path)`")
            }
            let importer = ImageImporter(socketPath: identity.containerdSettings(data).socketPath)
            do {
                for name in try await importer.importTar(file) { print(name) }
            } catch {
                throw UserError("\(file) could not be imported: \(error)")
            }
        }
    }
}
