/// Where a walk is, as a chain whose text is made only for problems.
struct FieldPath {
    private final class Link {
        enum Step {
            case member(String)
            case index(Int)
            case key(String)
        }
        let step: Step
        let outer: Link?
        init(_ step: Step, _ outer: Link?) {
            self.step = step
            self.outer = outer
        }
    }
    private let last: Link?

    static var root: FieldPath { FieldPath(last: nil) }

    private init(last: Link?) { self.last = last }

    /// `spec.x`
    func member(_ name: String) -> FieldPath { FieldPath(last: Link(.member(name), last)) }
    /// `spec[0]`
    func index(_ index: Int) -> FieldPath { FieldPath(last: Link(.index(index), last)) }
    /// `spec[x]`, for the entries of maps where Kubernetes writes them so.
    func key(_ name: String) -> FieldPath { FieldPath(last: Link(.key(name), last)) }

    /// `spec.list[0].name`; empty at the root.
    var plain: String {
        var steps: [Link.Step] = []
        var link = last
        while let current = link {
            steps.append(current.step)
            link = current.outer
        }
        var text = ""
        for step in steps.reversed() {
            switch step {
            case .member(let name): text += text.isEmpty ? name : ".\(name)"
            case .index(let index): text += "[\(index)]"
            case .key(let name): text += "[\(name)]"
            }
        }
        return text
    }

    /// The same as it stands in front of a problem: Go prints the missing path of the root as `<nil>`.
    var text: String { last == nil ? "<nil>" : plain }
}
