import JSON

/// From what clients send to complete, valid definitions.
enum Documents {
    /// A complete and valid definition without a version.
    ///
    /// - Throws: `MarathonError` 400 or 422.
    static func complete(
        _ document: JSON, kind: RunSpec.Kind, id: PathID, role: String? = nil, in definitions: any Definitions
    ) throws(MarathonError) -> RunSpec {
        let role = standardRole(of: id, in: definitions) ?? role ?? "*"
        switch kind {
        case .app:
            try Shapes.app.check(document)
            try AppNormalization.checkForms(document)
            let json = AppNormalization.complete(AppNormalization.modernized(document), id: id, role: role)
            let spec = RunSpec(kind: .app, json: json)
            try AppValidation.check(spec, networks: definitions.networkNames)
            try checkRole(spec, in: definitions)
            return spec
        case .pod:
            try Shapes.pod.check(document)
            let spec = RunSpec(kind: .pod, json: PodNormalization.complete(document, id: id, role: role))
            try PodNormalization.check(spec, networks: definitions.networkNames)
            try checkRole(spec, in: definitions)
            return spec
        }
    }

    /// An app from what it was and an update of it.
    static func updated(
        _ existing: RunSpec, with update: JSON, isPartial: Bool, in definitions: any Definitions
    ) throws(MarathonError) -> RunSpec {
        try Shapes.app.check(update)
        try AppNormalization.checkForms(update)
        guard isPartial else {
            return try complete(update, kind: .app, id: existing.id, role: existing.role, in: definitions)
        }
        var base = existing.json
        base.removeMember("version")
        base.removeMember("versionInfo")
        let merged = AppNormalization.merged(base, with: AppNormalization.modernized(update))
        return try complete(merged, kind: .app, id: existing.id, role: existing.role, in: definitions)
    }

    /// The role that members of a top-level group have, when it says so.
    static func standardRole(of id: PathID, in definitions: any Definitions) -> String? {
        guard id.segments.count > 1, let first = id.segments.first,
            definitions.group(PathID(segments: [first]))?.enforceRole == true
        else { return nil }
        return first
    }

    private static func checkRole(_ spec: RunSpec, in definitions: any Definitions) throws(MarathonError) {
        guard let enforced = standardRole(of: spec.id, in: definitions), spec.role != enforced else { return }
        throw .invalid("/role", "role must be \(enforced): its group enforces it")
    }
}
