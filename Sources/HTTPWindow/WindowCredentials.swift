import JSON
import ObjectModel

/// Who may use a window: principals with their secrets, as Mesos's credentials file lists them, or Marathon's
/// `USER:PASSWORD`.
public struct WindowCredentials: Sendable {
    /// Secrets by principal.
    public let secrets: [String: String]
    /// Shown by browsers and clients that ask for a password.
    public var realm: String

    /// Principals with their secrets.
    public init(secrets: [String: String], realm: String) {
        self.secrets = secrets
        self.realm = realm
    }

    /// Reads a credentials file: JSON `{"credentials": [{"principal": …, "secret": …}]}`, or a line `principal secret` each.
    /// - Throws: `WindowError` that says what is wrong with it.
    public init(parsing text: String, realm: String) throws {
        var secrets: [String: String] = [:]
        let trimmed = text.drop { $0.isWhitespace }
        if trimmed.first == "{" {
            let tree: JSON
            do {
                tree = try JSON.parse(text)
            } catch {
                throw WindowError(400, "the credentials are not valid JSON: \(error)")
            }
            for entry in tree["credentials"].elements {
                guard let principal = entry["principal"].string, let secret = entry["secret"].string else {
                    throw WindowError(400, "every entry of \"credentials\" needs a principal and a secret")
                }
                secrets[principal] = secret
            }
        } else {
            for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
                let parts = line.split(whereSeparator: \.isWhitespace)
                guard parts.count == 2 else {
                    throw WindowError(400, "a line of the credentials is not \"PRINCIPAL SECRET\"")
                }
                secrets[String(parts[0])] = String(parts[1])
            }
        }
        guard !secrets.isEmpty else { throw WindowError(400, "the credentials name no principal") }
        self.init(secrets: secrets, realm: realm)
    }

    /// The principal that an `Authorization` header proves, by a secret (`Basic …`) or by a token (`Bearer …` or
    /// `token=…`); nil when it proves none.
    public func principal(authorization: String?) -> String? {
        guard let authorization else { return nil }
        if authorization.hasPrefix("token=") { return principal(token: String(authorization.dropFirst(6))) }
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        if parts[0].lowercased() == "bearer" { return principal(token: String(parts[1])) }
        guard parts[0].lowercased() == "basic", let plain = Base64.decode(parts[1].utf8) else { return nil }
        let pair = String(decoding: plain, as: UTF8.self).split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard pair.count == 2 else { return nil }
        return isValid(secret: String(pair[1]), of: String(pair[0])) ? String(pair[0]) : nil
    }

    /// Whether a secret is that of a principal.
    public func isValid(secret: String, of principal: String) -> Bool {
        guard let known = secrets[principal] else { return false }
        return Self.equal(Array(known.utf8), Array(secret.utf8))
    }

    /// Takes the same time wherever they differ.
    private static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
