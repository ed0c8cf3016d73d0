import ArgumentParser
// Takes the place of the C library's malloc by being linked: trees of small values from several threads are what a server is.
import CJemalloc
import Dispatch
import Glibc
import ProcessShim

/// Where the program begins. The helper of the process runtime is this same program: it must branch off before anything
/// makes a thread, because it forks.
@main
enum Main {
    static func main() {
        if CommandLine.arguments.count == 2, CommandLine.arguments[1] == ProcessShim.argument { ProcessShim.run() }
        Task {
            await Apus.main()
            exit(0)
        }
        dispatchMain()
    }
}

/// The `apus` command. Subcommands parse the command line, compose services and run them; the work is in the modules.
struct Apus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "One binary that turns a pool of machines into one cluster.",
        discussion: """
            Start a cluster with `apus up`, then use kubectl with the kubeconfig it prints. Every option can also be \
            given as an environment variable (--data-dir is APUS_DATA_DIR) or in a file (--config apus.yaml).
            """,
        version: ApusVersion.text,
        subcommands: [Up.self, Server.self, Down.self, Status.self, Image.self, Bench.self, Version.self])
}
