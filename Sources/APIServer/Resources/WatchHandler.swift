import APIMachinery
import NIOHTTP1
import ObjectModel
import Schema

extension Dispatcher {
    /// A stream of `{"type":…,"object":…}` lines until the client leaves, its time is over, or it is too slow.
    func watch(_ call: Call, _ definition: ResourceDefinition) async throws -> Answer {
        let query = try Options.watch(call, definition, backend.catalog)
        let form = try Representation(call.request, protobuf: Protobuf.has(definition.kind))
        guard form.encoding != .yaml else {
            throw Representation.notAcceptable([
                "application/json", "application/json;stream=watch", Protobuf.mediaType + ";stream=watch",
            ])
        }
        let include = try includeObject(call)
        let seconds = try watchSeconds(call)
        let namespace = call.info.namespace.isEmpty || !definition.isNamespaced ? nil : call.info.namespace
        let catalog = backend.catalog
        let type = form.encoding == .protobuf ? Protobuf.mediaType + ";stream=watch" : "application/json"
        let head = Response(status: .ok, headers: ["Content-Type": type])
        let frames = WatchFrames(form: form, catalog: catalog, resource: definition.resource, includeObject: include)
        let sent = metrics.watchEvents(of: definition.kind)
        let watch: Result<WatchSubscription, StatusError>
        do {
            watch = .success(try await backend.watch(definition, namespace: namespace, query: query))
        } catch let error as StatusError where error.reason == .expired {
            // A past that is gone is told in the stream, as everything is after the parameters were found good.
            watch = .failure(error)
        }
        if wantsWebSocket(call) {
            return try await watchByWebSocket(call, watch, frames, .seconds(Int64(seconds)), sent)
        }
        guard case .success(let subscription) = watch else {
            return .streamed(head) { exchange in
                if case .failure(let error) = watch { try await exchange.write(frames.frame(error)) }
            }
        }
        return .streamed(head) { exchange in
            defer { subscription.cancel() }
            exchange.setTimeout(.seconds(seconds), isError: false)
            let writer = WatchWriter(subscription, frames, exchange, sent: sent)
            do {
                while true {
                    switch await writer.run() {
                    case .full: try await exchange.waitForRoom()
                    case .foreign(let events): writer.goOn(with: try await subscription.shown(events))
                    case .failed(let error): throw error
                    case .ended: return
                    }
                }
            } catch let error as StatusError {
                // The head is long gone: an error is an event.
                try await exchange.write(frames.frame(error))
            } catch is CancellationError {
                // Time is over or the server stops: the stream ends in good order.
            }
        }
    }

    private func watchSeconds(_ call: Call) throws -> Int {
        if let text = call.request.query["timeoutSeconds"], !text.isEmpty {
            guard let seconds = Int(text), seconds >= 0 else {
                throw StatusError.badRequest(
                    "invalid timeoutSeconds \"\(text)\": must be a number that is not negative")
            }
            if seconds > 0 { return min(seconds, 24 * 3600) }
        }
        let shortest = max(1, configuration.limits.minimumWatchSeconds)
        return Int.random(in: shortest...(2 * shortest))
    }
}
