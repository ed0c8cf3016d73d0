/// What went wrong with keys, certificates or their files, for the operator; says what to do where there is something.
public struct SecurityError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One sentence, with the file it is about.
    public let message: String
    /// An error with its sentence.
    public init(_ message: String) {
        self.message = message
    }
    public var description: String { message }
}
