/// Why bytes, a message or an operation are refused.
public struct MesosError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What callers may tell apart.
    public enum Code: Sendable, Hashable {
        /// Not JSON, not protobuf, not RecordIO.
        case malformed
        /// A wrong type, a missing required field, a value out of range, a rule that is broken.
        case invalid
        /// Too long, too deep or too many values.
        case tooLarge
        /// There is no message type of that name: our own mistake.
        case unknownType
    }

    public var code: Code
    /// The reason, for people; names the path of the field where there is one.
    public var message: String

    /// An error with its reason.
    public init(_ code: Code = .invalid, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
