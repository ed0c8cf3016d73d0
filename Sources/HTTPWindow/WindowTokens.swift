import Crypto
import JSON
import ObjectModel

/// Tokens of a window: JWTs (RFC 7519, HS256) under a key that the credentials make, so that every window that was given
/// the same credentials takes them, a restart leaves them valid, and changed credentials end all of them.
extension WindowCredentials {
    /// A token that proves a principal until `seconds` from now.
    public func token(for principal: String, seconds: Int64 = 5 * 24 * 3600) -> String {
        signed(["uid": .string(principal), "exp": .integer(Timestamp.now.seconds + seconds)])
    }

    /// The principal that a token proves; nil when it is not ours, was changed or is over.
    public func principal(token: String) -> String? {
        guard let claims = claims(of: token), let until = claims["exp"].int, until > Timestamp.now.seconds else {
            return nil
        }
        return claims["uid"].string
    }

    /// A token that proves to be one executor of one framework, and nothing else: no window takes it for a principal's.
    /// It lasts as long as the credentials.
    public func executorToken(framework: String, executor: String) -> String {
        signed(["fid": .string(framework), "eid": .string(executor)])
    }
    /// Whether a token is that of an executor.
    public func isValid(executorToken token: String, framework: String, executor: String) -> Bool {
        guard let claims = claims(of: token) else { return false }
        return claims["fid"].string == framework && claims["eid"].string == executor
    }

    private func signed(_ claims: JSON) -> String {
        let header: JSON = ["alg": "HS256", "typ": "JWT"]
        let signed = "\(Base64.encodeURL(header.encoded())).\(Base64.encodeURL(claims.encoded()))"
        return "\(signed).\(Base64.encodeURL(Array(signature(of: signed))))"
    }

    /// What a token of ours says.
    private func claims(of token: String) -> JSON? {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let code = Base64.decodeURL(parts[2].utf8),
            HMAC<SHA256>.isValidAuthenticationCode(
                code, authenticating: Array("\(parts[0]).\(parts[1])".utf8), using: key),
            let bytes = Base64.decodeURL(parts[1].utf8)
        else { return nil }
        return try? JSON.parse(bytes)
    }

    private func signature(of text: String) -> HMAC<SHA256>.MAC {
        HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key)
    }

    private var key: SymmetricKey {
        var hash = SHA256()
        for (principal, secret) in secrets.sorted(by: { $0.key < $1.key }) {
            // The lengths keep "a" with "bc" apart from "ab" with "c".
            hash.update(data: Array("\(principal.utf8.count) \(secret.utf8.count) \(principal)\(secret)".utf8))
        }
        return SymmetricKey(data: hash.finalize())
    }
}
