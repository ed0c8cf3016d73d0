import ContainerRuntime
import ObjectModel

/// Why an image is not there, with the waiting reason and message that the pod shows.
struct ImageFailure: Error, Sendable {
    var reason: String
    var message: String
}

/// Brings images to the node: a few pulls at a time, the same image only once.
actor ImageManager {
    /// Where the story of one pull is told.
    struct Reporter: Sendable {
        var normal: @Sendable (_ reason: String, _ message: String) -> Void
        var warning: @Sendable (_ reason: String, _ message: String) -> Void
    }
    private struct Key: Hashable {
        var image: String
        var credentials: [RegistryCredentials]
    }
    private let runtime: any Runtime
    private let parallel: Int
    private var running: [Key: Task<String, any Error>] = [:]
    private var slots: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(runtime: any Runtime, parallel: Int = 3) {
        self.runtime = runtime
        self.parallel = parallel
        slots = parallel
    }

    /// Makes sure that the image is there as the policy asks.
    /// - Throws: `ImageFailure`.
    func ensure(_ container: ContainerSpec, secrets: RegistrySecrets, reporter: Reporter) async throws -> ImageStatus {
        let image = container.image
        guard let name = ImageName(image) else {
            let message =
                "Failed to apply default image tag \"\(image)\": couldn't parse image name \"\(image)\": "
                + "invalid reference format"
            reporter.warning("InspectFailed", message)
            reporter.warning("Failed", "Error: InvalidImageName")
            throw ImageFailure(reason: "InvalidImageName", message: message)
        }
        if container.pullPolicy != .always {
            do {
                if let present = try await runtime.image(name.canonical) {
                    reporter.normal("Pulled", "Container image \"\(image)\" already present on machine")
                    return present
                }
            } catch {
                let message = "Failed to inspect image \"\(image)\": \(error.message)"
                reporter.warning("InspectFailed", message)
                throw ImageFailure(reason: "ImageInspectError", message: message)
            }
            if container.pullPolicy == .never {
                let message = "Container image \"\(image)\" is not present with pull policy of Never"
                reporter.warning("ErrImageNeverPull", message)
                throw ImageFailure(reason: "ErrImageNeverPull", message: message)
            }
        }
        return try await pull(image, name, secrets, reporter)
    }

    private func pull(_ image: String, _ name: ImageName, _ secrets: RegistrySecrets, _ reporter: Reporter)
        async throws -> ImageStatus
    {
        reporter.normal("Pulling", "Pulling image \"\(image)\"")
        let started = ContinuousClock.now
        let key = Key(image: name.canonical, credentials: secrets.matching(name))
        do {
            let (reference, pulling) = try await pull(key)
            guard let status = try await present(name.canonical, reference) else {
                throw RuntimeError(.notFound, operation: "ImageStatus", "the pulled image is not there")
            }
            let total = ContinuousClock.now - started
            reporter.normal(
                "Pulled",
                "Successfully pulled image \"\(image)\" in \(pulling.goTextMilliseconds) (\(total.goTextMilliseconds) "
                    + "including waiting). Image size: \(status.sizeBytes) bytes.")
            return status
        } catch let error as CancellationError {
            throw error
        } catch {
            let cause = (error as? RuntimeError)?.message ?? "\(error)"
            reporter.warning("Failed", "Failed to pull image \"\(image)\": \(cause)")
            reporter.warning("Failed", "Error: ErrImagePull")
            throw ImageFailure(reason: "ErrImagePull", message: cause)
        }
    }

    private func present(_ name: String, _ reference: String) async throws -> ImageStatus? {
        if let status = try await runtime.image(reference) { return status }
        return try await runtime.image(name)
    }

    /// Pulls, or waits for the same pull of another pod. The pull goes on when this caller is cancelled: its image will
    /// be wanted again soon.
    private func pull(_ key: Key) async throws -> (reference: String, time: Duration) {
        let task: Task<String, any Error>
        if let existing = running[key] {
            task = existing
        } else {
            task = Task { [runtime] in
                await self.acquire()
                defer {
                    self.release()
                    self.running[key] = nil
                }
                var last: (any Error)?
                for credentials in key.credentials.map(Optional.some) + (key.credentials.isEmpty ? [nil] : []) {
                    do {
                        return try await runtime.pullImage(key.image, credentials: credentials)
                    } catch {
                        last = error
                    }
                }
                throw last ?? RuntimeError(.other, operation: "PullImage", "no attempt was made")
            }
            running[key] = task
        }
        let started = ContinuousClock.now
        let reference = try await task.value
        try Task.checkCancellation()
        return (reference, ContinuousClock.now - started)
    }

    private func acquire() async {
        if slots > 0 {
            slots -= 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }
    private func release() {
        if waiting.isEmpty { slots += 1 } else { waiting.removeFirst().resume() }
    }
}
