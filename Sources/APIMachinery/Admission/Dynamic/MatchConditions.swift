import CEL
import JSON
import ObjectModel
import Synchronization

/// The `matchConditions` of a webhook or policy: expressions that must all be true.
///
/// They are compiled at first use: most configurations are read more often than they are asked.
final class MatchConditions: Sendable {
    enum Outcome {
        case matches
        case differs
        case failed(String)
    }
    private let sources: [(name: String, expression: String)]
    private let environment: CELEnvironment
    private let compiled = Mutex<[(name: String, program: Result<CELProgram, CELProblem>)]?>(nil)

    init(_ json: JSON, environment: CELEnvironment = ExpressionScope.webhook) {
        sources = json.elements.map { ($0["name"].string ?? "", $0["expression"].string ?? "") }
        self.environment = environment
    }

    var isEmpty: Bool { sources.isEmpty }

    /// A condition that is false decides, whatever the others fail with.
    func evaluate(_ variables: [String: CELValue]) -> Outcome {
        if sources.isEmpty { return .matches }
        var budget = CELBudget(limit: CELBudget.matchConditions)
        var failures: [String] = []
        for (name, program) in programs() {
            do {
                let value = try program.get().evaluate(variables, budget: &budget)
                switch value {
                case .bool(true): continue
                case .bool(false): return .differs
                default: failures.append("cel evaluation error in match condition '\(name)': not a boolean")
                }
            } catch let failure as CELFailure {
                failures.append(failure.message)
            } catch {
                failures.append("\(error)")
            }
        }
        return failures.isEmpty ? .matches : .failed(failures.joined(separator: ", "))
    }

    private func programs() -> [(name: String, program: Result<CELProgram, CELProblem>)] {
        if let ready = compiled.withLock({ $0 }) { return ready }
        var made: [(name: String, program: Result<CELProgram, CELProblem>)] = []
        for (name, source) in sources {
            do {
                made.append((name, .success(try environment.compile(source, expecting: .bool))))
            } catch {
                made.append((name, .failure(error)))
            }
        }
        let result = made
        compiled.withLock { $0 = result }
        return result
    }
}
