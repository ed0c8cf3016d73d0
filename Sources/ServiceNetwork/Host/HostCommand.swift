import Subprocess

/// Runs the machine's network programs (`nft`, `ip`, `conntrack`).
enum HostCommand {
    /// A program that is missing or failed, with what it printed.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Runs a program and returns its standard output.
    @discardableResult
    static func run(_ program: String, _ arguments: [String], input: String = "") async throws -> String {
        let result: ExecutionResult<Void, StringOutput<UTF8>, StringOutput<UTF8>>
        do {
            result = try await Subprocess.run(
                .name(program), arguments: Arguments(arguments), input: .string(input, using: UTF8.self),
                output: .string(limit: 4 << 20), error: .string(limit: 64 << 10))
        } catch let error as SubprocessError {
            throw Failure(description: "\(program) could not be run (is it installed?): \(error)")
        }
        guard result.terminationStatus.isSuccess else {
            let text = result.standardError.split(separator: "\n").prefix(4).joined(separator: " | ")
            throw Failure(description: "\(program) \(arguments.joined(separator: " ")) failed: \(text)")
        }
        return result.standardOutput
    }
}
