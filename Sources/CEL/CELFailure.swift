/// Why an expression does not compile.
public struct CELProblem: Error, Sendable, CustomStringConvertible {
    /// One finding.
    public struct Issue: Sendable, Hashable {
        /// The finding in cel-go's words, for example `undeclared reference to 'x' (in container '')`.
        public var message: String
        /// 1-based line.
        public var line: Int
        /// 0-based column in characters; messages show it plus one.
        public var column: Int

        /// A finding at a position.
        public init(message: String, line: Int, column: Int) {
            self.message = message
            self.line = line
            self.column = column
        }
    }
    /// At least one, in the order of the text.
    public var issues: [Issue]
    /// The whole text as cel-go prints it: per issue `ERROR: <input>:1:5: message`, the line and a caret.
    public let description: String

    /// The findings in a source text.
    public init(_ issues: [Issue], in source: String) {
        self.issues = issues
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
        description = issues.map { issue in
            var text = "ERROR: <input>:\(issue.line):\(issue.column + 1): \(issue.message)"
            if issue.line >= 1, issue.line <= lines.count {
                let line = lines[issue.line - 1].replacingTabs()
                // Wide characters get a wide dot and caret, so that the caret stands below its character.
                let before = line.unicodeScalars.prefix(issue.column).map { $0.isASCII ? "." : "\u{ff0e}" }.joined()
                let isWide = line.unicodeScalars.dropFirst(issue.column).first.map { !$0.isASCII } ?? false
                text += "\n | \(line)\n | \(before)\(isWide ? "\u{ff3e}" : "^")"
            }
            return text
        }.joined(separator: "\n")
    }
}

extension Substring {
    fileprivate func replacingTabs() -> String {
        String(map { $0 == "\t" ? " " : $0 })
    }
}

/// Why an evaluation has no value.
public struct CELFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// What happened.
    public enum Kind: Sendable, Hashable {
        /// An error of the expression on this data: a missing key, a division by zero, an unparsable text.
        case error
        /// This evaluation cost more than one may (`CELBudget.perCallLimit`).
        case callCostExceeded
        /// The evaluations together cost more than their budget.
        case budgetExceeded
    }
    public let kind: Kind
    /// The reason in cel-go's words, for example `no such key: name`.
    public let message: String

    /// An error of the expression.
    public init(_ message: String, kind: Kind = .error) {
        self.message = message
        self.kind = kind
    }
    /// The message.
    public var description: String { message }
}
