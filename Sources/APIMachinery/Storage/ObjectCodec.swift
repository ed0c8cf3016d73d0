import JSON
import ObjectModel

/// Between stored bytes and objects: the revision is spliced in as text, so that an object is encoded once in its life.
enum ObjectCodec {
    private static let opening = Array("\"metadata\":{".utf8)
    private static let field = Array("\"resourceVersion\":\"".utf8)

    /// The tree in stored form: `apiVersion`, `kind`, `metadata` first (the splice relies on it), no resourceVersion.
    static func normalized(_ tree: JSON, kind: GroupVersionKind) -> JSON {
        var members = JSONObject(minimumCapacity: tree.members.count)
        members["apiVersion"] = .string(kind.apiVersion)
        members["kind"] = .string(kind.kind)
        var metadata = tree["metadata"]
        metadata.removeMember("resourceVersion")
        metadata.removeMember("selfLink")
        members["metadata"] = metadata
        for (name, value) in tree.members where members[name] == nil { members[name] = value }
        return .object(members)
    }

    /// Object bytes with the revision right behind `"metadata":{`.
    static func splice(_ stored: [UInt8], revision: Revision) -> [UInt8] {
        guard let start = end(of: opening, in: stored, from: 0) else { return stored }
        let digits = Array(String(revision).utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(stored.count + field.count + digits.count + 2)
        bytes += stored[..<start]
        bytes += field
        bytes += digits
        bytes.append(UInt8(ascii: "\""))
        if stored[start] != UInt8(ascii: "}") { bytes.append(UInt8(ascii: ",")) }
        bytes += stored[start...]
        return bytes
    }

    /// An object as it was, under a later revision: what DELETED events carry.
    static func object(_ object: Object, at revision: Revision) -> Object {
        var metadata = object.metadata
        metadata.resourceVersion = revision
        let old = object.bytes
        guard let start = end(of: opening, in: old, from: 0), let value = end(of: field, in: old, from: start),
            value == start + field.count, let quote = old[value...].firstIndex(of: UInt8(ascii: "\""))
        else {
            var tree = object.tree
            tree["metadata"]["resourceVersion"] = .string(String(revision))
            return Object(tree)
        }
        let bytes = Array(old[..<value]) + Array(String(revision).utf8) + Array(old[quote...])
        return Object(tree: nil, bytes: bytes, metadata: metadata, kind: object.kind)
    }

    /// The same version with its tree at hand, for who reads it several times.
    static func withTree(_ object: Object) -> Object {
        Object(tree: object.tree, bytes: object.bytes, metadata: object.metadata, kind: object.kind)
    }

    /// An object from what the store holds, with its tree.
    static func object(stored: [UInt8], revision: Revision) throws(JSONError) -> Object {
        let tree = try JSON.parse(stored)
        var metadata = ObjectMetadata(tree["metadata"])
        metadata.resourceVersion = revision
        return make(tree, stored: stored, metadata: metadata, revision: revision)
    }

    /// An object from a tree in stored form that was just written.
    static func object(tree: JSON, stored: [UInt8], metadata: ObjectMetadata, revision: Revision) -> Object {
        var metadata = metadata
        metadata.resourceVersion = revision
        return make(tree, stored: stored, metadata: metadata, revision: revision)
    }

    private static func make(_ tree: JSON, stored: [UInt8], metadata: ObjectMetadata, revision: Revision) -> Object {
        var tree = tree
        tree["metadata"]["resourceVersion"] = .string(String(revision))
        let kind = GroupVersionKind(apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")
        return Object(tree: tree, bytes: splice(stored, revision: revision), metadata: metadata, kind: kind)
    }

    /// The index behind the first occurrence of a pattern.
    private static func end(of pattern: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
        guard bytes.count >= pattern.count else { return nil }
        var start = from
        while start <= bytes.count - pattern.count {
            if bytes[start] == pattern[0], bytes[start..<(start + pattern.count)].elementsEqual(pattern) {
                return start + pattern.count
            }
            start += 1
        }
        return nil
    }
}
