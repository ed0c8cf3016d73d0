import JSON
import ObjectModel
import Schema

extension Machinery {
    /// Checks that a body is an object of the kind, conforms it, and applies the request's field validation.
    /// - Returns: the conformed body with `apiVersion` and `kind` set.
    /// - Throws: 400 for a body of another kind, a wrong type, or (when strict) unknown and repeated fields.
    func read(_ body: JSON, as kind: GroupVersionKind, context: RequestContext) throws -> JSON {
        guard case .object = body else {
            throw StatusError.badRequest("the body is not an object of kind \(kind.kind)")
        }
        var tree = body
        let apiVersion = tree["apiVersion"].string ?? ""
        let name = tree["kind"].string ?? ""
        if !name.isEmpty, name != kind.kind {
            throw StatusError.badRequest(
                "\(name) in version \"\(GroupVersionKind(apiVersion: apiVersion, kind: name).version)\" cannot be "
                    + "handled as a \(kind.kind): the path serves \(kind)")
        }
        if !apiVersion.isEmpty, apiVersion != kind.apiVersion {
            throw StatusError.badRequest(
                "the API version in the data (\(apiVersion)) does not match the expected API version (\(kind.apiVersion))"
            )
        }
        tree["apiVersion"] = .string(kind.apiVersion)
        tree["kind"] = .string(kind.kind)
        let findings = try catalog.conform(&tree, to: kind)
        let texts = fieldProblems(findings, context)
        if !texts.isEmpty, context.fieldValidation == .strict {
            throw StatusError.badRequest(
                "\(kind.kind) in version \"\(kind.version)\" cannot be handled as a \(kind.kind): strict decoding error: "
                    + texts.joined(separator: ", "))
        }
        return tree
    }

    /// Conforms the outcome of a patch; strict problems are 422 here.
    func readPatched(
        _ patched: JSON, as kind: GroupVersionKind, name: String, context: RequestContext
    ) throws -> JSON {
        var tree = patched
        tree["apiVersion"] = .string(kind.apiVersion)
        tree["kind"] = .string(kind.kind)
        let findings = try catalog.conform(&tree, to: kind)
        let texts = fieldProblems(findings, context)
        if !texts.isEmpty, context.fieldValidation == .strict {
            throw StatusError.invalid(
                kind, name: name,
                [
                    .invalid(
                        "patch", .string("\(patched)"), "strict decoding error: " + texts.joined(separator: ", "))
                ])
        }
        return tree
    }

    private func fieldProblems(_ findings: Catalog.Findings, _ context: RequestContext) -> [String] {
        guard context.fieldValidation != .ignore else { return [] }
        let texts =
            findings.unknownFields.map { "unknown field \"\($0)\"" }
            + context.duplicateFields.map { "duplicate field \"\($0)\"" }
        // The strict answer says it in its message; as many warnings as fit into headers otherwise.
        if context.fieldValidation == .warn { for text in texts.prefix(64) { context.warn(text) } }
        return texts
    }
}
