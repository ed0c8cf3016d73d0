import CEL
import JSON
import ObjectModel
import Schema
import Synchronization

/// A `MutatingAdmissionPolicy`, compiled at its first use (KEP-3962).
final class MutatingPolicy: Sendable {
    enum Kind: String, Sendable {
        case applyConfiguration = "ApplyConfiguration"
        case jsonPatch = "JSONPatch"
    }
    struct Compiled: Sendable {
        let variables: CompiledVariables
        let mutations: [(kind: Kind, expression: PolicyExpression)]
    }
    let frame: PolicyFrame
    let isReinvoked: Bool
    private let spec: JSON
    private let box = Mutex<Compiled?>(nil)

    init(_ policy: Object) {
        frame = PolicyFrame(policy)
        spec = policy.tree["spec"]
        isReinvoked = spec["reinvocationPolicy"].string == "IfNeeded"
    }

    var compiled: Compiled {
        if let ready = box.withLock({ $0 }) { return ready }
        let made = Self.compile(spec, params: frame.paramKind == nil ? nil : .dyn)
        box.withLock { $0 = made }
        return made
    }

    static func compile(_ spec: JSON, params: CELType?) -> Compiled {
        let libraries: CELLibraries = [.kubernetes, .mutation]
        let variables = CompiledVariables(spec["variables"]) {
            ExpressionScope.policy(params: params, variables: $0, libraries: libraries)
        }
        let environment = ExpressionScope.policy(params: params, variables: variables.type, libraries: libraries)
        let mutations = spec["mutations"].elements.compactMap { json -> (kind: Kind, expression: PolicyExpression)? in
            guard let kind = Kind(rawValue: json["patchType"].string ?? "") else { return nil }
            let body = kind == .jsonPatch ? json["jsonPatch"] : json["applyConfiguration"]
            return (kind, PolicyExpression(body["expression"].string ?? "", environment, nil))
        }
        return Compiled(variables: variables, mutations: mutations)
    }
}

extension DynamicAdmission {
    /// Lets mutating policies change what is written, one after the other, in the order of names.
    func mutateByPolicies(
        _ request: inout HookedRequest, _ hooks: Hooks, _ rounds: inout Reinvocation, in machinery: Machinery,
        absorb: (JSON) throws -> JSON
    ) throws {
        if request.object.isNull || request.operation == .connect { return }
        for (policy, bindings) in hooks.mutatingPolicies {
            guard let matched = try policy.frame.criteria.match(request, in: machinery) else { continue }
            for binding in bindings {
                if let criteria = binding.criteria, try criteria.match(request, in: machinery) == nil { continue }
                do {
                    let parameters = try machinery.parameters(policy.frame.paramKind, binding.paramRef, request)
                    for (index, parameter) in parameters.enumerated() {
                        let identity = "policy/\(policy.frame.name)/\(binding.name)/\(index)"
                        guard rounds.allows(identity) else { continue }
                        let changed = try Self.mutated(request, as: matched, policy, parameter, machinery)
                        if let changed {
                            let absorbed = try absorb(changed)
                            if absorbed != request.object {
                                request.object = absorbed
                                rounds.objectChanged()
                            }
                        }
                        if policy.isReinvoked { rounds.ran(identity) }
                    }
                } catch let error as PolicyProblem {
                    if policy.frame.ignoresFailures { continue }
                    var refusal = StatusError.forbidden(
                        request.place, name: request.key.name,
                        "policy '\(policy.frame.name)' with binding '\(binding.name)' denied request: \(error)")
                    refusal.reason = .invalid
                    refusal.code = 422
                    throw refusal
                }
            }
        }
    }

    /// The object as the policy wants it; nil when the policy is not concerned.
    private static func mutated(
        _ request: HookedRequest, as matched: MatchedVersion, _ policy: MutatingPolicy, _ parameter: JSON,
        _ machinery: Machinery
    ) throws -> JSON? {
        var values = ExpressionScope.values(request, as: matched, in: machinery)
        values["namespaceObject"] = ExpressionScope.namespaceValue(request, in: machinery)
        values["params"] = CELValue(json: parameter, type: .dyn)
        switch policy.frame.conditions.evaluate(values) {
        case .matches: break
        case .differs: return nil
        case .failed(let why): throw PolicyProblem(why)
        }
        let compiled = policy.compiled
        var tree = request.tree(request.object, as: matched.kind)
        var budget = CELBudget()
        for mutation in compiled.mutations {
            // Each sees what those before it did.
            values["object"] = CELValue(json: tree, type: .dyn)
            values["variables"] = nil
            let variables = PolicyVariables(compiled.variables.programs, compiled.variables.type, values)
            values["variables"] = .object(.fields(variables, compiled.variables.type))
            let result: JSON
            do {
                let value = try mutation.expression.evaluate(values, &budget)
                guard let json = value.json else { throw CELFailure("its value has no form in JSON") }
                result = json
            } catch {
                throw PolicyProblem(
                    "expression '\(mutation.expression.source)' resulted in error: \(error)")
            }
            switch mutation.kind {
            case .jsonPatch:
                do {
                    tree = try tree.jsonPatched(with: result)
                } catch {
                    throw PolicyProblem("JSON Patch: \(error)")
                }
            case .applyConfiguration:
                guard case .object = result else {
                    throw PolicyProblem("the expression of an apply configuration must give an object")
                }
                for name in ["apiVersion", "kind"] {
                    if let given = result[name].string, given != tree[name].string {
                        throw PolicyProblem("an apply configuration must not change \(name)")
                    }
                }
                tree = machinery.catalog.structurallyMerged(tree, with: result, kind: matched.kind)
            }
        }
        tree["apiVersion"] = .string(matched.kind.apiVersion)
        tree["kind"] = .string(matched.kind.kind)
        do {
            _ = try machinery.catalog.conform(&tree, to: matched.kind)
        } catch let error as StatusError {
            throw PolicyProblem("it made an object that is none: \(error.message)")
        }
        let stored = GroupVersionKind(
            apiVersion: request.object["apiVersion"].string ?? "", kind: request.object["kind"].string ?? "")
        return request.tree(tree, as: stored)
    }
}
