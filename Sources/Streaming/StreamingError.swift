/// A peer that broke the protocol, or a connection that was lost, in one sentence.
public struct StreamingError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}
