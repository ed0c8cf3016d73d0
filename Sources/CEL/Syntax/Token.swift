/// A word of the source.
struct Token {
    enum Kind: Equatable {
        case identifier(String)
        /// An identifier in backquotes.
        case quoted(String)
        case int(UInt64)
        case uint(UInt64)
        case double(Double)
        case string(String)
        case bytes([UInt8])
        case symbol(Symbol)
        case end
        /// A number or string that cannot be; parsing reports the message.
        case invalid(String)
    }
    enum Symbol: String, CaseIterable {
        case conditionalAnd = "&&"
        case conditionalOr = "||"
        case equals = "=="
        case notEquals = "!="
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case less = "<"
        case greater = ">"
        case openParenthesis = "("
        case closeParenthesis = ")"
        case openBracket = "["
        case closeBracket = "]"
        case openBrace = "{"
        case closeBrace = "}"
        case comma = ","
        case dot = "."
        case colon = ":"
        case question = "?"
        case plus = "+"
        case minus = "-"
        case star = "*"
        case slash = "/"
        case percent = "%"
        case exclamation = "!"
        case contained = "in"
        case true_ = "true"
        case false_ = "false"
        case null = "null"
    }
    var kind: Kind
    /// In scalars.
    var offset: Int
    /// The text, for messages.
    var text: String
}
