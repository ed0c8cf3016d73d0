public import JSON
import ObjectModel

/// The base64 values of Secrets and of other byte fields.
public enum SecretData {
    /// One value of a secret's `data` as text; nil when it is not there or not base64.
    public static func text(_ key: String, of secret: JSON) -> String? {
        secret["data"][key].string.flatMap { Base64.decode($0.utf8) }.map { String(decoding: $0, as: UTF8.self) }
    }
    /// Text from unpadded base64url; nil when it is something else.
    public static func text(base64URL: Substring) -> String? {
        Base64.decodeURL(base64URL.utf8).map { String(decoding: $0, as: UTF8.self) }
    }
    /// Text as byte fields carry it.
    public static func encoded(_ text: String) -> String { Base64.encode(Array(text.utf8)) }
}
