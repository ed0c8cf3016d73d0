import ClusterClient
import JSON
import ObjectModel
import Schema

/// Options of DELETE: in the body, or in the query when there is none.
struct DeleteRequest: Sendable {
    var options = DeleteOptions()
    /// `orphanDependents=false` was asked for: an object that stays for a while is answered with 202.
    var isDependentsFirst = false

    init(_ call: Call, _ catalog: Catalog) throws {
        let query = call.request.query
        var problems: [FieldError] = []
        var dryRun = query.all("dryRun").filter { !$0.isEmpty }
        var policy = query["propagationPolicy"].flatMap { $0.isEmpty ? nil : $0 }
        var orphan: Bool? = (query["orphanDependents"]).map { _ in query.flag("orphanDependents") }
        if let text = query["gracePeriodSeconds"], !text.isEmpty {
            guard let seconds = Int(text) else {
                throw StatusError.badRequest("invalid gracePeriodSeconds \"\(text)\": must be a whole number")
            }
            options.gracePeriodSeconds = seconds
        }
        if call.request.body.readableBytes > 0 {
            let kind = GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "DeleteOptions")
            let body = try BodyReader.read(call.request, as: kind, catalog).value
            guard body.object != nil || body.isNull else {
                throw StatusError.badRequest("DeleteOptions must be an object")
            }
            if let name = body["kind"].string, !name.isEmpty, name != "DeleteOptions" {
                throw StatusError.badRequest(
                    "decoded object cannot be converted to DeleteOptions: it is of kind \(name)")
            }
            try read(body)
            dryRun += body["dryRun"].elements.compactMap(\.string)
            policy = body["propagationPolicy"].string ?? policy
            orphan = body["orphanDependents"].bool ?? orphan
        }
        for value in dryRun {
            if value == "All" {
                options.isDryRun = true
            } else {
                problems.append(.notSupported("dryRun", .string(value), ["All"]))
            }
        }
        if policy != nil, orphan != nil {
            problems.append(
                .invalid(
                    "propagationPolicy", .string(policy ?? ""),
                    "orphanDependents and deletionPropagation cannot be both set"))
        }
        if let policy {
            options.propagation = DeleteOptions.Propagation(rawValue: policy)
            if options.propagation == nil {
                problems.append(
                    .notSupported("propagationPolicy", .string(policy), ["Background", "Foreground", "Orphan"]))
            }
        } else if let orphan {
            options.propagation = orphan ? .orphan : .background
            isDependentsFirst = !orphan
        }
        guard problems.isEmpty else { throw StatusError.invalidOptions("DeleteOptions", problems) }
    }

    private mutating func read(_ body: JSON) throws {
        if !body["gracePeriodSeconds"].isNull {
            guard let seconds = body["gracePeriodSeconds"].int else {
                throw StatusError.badRequest("gracePeriodSeconds must be a whole number")
            }
            options.gracePeriodSeconds = seconds
        }
        let preconditions = body["preconditions"]
        options.uid = preconditions["uid"].string
        if let version = preconditions["resourceVersion"].string {
            guard let revision = Revision(version) else {
                throw StatusError.badRequest("preconditions.resourceVersion must be a decimal number")
            }
            options.resourceVersion = revision
        }
    }
}
