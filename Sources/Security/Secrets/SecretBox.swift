import Crypto
import FoundationEssentials

/// Encrypts values at rest with a local key (AES-256-GCM).
///
/// A sealed value is `apus:enc:v1:`, the id of its key (4 bytes), a random nonce (12 bytes), the ciphertext and its
/// tag (16 bytes). The store key that it is for is authenticated along, so that a value cannot be moved to another key.
/// The key file holds one key per line, `ID HEX`; the last one seals, all of them open: appending a line rotates.
public struct SecretBox: Sendable {
    private static let prefix = Array("apus:enc:v1:".utf8)
    private let keys: [[UInt8]: SymmetricKey]
    private let sealing: (id: [UInt8], key: SymmetricKey)

    /// - Throws: `SecurityError` naming the file when a line of it is no key.
    init(keyFile: String, path: String) throws(SecurityError) {
        var keys: [[UInt8]: SymmetricKey] = [:]
        var newest: (id: [UInt8], key: SymmetricKey)?
        for line in keyFile.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: " ")
            guard parts.count == 2, let id = Self.bytes(parts[0]), id.count == 4, let key = Self.bytes(parts[1]),
                key.count == 32
            else { throw SecurityError("\(path) is damaged; restore it from a backup: without it secrets are lost") }
            keys[id] = SymmetricKey(data: key)
            newest = (id, SymmetricKey(data: key))
        }
        guard let newest else {
            throw SecurityError("\(path) has no key; restore it from a backup: without it secrets are lost")
        }
        self.keys = keys
        sealing = newest
    }

    /// The content of a new key file.
    static func makeKeyFile() -> String {
        var generator = SystemRandomNumberGenerator()
        let id = (0..<4).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let key = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
        return "\(id.hexadecimal) \(key.hexadecimal)\n"
    }

    /// True when bytes were sealed by some box.
    public static func isSealed(_ bytes: [UInt8]) -> Bool { bytes.starts(with: prefix) }

    /// Encrypts a value for a store key.
    /// - Parameter context: where the value is kept; must be given again to open it.
    public func seal(_ plain: [UInt8], context: String) throws(SecurityError) -> [UInt8] {
        do {
            let box = try AES.GCM.seal(plain, using: sealing.key, authenticating: Array(context.utf8))
            return Self.prefix + sealing.id + Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
        } catch {
            throw SecurityError("a value for \(context) could not be encrypted: \(error)")
        }
    }

    /// Decrypts a sealed value. A value that is not sealed is returned as it is: it was written before encryption was on.
    /// - Throws: `SecurityError` when its key is unknown, or it was changed or moved.
    public func open(_ stored: [UInt8], context: String) throws(SecurityError) -> [UInt8] {
        guard Self.isSealed(stored) else { return stored }
        let body = stored.dropFirst(Self.prefix.count)
        guard body.count >= 4 + 12 + 16 else { throw SecurityError("the encrypted value of \(context) is cut short") }
        let id = Array(body.prefix(4))
        guard let key = keys[id] else {
            throw SecurityError(
                "the value of \(context) is encrypted with key \(id.hexadecimal), which the key file does not have; "
                    + "restore the key file from a backup")
        }
        do {
            let box = try AES.GCM.SealedBox(combined: Array(body.dropFirst(4)))
            return Array(try AES.GCM.open(box, using: key, authenticating: Array(context.utf8)))
        } catch {
            throw SecurityError("the encrypted value of \(context) was changed, or belongs elsewhere")
        }
    }

    private static func bytes(_ hexadecimal: Substring) -> [UInt8]? {
        let digits = Array(hexadecimal.utf8)
        guard digits.count % 2 == 0 else { return nil }
        var out: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) else {
                return nil
            }
            out.append(byte)
        }
        return out
    }
}
