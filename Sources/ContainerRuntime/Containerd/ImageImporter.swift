import Logging
import Subprocess
import SystemPackage

/// Loads images from archives into containerd with its own tool, `ctr`.
public struct ImageImporter: Sendable {
    /// containerd's namespace of all CRI images and containers.
    static let containerdNamespace = "k8s.io"

    let socketPath: String
    let program: String

    /// - Parameters:
    ///   - socketPath: containerd's socket.
    ///   - program: name or path of `ctr`.
    public init(socketPath: String, program: String = "ctr") {
        self.socketPath = socketPath
        self.program = program
    }

    /// Imports every image of an OCI or Docker archive (`docker save`, `skopeo copy … oci-archive:`).
    ///
    /// - Returns: the names that were imported, in the archive's order.
    /// - Throws: `RuntimeError` with the tool's own words.
    public func importTar(_ path: String) async throws(RuntimeError) -> [String] {
        let output = try await run(["images", "import", path])
        // One line per image: `unpacking NAME (sha256:…)...done`.
        return output.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("unpacking ") else { return nil }
            return line.dropFirst("unpacking ".count).split(separator: " ").first.map(String.init)
        }
    }

    /// Sets a label of an image, which keeps it from being collected as garbage.
    func label(_ image: String, _ labels: [String: String]) async throws(RuntimeError) {
        let pairs = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        _ = try await run(["images", "label", image] + pairs)
    }

    private func run(_ arguments: [String]) async throws(RuntimeError) -> String {
        let executable: Executable = program.contains("/") ? .path(FilePath(program)) : .name(program)
        let prefix = ["--address", socketPath, "--namespace", Self.containerdNamespace]
        let operation = "ctr \(arguments.prefix(2).joined(separator: " "))"
        do {
            let result = try await Subprocess.run(
                executable, arguments: Arguments(prefix + arguments), output: .string(limit: 1 << 20),
                error: .string(limit: 1 << 16))
            guard result.terminationStatus.isSuccess else {
                let words = result.standardError.split(separator: "\n").last.map(String.init) ?? ""
                throw RuntimeError(.other, operation: operation, words.isEmpty ? "\(result.terminationStatus)" : words)
            }
            return result.standardOutput
        } catch let error as RuntimeError {
            throw error
        } catch {
            throw RuntimeError(.other, operation: operation, "cannot run \(program): \(error)")
        }
    }
}
