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
        guard let bytes = Base64.decodeURL(text.utf8), let json = try? JSON.parse(bytes),
            json["v"].string == "meta.k8s.io/v1",
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
        return Base64.encodeURL(json.encoded())
    }
}
