import ClusterClient
import JSON
import ObjectModel

extension PodWorker {
    /// The status as it is now.
    private func currentStatus() -> JSON {
        PodStatusBuilder(
            pod: allocatedPod, runtime: runtimeState, addresses: addresses, startTime: startTime, waiting: waiting,
            started: startedIDs, ready: readyIDs, terminationMessages: terminationMessages, failure: failure,
            isStopped: isStopped && (failure == nil || rejection == nil), moreConditions: moreConditions
        ).build()
    }

    /// Writes the status when it changed. Writes of one pod follow each other; what changes meanwhile goes with the next.
    func publishStatus() {
        guard isLoaded, !isGone else { return }
        let status = currentStatus()
        guard status != wantedStatus else { return }
        wantedStatus = status
        guard statusTask == nil else { return }
        statusTask = Task {
            await self.writeStatuses()
            self.statusTask = nil
        }
    }

    private func writeStatuses() async {
        var delay = Duration.milliseconds(100)
        while let wanted = wantedStatus, wanted != writtenStatus, !isGone, !Task.isCancelled {
            do {
                try await write(wanted)
                delay = .milliseconds(100)
            } catch {
                if Task.isCancelled { return }
                logger.warning("the status cannot be written", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: delay)
                delay = min(delay * 2, .seconds(10))
            }
        }
    }

    /// The last status before the object goes.
    func writeFinalStatus() async throws {
        await statusTask?.value
        let status = currentStatus()
        wantedStatus = status
        if status != writtenStatus, !isGone { try await write(status) }
    }

    private func write(_ status: JSON) async throws {
        var base = pod.object
        for _ in 0..<10 {
            var tree = base.tree
            let merged = StatusMerge.merge(tree["status"], with: status, now: .now)
            guard merged != tree["status"] else { break }
            tree["status"] = merged
            do {
                let written = try await context.client.update(.pods, tree, subresource: "status")
                if written.uid == uid { update(Pod(written)) }
                break
            } catch let error as StatusError where error.reason == .conflict {
                guard let fresh = try await context.client.find(.pods, pod.key), fresh.uid == uid else {
                    isGone = true
                    break
                }
                base = fresh
            } catch let error as StatusError where error.reason == .notFound {
                isGone = true
                break
            }
        }
        writtenStatus = status
        if isGone { wake.yield() }
    }
}
