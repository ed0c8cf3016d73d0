import CEL
import JSON
import ObjectModel
import Synchronization

/// The `variables` of a policy as its expressions see them: each is computed when one first reads it, and once.
final class PolicyVariables: CELFields {
    private let programs: [String: Result<CELProgram, CELProblem>]
    private let values: [String: CELValue]
    private let type: CELObjectType
    private let known = Mutex<[String: Result<CELValue, CELFailure>]>([:])

    init(_ programs: [String: Result<CELProgram, CELProblem>], _ type: CELObjectType, _ values: [String: CELValue]) {
        self.programs = programs
        self.type = type
        self.values = values
    }

    func field(_ name: String, budget: inout CELBudget) throws(CELFailure) -> CELValue? {
        if let value = known.withLock({ $0[name] }) { return try value.get() }
        guard let program = programs[name] else { return nil }
        var all = values
        // Those that come before it are all that it can mention, so this ends.
        all["variables"] = .object(.fields(self, type))
        let result: Result<CELValue, CELFailure>
        do throws(CELFailure) {
            switch program {
            case .success(let program): result = .success(try program.evaluate(all, budget: &budget))
            case .failure(let problem): throw CELFailure("variable \(name) does not compile: \(problem.description)")
            }
        } catch {
            result = .failure(error)
        }
        known.withLock { $0[name] = result }
        return try result.get()
    }
}

/// The variables of a policy, compiled in their order: each may mention those before it.
struct CompiledVariables: Sendable {
    let programs: [String: Result<CELProgram, CELProblem>]
    /// The type of `variables`.
    let type: CELObjectType

    /// - Parameter scope: the environment of an expression that can mention these variables.
    init(_ list: JSON, scope: (CELObjectType) -> CELEnvironment) {
        var programs: [String: Result<CELProgram, CELProblem>] = [:]
        var fields: [String: CELObjectType.Field] = [:]
        for variable in list.elements {
            let name = variable["name"].string ?? ""
            let known = fields
            let environment = scope(CELObjectType(name: "kubernetes.variables") { known })
            do {
                let program = try environment.compile(variable["expression"].string ?? "")
                programs[name] = .success(program)
                fields[name] = .init(program.resultType)
            } catch {
                programs[name] = .failure(error)
                fields[name] = .init(.dyn)
            }
        }
        let all = fields
        self.programs = programs
        type = CELObjectType(name: "kubernetes.variables") { all }
    }
}

/// An expression of a policy, or why it has no meaning.
struct PolicyExpression: Sendable {
    let source: String
    let program: Result<CELProgram, CELProblem>

    init(_ source: String, _ environment: CELEnvironment, _ expected: CELType?) {
        self.source = source
        do {
            program = .success(try environment.compile(source, expecting: expected))
        } catch {
            program = .failure(error)
        }
    }

    func evaluate(_ values: [String: CELValue], _ budget: inout CELBudget) throws(CELFailure) -> CELValue {
        switch program {
        case .success(let program): return try program.evaluate(values, budget: &budget)
        case .failure(let problem): throw CELFailure("compilation error: \(problem.description)")
        }
    }
}
