import JSON
import ObjectModel

/// Where the next page of a list begins: base64url of `{"v":…,"rv":…,"start":…,"at":…}`, opaque to clients.
struct ContinueToken: Sendable {
    /// The revision of the first page; 0 when consistency was given up.
    var revision: Revision
    /// The last key that was returned.
    var last: ObjectKey
    /// When the first page was listed; nil for tokens that do not say.
    var firstPage: Timestamp?

    init(revision: Revision, last: ObjectKey, firstPage: Timestamp? = nil) {
        self.revision = revision
        self.last = last
        self.firstPage = firstPage
    }

    /// - Throws: 400 when the text is not one of our tokens.
    init(_ text: String) throws(StatusError) {
        guard let bytes = Base64.decode(text), let json = try? JSON.parse(bytes), json["v"].string == "meta.k8s.io/v1",
            let revision = json["rv"].int, revision != 0, let start = json["start"].string
        else { throw .badRequest("invalid continue token: continue key is not valid: \"\(text.prefix(64))\"") }
        self.revision = revision < 0 ? 0 : Revision(revision)
        let parts = start.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else {
            throw .badRequest("invalid continue token: continue key is not valid: it starts nowhere")
        }
        last = ObjectKey(namespace: parts[0], name: parts[1])
        firstPage = json["at"].int.map { Timestamp(seconds: Int64($0)) }
    }

    var text: String {
        var json: JSON = [
            "v": "meta.k8s.io/v1", "rv": revision == 0 ? -1 : .integer(Int64(clamping: revision)),
            "start": .string("\(last.namespace)/\(last.name)"),
        ]
        if let firstPage { json["at"] = .integer(firstPage.seconds) }
        return Base64.encode(json.encoded(), urlSafe: true)
    }
}

/// Base64 without Foundation (RFC 4648, both alphabets when reading).
enum Base64 {
    static func encode(_ bytes: [UInt8], urlSafe: Bool = false) -> String {
        let alphabet = Array(
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + (urlSafe ? "-_" : "+/")).utf8)
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let a = bytes[index]
            let b = index + 1 < bytes.count ? bytes[index + 1] : 0
            let c = index + 2 < bytes.count ? bytes[index + 2] : 0
            out.append(alphabet[Int(a >> 2)])
            out.append(alphabet[Int((a & 3) << 4 | b >> 4)])
            if index + 1 < bytes.count { out.append(alphabet[Int((b & 15) << 2 | c >> 6)]) }
            if index + 2 < bytes.count { out.append(alphabet[Int(c & 63)]) }
            index += 3
        }
        if !urlSafe { while out.count % 4 != 0 { out.append(UInt8(ascii: "=")) } }
        return String(decoding: out, as: UTF8.self)
    }

    /// Nil when the text is not base64; padding is optional.
    static func decode(_ text: String) -> [UInt8]? {
        var out: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for byte in text.utf8 {
            let value: UInt8
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = byte - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = byte - 71
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte + 4
            case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
            case UInt8(ascii: "="):
                padding += 1
                continue
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"): continue
            default: return nil
            }
            if padding > 0 { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return count == 6 || padding > 2 ? nil : out
    }
}
