public import HTTPWindow
import Synchronization

/// The paths of the master's window. The longest path that is registered and begins a request's path answers it, as in the
/// original; every path also works below `/master`.
public final class Routes: Sendable {
    private let handlers = Mutex<[String: Window.Handler]>([:])

    init() {}

    /// Registers what answers a path and everything below it.
    public func add(_ path: String, _ handler: @escaping Window.Handler) {
        handlers.withLock { $0[path] = handler }
    }

    /// Answers a request; 404 for paths that nobody registered.
    public func answer(_ request: WindowRequest) async throws -> WindowResponse {
        guard let handler = handler(of: request.path) else {
            throw WindowError(404, "there is nothing at \(request.path)")
        }
        return try await handler(request)
    }

    private func handler(of path: String) -> Window.Handler? {
        var path = path[...]
        while path.count > 1, path.hasSuffix("/") { path = path.dropLast() }
        return handlers.withLock { handlers in
            var rest = path
            while true {
                if let handler = handlers[String(rest)] { return handler }
                if rest.hasPrefix("/master"), rest == "/master" || rest.dropFirst(7).first == "/" {
                    let short = rest.dropFirst(7)
                    if let handler = handlers[short.isEmpty ? "/" : String(short)] { return handler }
                }
                guard let slash = rest.lastIndex(of: "/"), slash > rest.startIndex else { return nil }
                rest = rest[..<slash]
            }
        }
    }
}
