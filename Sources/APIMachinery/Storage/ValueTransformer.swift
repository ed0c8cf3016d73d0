public import Security

/// Seals values before they reach the store and opens them again: encryption at rest. Used for secrets.
public protocol ValueTransformer: Sendable {
    /// - Parameter key: the store key, to be bound to the ciphertext.
    func seal(_ plain: [UInt8], key: String) throws -> [UInt8]
    func open(_ sealed: [UInt8], key: String) throws -> [UInt8]
}

/// AES-256-GCM with the cluster's local key; values from before encryption was on are read as they are.
extension SecretBox: ValueTransformer {
    public func seal(_ plain: [UInt8], key: String) throws -> [UInt8] { try seal(plain, context: key) }
    public func open(_ sealed: [UInt8], key: String) throws -> [UInt8] { try open(sealed, context: key) }
}
