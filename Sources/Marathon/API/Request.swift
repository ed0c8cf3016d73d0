import HTTPWindow
import JSON
import ObjectModel

extension WindowRequest {
    /// A switch of the query; clients write `true`, `True` and `false`.
    func flag(_ name: String, default standard: Bool = false) -> Bool {
        guard let text = parameter(name)?.lowercased() else { return standard }
        return text == "true" || text.isEmpty
    }

    /// All values of a parameter, `name` and `name[]`, with commas between or repeated.
    func values(_ name: String) -> [String] {
        query.filter { $0.name == name || $0.name == name + "[]" }.flatMap {
            $0.value.split(separator: ",").map(String.init)
        }
    }

    /// The body as JSON.
    /// - Throws: `MarathonError` 400 when it is none.
    func document() async throws -> JSON {
        let bytes = try await body()
        do throws(JSONError) {
            return try JSON.parse(bytes)
        } catch {
            throw MarathonError.unparsable("\(error)")
        }
    }
}

/// What an answer shall hold of an app besides its definition.
struct Embedding: Sendable, Hashable {
    var tasks = false
    var counts = false
    var deployments = false
    var readiness = false
    var lastTaskFailure = false
    var taskStats = false

    /// - Parameter prefixes: `apps.` and `app.`, `group.apps.`.
    init(_ request: WindowRequest, prefixes: [String]) {
        for value in request.values("embed") {
            guard let prefix = prefixes.first(where: { value.hasPrefix($0) }) else { continue }
            switch value.dropFirst(prefix.count) {
            case "tasks":
                tasks = true
                deployments = true
            case "counts": counts = true
            case "deployments": deployments = true
            case "readiness": readiness = true
            case "lastTaskFailure": lastTaskFailure = true
            case "failures":
                lastTaskFailure = true
                tasks = true
                counts = true
                deployments = true
            case "taskStats": taskStats = true
            default: continue
            }
        }
    }
}
