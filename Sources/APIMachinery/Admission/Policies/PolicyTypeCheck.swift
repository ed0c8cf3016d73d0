import CEL
import JSON
import ObjectModel
import Schema

/// What a validating policy's expressions get wrong about the kinds that it matches (`status.typeChecking`). Writing
/// such a policy is allowed: it may be meant for other versions.
struct PolicyTypeCheck {
    /// As many kinds are checked, as upstream; more make no better warnings.
    private static let maximumKinds = 10
    private let catalog: Catalog

    init(_ catalog: Catalog) {
        self.catalog = catalog
    }

    /// `expressionWarnings` of a policy.
    func warnings(_ spec: JSON) -> [JSON] {
        let kinds = matchedKinds(spec["matchConstraints"]["resourceRules"])
        var texts: [(field: String, warnings: [String])] = []
        func add(_ field: String, _ kind: GroupVersionKind, _ problem: CELProblem?) {
            guard let problem else { return }
            let text = "\(kind): \(problem.description)"
            if let index = texts.firstIndex(where: { $0.field == field }) {
                texts[index].warnings.append(text)
            } else {
                texts.append((field, [text]))
            }
        }
        let param = spec["paramKind"]
        let params: CELType? =
            param.object == nil
            ? nil
            : type(of: GroupVersionKind(apiVersion: param["apiVersion"].string ?? "", kind: param["kind"].string ?? ""))
        for kind in kinds {
            let compiled = ValidatingPolicy.compile(spec, object: type(of: kind), params: params)
            for (index, variable) in spec["variables"].elements.enumerated() {
                let program = compiled.variables.programs[variable["name"].string ?? ""]
                add("spec.variables[\(index)].expression", kind, program?.problem)
            }
            for (index, validation) in compiled.validations.enumerated() {
                add("spec.validations[\(index)].expression", kind, validation.expression.program.problem)
                add(
                    "spec.validations[\(index)].messageExpression", kind, validation.messageExpression?.program.problem)
            }
            for (index, annotation) in compiled.auditAnnotations.enumerated() {
                add("spec.auditAnnotations[\(index)].valueExpression", kind, annotation.value.program.problem)
            }
        }
        return texts.map {
            ["fieldRef": .string($0.field), "warning": .string($0.warnings.joined(separator: "\n"))]
        }
    }

    /// The kinds that rules name without wildcards.
    private func matchedKinds(_ rules: JSON) -> [GroupVersionKind] {
        var found: [GroupVersionKind] = []
        for rule in rules.elements {
            func texts(_ field: String) -> [String] { rule[field].elements.compactMap(\.string) }
            for group in texts("apiGroups") {
                for version in texts("apiVersions") {
                    for resource in texts("resources") {
                        let place = GroupVersionResource(group: group, version: version, resource: resource)
                        guard let kind = catalog.resource(place)?.kind, !found.contains(kind) else { continue }
                        found.append(kind)
                        if found.count == Self.maximumKinds { return found }
                    }
                }
            }
        }
        return found
    }

    private func type(of kind: GroupVersionKind) -> CELType {
        catalog.shape(of: kind).map { Self.type(.object($0)) } ?? .dyn
    }

    private static func type(_ shape: ValueShape) -> CELType {
        switch shape {
        case .string: .string
        case .bool: .bool
        case .integer: .int
        case .double: .double
        case .bytes: .bytes
        case .timestamp: .timestamp
        case .any: .dyn
        case .list(let element): .list(type(element))
        case .map(let element): .map(.string, type(element))
        case .object(let object):
            .object(
                CELObjectType(name: object.name) {
                    Dictionary(object.fields.map { ($0.name, .init(type($0.shape))) }, uniquingKeysWith: { a, _ in a })
                })
        }
    }
}

extension Result where Failure == CELProblem {
    fileprivate var problem: CELProblem? {
        if case .failure(let problem) = self { problem } else { nil }
    }
}

extension Machinery {
    /// Writes the status of validating policies that are new or changed, until cancelled.
    func checkPolicies() async {
        let policies = GroupResource(group: DynamicAdmission.group, resource: "validatingadmissionpolicies")
        guard let cache = caches[policies] else { return }
        let context = RequestContext(user: .system, fieldManager: "kube-controller-manager", fieldValidation: .ignore)
        for await revision in dynamic.policyChanges {
            guard await caches.gate.wait(for: revision) else { return }
            for policy in cache.all() {
                let generation = policy.metadata.generation
                let status = policy.tree["status"]
                if status["observedGeneration"].int == generation, status["typeChecking"].object != nil { continue }
                let warnings = PolicyTypeCheck(catalog).warnings(policy.tree["spec"])
                do {
                    _ = try await rewrite(cache, policy.key, .status, context: context) { current in
                        var tree = current.tree
                        guard current.metadata.generation == generation else { return tree }
                        tree["status"]["observedGeneration"] = JSON(generation)
                        tree["status"]["typeChecking"] =
                            warnings.isEmpty ? [:] : ["expressionWarnings": .array(warnings)]
                        return tree
                    }
                } catch let error as StatusError where error.reason == .notFound {
                    continue
                } catch {
                    logger.debug(
                        "a policy's status could not be written",
                        metadata: ["policy": "\(policy.name)", "error": "\(error)"])
                }
            }
        }
    }
}
