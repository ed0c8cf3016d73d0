import ArgumentParser

/// `apus version`.
struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the version.")
    func run() {
        print(ApusVersion.text)
    }
}
