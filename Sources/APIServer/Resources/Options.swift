import APIMachinery
import ClusterClient
import JSON
import ObjectModel
import Schema

/// Query parameters and option bodies, checked.
enum Options {
    /// - Parameter kind: `CreateOptions`, `UpdateOptions` or `PatchOptions`, for messages.
    static func write(_ call: Call, kind: String, duplicates: [String], patch: PatchType? = nil) throws
        -> RequestContext
    {
        let query = call.request.query
        var problems: [FieldError] = []
        var isDryRun = false
        for value in query.all("dryRun") where !value.isEmpty {
            if value == "All" {
                isDryRun = true
            } else {
                problems.append(.notSupported("dryRun", .string(value), ["All"]))
            }
        }
        let manager = query["fieldManager"] ?? ""
        if manager.utf8.count > 128 {
            problems.append(.tooLong("fieldManager", maximumBytes: 128))
        } else if manager.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            problems.append(.invalid("fieldManager", .string(manager), "should only contain printable characters"))
        }
        if patch == .apply {
            if manager.isEmpty { problems.append(.required("fieldManager", "is required for apply patch")) }
        } else if patch != nil, query.flag("force") {
            problems.append(.forbidden("force", "may not be specified for non-apply patch"))
        }
        var validation = RequestContext.FieldValidation.warn
        if let text = query["fieldValidation"], !text.isEmpty {
            if let value = RequestContext.FieldValidation(rawValue: text) {
                validation = value
            } else {
                problems.append(.notSupported("fieldValidation", .string(text), ["Ignore", "Strict", "Warn"]))
            }
        }
        guard problems.isEmpty else { throw StatusError.invalidOptions(kind, problems) }
        return RequestContext(
            user: call.user, fieldManager: manager.isEmpty ? defaultManager(call.request.userAgent) : manager,
            fieldValidation: validation, isDryRun: isDryRun, duplicateFields: duplicates)
    }

    /// Who writes without saying so: the program's name in its user agent.
    private static func defaultManager(_ userAgent: String) -> String {
        let name = userAgent.utf8.prefix { $0 != UInt8(ascii: "/") }
        var text = String(decoding: name.filter { $0 >= 0x20 && $0 != 0x7F }, as: UTF8.self)
        while text.utf8.count > 128 { text.removeLast() }
        return text.isEmpty ? "unknown" : text
    }

    // MARK: Selecting

    static func labels(_ call: Call) throws -> LabelSelector {
        guard let text = call.request.query["labelSelector"], !text.isEmpty else { return LabelSelector() }
        do {
            return try LabelSelector(parsing: text)
        } catch {
            throw StatusError.badRequest("unable to parse requirement: \(error)")
        }
    }

    static func fields(_ call: Call, _ resource: ResourceDefinition, _ catalog: Catalog) throws -> FieldSelector {
        var selector = FieldSelector()
        if let text = call.request.query["fieldSelector"], !text.isEmpty {
            do {
                selector = try FieldSelector(parsing: text)
            } catch {
                throw StatusError.badRequest("unable to parse field selector: \(error)")
            }
            for requirement in selector.requirements
            where !catalog.supportsFieldSelector(requirement.field, resource: resource.resource) {
                throw StatusError.badRequest("field label not supported: \(requirement.field)")
            }
        }
        // The old form of watching one object names it in the path.
        if !call.info.name.isEmpty {
            let isSame = selector.requirements.contains {
                $0.field == "metadata.name" && $0.isEqual && $0.value == call.info.name
            }
            guard selector.requirements.isEmpty || isSame else {
                throw StatusError.badRequest("fieldSelector metadata.name doesn't match requested name")
            }
            selector.requirements.append(.init(field: "metadata.name", value: call.info.name, isEqual: true))
        }
        return selector
    }

    static func list(_ call: Call, _ resource: ResourceDefinition, _ catalog: Catalog) throws -> ListOptions {
        let query = call.request.query
        var options = ListOptions(
            labelSelector: try labels(call), fieldSelector: try fields(call, resource, catalog))
        if let text = query["limit"], !text.isEmpty {
            guard let limit = Int(text), limit >= 0 else {
                throw StatusError.badRequest("invalid limit \"\(text)\": must be a number that is not negative")
            }
            options.limit = limit == 0 ? nil : limit
        }
        options.continueToken = query["continue"].flatMap { $0.isEmpty ? nil : $0 }
        options.resourceVersion = query["resourceVersion"] ?? ""
        options.resourceVersionMatch = query["resourceVersionMatch"] ?? ""
        let version = options.resourceVersion
        let match = options.resourceVersionMatch
        var problems: [FieldError] = []
        if let initial = query["sendInitialEvents"], !initial.isEmpty {
            problems.append(.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        }
        if !match.isEmpty {
            if version.isEmpty {
                problems.append(
                    .forbidden(
                        "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"))
            }
            if options.continueToken != nil {
                problems.append(
                    .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
            }
            if match != "Exact", match != "NotOlderThan" {
                problems.append(.notSupported("resourceVersionMatch", .string(match), ["Exact", "NotOlderThan", ""]))
            } else if match == "Exact", version == "0" {
                problems.append(
                    .forbidden(
                        "resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
                )
            }
        }
        guard problems.isEmpty else { throw StatusError.invalidOptions("ListOptions", problems) }
        guard version.isEmpty || Revision(version) != nil else {
            throw StatusError.badRequest(
                "invalid resource version: resourceVersion: Invalid value: \"\(version.prefix(64))\": must be a decimal number"
            )
        }
        if options.continueToken != nil, !version.isEmpty, version != "0" {
            throw StatusError.badRequest("specifying resource version is not allowed when using continue")
        }
        return options
    }

    static func watch(_ call: Call, _ resource: ResourceDefinition, _ catalog: Catalog) throws -> WatchQuery {
        let query = call.request.query
        var options = WatchQuery()
        options.labelSelector = try labels(call)
        options.fieldSelector = try fields(call, resource, catalog)
        options.resourceVersion = query["resourceVersion"] ?? ""
        options.resourceVersionMatch = query["resourceVersionMatch"] ?? ""
        options.allowBookmarks = query.flag("allowWatchBookmarks")
        let isInitialGiven = !(query["sendInitialEvents"] ?? "").isEmpty
        options.sendInitialEvents = isInitialGiven ? query.flag("sendInitialEvents") : nil
        var problems: [FieldError] = []
        if isInitialGiven, options.resourceVersionMatch != "NotOlderThan" {
            problems.append(
                .forbidden(
                    "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        }
        if !isInitialGiven, !options.resourceVersionMatch.isEmpty {
            problems.append(
                .forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
        }
        if !options.resourceVersionMatch.isEmpty {
            if options.resourceVersionMatch != "NotOlderThan" {
                problems.append(
                    .notSupported(
                        "resourceVersionMatch", .string(options.resourceVersionMatch), ["NotOlderThan"]))
            }
            if !(query["continue"] ?? "").isEmpty {
                problems.append(
                    .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
            }
        }
        guard problems.isEmpty else { throw StatusError.invalidOptions("ListOptions", problems) }
        try checkVersion(options.resourceVersion)
        return options
    }

    private static func checkVersion(_ text: String) throws {
        guard !text.isEmpty, Revision(text) == nil else { return }
        throw StatusError.invalidOptions(
            "ListOptions", [.invalid("resourceVersion", .string(text), "must be a decimal number")])
    }
}
